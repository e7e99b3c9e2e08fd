/** Which losses a method trains with, and in which form: what the seam says of it, for the step, the recipe and help. */

import { fail } from '../errors.js'
import type { Tensor } from '../graph/graph.js'
import type { LossWeights } from '../losses/total.js'
import type { FormName, LossInputs, MethodPlan, OwnLoss } from '../reduction/method.js'
import { type MethodChoice, type MethodName, methodNames, methodOf } from '../reduction/registry.js'

/** What the parts are called that every method may have. */
const commonLabels: Readonly<Record<string, string>> = {
  classification: 'Cross entropy',
  distillation: 'Distance to the teacher’s answers',
  feature: 'Distance to the teacher’s features',
}

/** A method's own losses by name. */
export const ownLosses = (method: MethodName = 'idle'): Readonly<Record<string, OwnLoss>> =>
  methodOf(method).learning?.losses ?? {}

/** What a part of the loss is called, whichever method it is of. */
export function lossLabel(part: string): string {
  const own = methodNames.flatMap((name) => ownLosses(name)[part] ?? [])
  return commonLabels[part] ?? own[0]?.label ?? part
}

/** The paper's coefficients of what every method may have (arXiv 2310.05654), and those of a method's own losses. */
export function defaultWeights(method: MethodName = 'idle'): LossWeights {
  const own = Object.entries(ownLosses(method)).map(([name, { weight }]) => [name, weight] as const)
  return { classification: 1, distillation: 5, feature: 500, ...Object.fromEntries(own) }
}

/** The forms that a method learns in, the default first. */
export const learningForms = (method: MethodName = 'idle'): readonly FormName[] =>
  methodOf(method).learning?.forms ?? ['gathered']

/**
 * Refuses coefficients of losses that a method does not have.
 *
 * @param called - what to call a part in messages
 * @throws InputError naming the method that has it, and those that this one has
 */
export function checkLosses(
  parts: Iterable<string>,
  method: MethodName = 'idle',
  called = (part: string) => part,
): void {
  const known = Object.keys(defaultWeights(method))
  for (const part of parts) {
    if (known.includes(part)) continue
    const owner = methodNames.find((name) => part in ownLosses(name))
    fail(
      `${called(part)}: ${owner ? `a loss of ${owner}, not of` : 'no loss of'} ${method}, which has ${known.join(', ')}`,
    )
  }
}

/** The losses of a method whose coefficients are not 0. */
const atWork = (method: MethodName | undefined, weights: LossWeights) =>
  Object.entries(ownLosses(method)).filter(([name]) => (weights[name] ?? 0) !== 0)

/** Whether any of the method's own losses at work has this property. */
export const ownLossesWant = (
  property: 'comparesRows' | 'needsClassHead',
  method: MethodName | undefined,
  weights: LossWeights,
): boolean => atWork(method, weights).some(([, loss]) => loss[property])

/** What a method must be told so that its losses can be computed. */
export function lossSettings(plan: MethodChoice & MethodPlan, weights: LossWeights): MethodChoice {
  return Object.assign({}, ...atWork(plan.method, weights).map(([, { settings }]) => settings?.(plan)))
}

/** A method's own losses before their coefficients; those that nothing gives anything are absent. */
export function computeOwn(
  from: LossInputs,
  plan: MethodChoice & MethodPlan,
  weights: LossWeights,
): Readonly<Record<string, Tensor>> {
  const found = atWork(plan.method, weights).flatMap(([name, loss]) => {
    const value = loss.compute(from, plan)
    return value ? [[name, value] as const] : []
  })
  return Object.fromEntries(found)
}
