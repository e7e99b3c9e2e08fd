/**
 * Seeks the plan for a target: every method's usual profiles at the cost that the target allows, then the better half of
 * the methods improved. What is asked for in accuracy is first turned into a cost.
 */

import { fail } from '../errors.js'
import { expectationOf } from './accuracy.js'
import type { Change, PartName } from './answers.js'
import { type CostModel, timeAt } from './cost.js'
import type { Plan, TunedMethod } from './methods.js'
import { leastOf, scaledTo } from './profiles.js'
import { bestOf, improve, type Problem, type Tried } from './search.js'
import { type Target, targetText } from './target.js'

/** A method, its best profile, and what that loses at the cost that the target allows. */
export interface Found {
  readonly method: TunedMethod
  readonly tried: Tried
}

export interface SeekOptions {
  readonly methods: readonly TunedMethod[]
  /** By method: how time follows from work. */
  readonly costs: ReadonlyMap<string, CostModel>
  readonly target: Target
  /** The most that a plan may cost; of a target in accuracy it is sought. */
  readonly most: number | undefined
  /** Plans that are measured at most. */
  readonly tries: number
  readonly change: (part: PartName, plan: Plan) => Promise<Change>
  readonly onTry?: (done: number, note: string) => void
}

/** What was found. */
export interface Sought {
  /** The best first. */
  readonly found: readonly Found[]
  /** What plans may cost: a share of the dense model's work or time. */
  readonly most: number
  /** What all plans changed that were tried. */
  readonly changes: readonly Change[]
  readonly tries: number
}

/** What a target is a share of: the dense model's work, or its time. */
export function costFor(
  { kind }: Target,
  { name, workOf }: TunedMethod,
  costs: ReadonlyMap<string, CostModel>,
): (counts: readonly number[]) => number {
  if (kind === 'work') return workOf
  const model = costs.get(name) as CostModel
  return (counts) => timeAt(model, workOf(counts))
}

/** Refuses a cost that no plan of the methods keeps to. */
export function refuseCost(
  target: Target,
  methods: readonly TunedMethod[],
  costs: ReadonlyMap<string, CostModel>,
  most: number,
): void {
  const least = Math.min(
    ...methods.flatMap((method) =>
      method.starts.map((weights) => leastOf(weights, costFor(target, method, costs), method.terms)),
    ),
  )
  if (least > most)
    fail(
      `--target ${targetText(target)}: wanted at least ${least.toFixed(3)} of the dense model's ${target.kind === 'work' ? 'work' : 'time'}, ` +
        `the least that ${methods.map(({ name }) => name).join(', ')} can do with, found ${most.toFixed(3)}`,
    )
}

/** Halvings of the range in which a cost is sought that loses so much. */
const HALVINGS = 5

export async function seek(options: SeekOptions): Promise<Sought> {
  const { methods, costs, target, tries, onTry } = options
  const changes = new Map<string, Change>()
  const costOf = new Map(methods.map((method) => [method, costFor(target, method, costs)]))
  /** What a plan of a method changes; every plan counts once. */
  async function changeOf(method: TunedMethod, counts: readonly number[]): Promise<Change> {
    const key = `${method.name} ${counts}`
    const known = changes.get(key)
    if (known) return known
    const change = await options.change('search', method.planOf(counts))
    changes.set(key, change)
    onTry?.(changes.size, `${method.name}, ${(100 * (1 - change.changed / change.pictures)).toFixed(1)} % as dense`)
    return change
  }
  const planAt = (method: TunedMethod, weights: readonly number[], most: number) =>
    scaledTo(weights, most, costOf.get(method) as (counts: readonly number[]) => number, method.terms)
  const problemAt = (method: TunedMethod, most: number): Problem => ({
    planOf: (weights) => planAt(method, weights, most),
    measure: async (counts) => (await changeOf(method, counts)).divergence,
  })
  /** The least cost at which a profile loses no more points than that. */
  async function cheapest(
    method: TunedMethod,
    weights: readonly number[],
    points: number,
    start: readonly [number, number],
  ) {
    let [loses, keeps] = start
    for (let step = 0; step < HALVINGS; step++) {
      const middle = (loses + keeps) / 2
      const counts = planAt(method, weights, middle)
      const change = counts && (await changeOf(method, counts))
      const good = change && expectationOf(change, [...changes.values()]).pointsToDense >= -points
      if (good) keeps = middle
      else loses = middle
    }
    return keeps
  }
  const cheap = (method: TunedMethod, weights: readonly number[]) =>
    leastOf(weights, costOf.get(method) as (counts: readonly number[]) => number, method.terms)

  let most = options.most ?? 1
  if (target.kind === 'accuracy')
    for (const method of methods) {
      const [usual] = method.starts as [readonly number[]]
      most = Math.min(most, await cheapest(method, usual, target.points, [cheap(method, usual), 1]))
    }
  const begun: Found[] = []
  /** Half of the tries are for improving. */
  const starts = Math.max(1, Math.floor(tries / (2 * methods.length)))
  for (const method of methods) {
    const tried = await bestOf(method.starts.slice(0, starts), problemAt(method, most))
    if (tried) begun.push({ method, tried })
  }
  begun.sort((a, b) => a.tried.loss - b.tried.loss)
  if (begun.length === 0) refuseCost(target, methods, costs, most)
  const chosen = begun.slice(0, Math.ceil(begun.length / 2))
  const reserve = target.kind === 'accuracy' ? HALVINGS : 0
  const improved: Found[] = []
  for (const [i, { method, tried }] of chosen.entries()) {
    const share = Math.floor((tries - reserve - changes.size) / (chosen.length - i))
    improved.push({ method, tried: await improve(tried, problemAt(method, most), Math.max(0, share)) })
  }
  improved.sort((a, b) => a.tried.loss - b.tried.loss)
  if (target.kind === 'accuracy') {
    // A better profile loses as little with less.
    const [{ method, tried }] = improved as [Found]
    most = await cheapest(method, tried.weights, target.points, [
      cheap(method, tried.weights),
      Math.min(1, 1.05 * most),
    ])
    improved[0] = { method, tried: { ...tried, counts: planAt(method, tried.weights, most) ?? tried.counts } }
  }
  const left = begun.slice(chosen.length)
  return { found: [...improved, ...left], most, changes: [...changes.values()], tries: changes.size }
}
