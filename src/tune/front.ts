/** Plans around what the search found, what held-out pictures say of them, and which of them are best. */

import { bestPoints } from '../compare/front.js'
import { fail } from '../errors.js'
import { type Expectation, expectationOf } from './accuracy.js'
import type { Change } from './answers.js'
import { type CostModel, timeAt } from './cost.js'
import type { Lab } from './lab.js'
import type { TunedMethod } from './methods.js'
import { scaledTo } from './profiles.js'
import { costFor, type Found, type Sought } from './seek.js'
import type { Target } from './target.js'

/** A plan on the way to the front. */
export interface Candidate extends Expectation {
  readonly method: string
  readonly tokens: readonly number[]
  readonly gmacs: number
  /** Predicted, for one picture. */
  readonly milliseconds: number
  readonly speedup: number
  /** Whether no other plan agrees more with the dense model in less time, or with less work. */
  readonly best: { readonly speed: boolean; readonly gmacs: boolean }
  readonly chosen: boolean
}

/** A plan, and the model that its time was predicted by. */
export interface Chosen {
  readonly method: TunedMethod
  readonly counts: readonly number[]
  readonly cost: CostModel
}

/** What plans are judged by. */
export interface FrontRequest {
  readonly target: Target
  readonly lab: Lab
  readonly onProgress?: (stage: string, done: number, total: number, note?: string) => void
}

/** Costs around what the target allows, for the picture of the front: of the better half of the methods. */
const AROUND = [0.75, 0.87, 1, 1.15, 1.3] as const
/** By how much more a plan may cost from one to the next, while its held-out pictures say that it loses too much. */
const STEP = 1.03

/** Plans around what was found, and what held-out pictures say of them. */
export async function openFront(
  { target, lab, onProgress }: FrontRequest,
  { found, most, changes }: Sought,
  costs: ReadonlyMap<string, CostModel>,
  milliseconds: number,
  denseGmacs: number,
) {
  const held = new Map<string, { method: TunedMethod; counts: readonly number[]; change: Change }>()
  async function hold(method: TunedMethod, counts: readonly number[]): Promise<Change> {
    const key = `${method.name} ${counts}`
    const change = held.get(key)?.change ?? (await lab.change('prediction', method.planOf(counts)))
    held.set(key, { method, counts, change })
    return change
  }
  const known = () => [...changes, ...[...held.values()].map(({ change }) => change)]
  const expect = async (method: TunedMethod, counts: readonly number[]) =>
    expectationOf(await hold(method, counts), known())
  const at = ({ method, tried }: Found, share: number) =>
    scaledTo(tried.weights, share, costFor(target, method, costs), method.terms)

  const wanted = found.flatMap((each, i) =>
    (2 * i < found.length ? AROUND : [1]).flatMap((around) => {
      const counts = around * most < 1 ? at(each, around * most) : undefined
      return counts ? [{ method: each.method, counts }] : []
    }),
  )
  for (const [i, { method, counts }] of wanted.entries()) {
    await hold(method, counts)
    onProgress?.('predicting', i + 1, wanted.length, method.name)
  }
  return {
    expect,
    /** The cheapest plan of the best profile of which held-out pictures say that it loses no more points. */
    async least(points: number): Promise<Chosen> {
      const [best] = found as [Found]
      const cost = costs.get(best.method.name) as CostModel
      for (let share = most; share < 1; share *= STEP) {
        const counts = at(best, share)
        if (counts && (await expect(best.method, counts)).pointsToDense >= -points)
          return { method: best.method, counts, cost }
      }
      return fail(`--target -${points}%: every plan that was tried is expected to lose more`)
    },
    /** All plans that held-out pictures were asked about, and what time the settled cost model gives them. */
    candidates({ method, counts: chosen, cost }: Chosen): readonly Candidate[] {
      const all = [...held.values()].map(({ method: each, counts, change }) => {
        const work = each.workOf(counts)
        const time = timeAt(each === method ? cost : (costs.get(each.name) as CostModel), work)
        return {
          method: each.name,
          tokens: counts,
          gmacs: denseGmacs * work,
          milliseconds: milliseconds * time,
          speedup: 1 / time,
          ...expectationOf(change, known()),
          chosen: each === method && String(counts) === String(chosen),
        }
      })
      const front = (cost: (each: (typeof all)[number]) => number) =>
        new Set(bestPoints(all.map((each) => ({ cost: cost(each), gain: each.agreementPercent }))))
      const [speed, gmacs] = [front((each) => each.milliseconds), front((each) => each.gmacs)]
      return all.map((each, i) => ({ ...each, best: { speed: speed.has(i), gmacs: gmacs.has(i) } }))
    },
  }
}
