/** Methods as tuning sees them: plans by their tokens in every block, and what those are. */

import { type ComparedMethod, comparedMethods } from '../compare/methods.js'
import { fail } from '../errors.js'
import { shapeOf } from '../models/backbone.js'
import type { VitConfig } from '../models/config.js'
import { executedMacs } from '../models/cost.js'
import { type MethodName, type MethodSettings, planReduction, storedPlan } from '../reduction/registry.js'
import { powerProfile, type Terms, weightsOf } from './profiles.js'

/** Methods whose plan is a number of tokens for every block. */
export const tunable = ['idle', 'group', 'evit', 'tome'] as const satisfies readonly MethodName[]

export type Tunable = (typeof tunable)[number]

/** A plan as it is stored: the method, its options, and tokens by block. */
export interface Plan extends MethodSettings {
  readonly method: MethodName
  readonly keepTokens: readonly number[]
}

/** A method whose plans are sought. */
export interface TunedMethod extends ComparedMethod {
  readonly terms: Terms
  /** Profiles to start from: the method's own default, and others. */
  readonly starts: readonly (readonly number[])[]
  /** The plan of so many tokens in every block. */
  planOf(counts: readonly number[]): Plan
  /** The share of the dense model's multiply-adds that a plan executes. */
  workOf(counts: readonly number[]): number
}

/** Where the default profile of a method is taken from. */
const USUAL = 0.7
/** Exponents of other profiles to start from: early, even, late. */
const POWERS = [0.5, 1, 2] as const

/** The methods of which plans can be sought; whether a model can run them is asked elsewhere. */
export const tunableMethods = (config: VitConfig, settings: MethodSettings): readonly ComparedMethod[] =>
  comparedMethods(config, settings).filter(({ name }) => (tunable as readonly string[]).includes(name))

/**
 * A method as tuning sees it, for a model that can run it.
 *
 * @throws InputError where it cannot
 */
export function tunedMethod(config: VitConfig, method: ComparedMethod): TunedMethod {
  const shape = shapeOf(config)
  const { depth, tokens, stages } = shape
  if (stages) fail('tune: wanted a model with as many tokens in every block, found one with stages (Swin)')
  const dense = executedMacs(config, { method: 'none' })
  const { keepRatio: _, ...own } = method.at(USUAL)
  const planOf = (counts: readonly number[]): Plan => {
    const plan = planReduction({ ...own, keepTokens: counts }, shape)
    return { ...storedPlan(plan), method: plan.method, keepTokens: plan.keep }
  }
  const known = new Map<string, number>()
  const workOf = (counts: readonly number[]) => {
    const key = String(counts)
    const work = known.get(key) ?? executedMacs(config, planReduction(planOf(counts), shape)) / dense
    known.set(key, work)
    return work
  }
  const all = new Array<number>(depth).fill(tokens)
  // Where nobody reads the tokens of the last block, some methods leave it as it is.
  const last = workOf(all.with(depth - 1, Math.ceil(tokens / 2))) === workOf(all) ? depth - 1 : depth
  const bound = { depth, tokens, blocks: Math.max(1, last), ...kinds[method.name as Tunable](own) }
  const usual = weightsOf(planReduction(method.at(USUAL), shape).keep, bound)
  // Every join takes time beside its work: plans that one line is to time have as many.
  const still = [...usual.keys()].filter((l) => usual[l] === 0)
  const terms = method.name === 'group' ? { ...bound, still } : bound
  const starts = [usual, ...POWERS.map((power) => powerProfile(power, terms))]
  return { ...method, terms, starts, planOf, workOf }
}

/** How the counts of a method are bound. */
const kinds: Readonly<Record<Tunable, (settings: MethodSettings) => Pick<Terms, 'falling' | 'atLeast' | 'fuses'>>> = {
  idle: () => ({ falling: false }),
  group: () => ({ falling: true }),
  evit: ({ fuse = true }) => ({ falling: true, fuses: fuse }),
  // Of pairs of rows one is left.
  tome: () => ({ falling: true, atLeast: 0.5 }),
}
