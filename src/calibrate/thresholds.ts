/**
 * Where stages answer, so that a goal is met at the best price: the confidence from which each does, from what every stage
 * said of the same pictures. Whatever is computed for a picture before it is answered counts.
 */

import { NEVER } from '../models/exits.js'

/** What one stage said of the pictures. */
export interface StageAnswers {
  /** What asking it costs, for one picture. */
  readonly work: number
  /** By picture: largest probability. */
  readonly confidence: ArrayLike<number>
  /** By picture: 1 where the answer is good, else 0. */
  readonly good: ArrayLike<number>
}

/** At least so many good answers for the least work; or as many as so much mean work allows. */
export type Goal =
  | { readonly kind: 'answers'; readonly least: number }
  | { readonly kind: 'work'; readonly most: number }

/** What thresholds make of the pictures. */
export interface Outcome {
  /** Confidence from which a stage answers, for every stage but the last; {@link NEVER}: none is answered there. */
  readonly thresholds: readonly number[]
  /** Good answers. */
  readonly good: number
  /** Of all pictures together. */
  readonly work: number
}

/** Before the last two stages no more places are tried than this; more would be counted for minutes. */
const PLACES = 100

/**
 * The best thresholds for a goal; `undefined` where none meets it.
 *
 * A threshold that meets a goal of answers by luck, below others that do not, is not taken: going down, the search ends
 * where the goal is lost again.
 */
export function bestThresholds(stages: readonly StageAnswers[], goal: Goal): Outcome | undefined {
  const all = Array.from({ length: stages[0]?.confidence.length ?? 0 }, (_, i) => i)
  return best(stages, all, goal.kind === 'work' ? { kind: 'work', most: goal.most * all.length } : goal)
}

/** The best thresholds for some of the pictures; `most` is the work of all of them. */
function best(
  [stage, ...later]: readonly StageAnswers[],
  pictures: readonly number[],
  goal: Goal,
): Outcome | undefined {
  if (!stage) return undefined
  const { confidence, good, work } = stage
  const asked = work * pictures.length
  const goods = (some: readonly number[]) => some.reduce((sum, i) => sum + (good[i] as number), 0)
  if (later.length === 0) return meeting({ thresholds: [], good: goods(pictures), work: asked }, goal)
  const sure = (i: number) => confidence[i] as number
  const falling = [...pictures].sort((a, b) => sure(b) - sure(a))
  let found: Outcome | undefined
  let [answered, before] = [0, 0]
  for (const count of placesIn(falling.map(sure), later.length > 1 ? PLACES : Infinity)) {
    answered += goods(falling.slice(before, count))
    before = count
    const rest = best(later, falling.slice(count), less(goal, answered, asked))
    if (rest) {
      const [last, next] = [falling[count - 1], falling[count]]
      const threshold = last === undefined ? NEVER : next === undefined ? 0 : (sure(last) + sure(next)) / 2
      const outcome = {
        thresholds: [threshold, ...rest.thresholds],
        good: answered + rest.good,
        work: asked + rest.work,
      }
      if (!found || isBetter(outcome, found, goal)) found = outcome
    } else if (found && goal.kind === 'answers') break
  }
  return found
}

/** How many of falling values may be answered: never one of two that are equal; `most` places, evenly. */
function placesIn(values: readonly number[], most: number): number[] {
  const places = Array.from({ length: values.length + 1 }, (_, count) => count).filter(
    (count) => count === 0 || count === values.length || values[count - 1] !== values[count],
  )
  if (places.length <= most) return places
  return Array.from({ length: most }, (_, i) => places[Math.round((i * (places.length - 1)) / (most - 1))] as number)
}

/** What is left of a goal. */
const less = (goal: Goal, answered: number, spent: number): Goal =>
  goal.kind === 'answers'
    ? { kind: 'answers', least: goal.least - answered }
    : { kind: 'work', most: goal.most - spent }

/** Sums of work are rounded. */
const ROUNDING = 1 + 1e-9

const meeting = (outcome: Outcome, goal: Goal): Outcome | undefined =>
  (goal.kind === 'answers' ? outcome.good >= goal.least : outcome.work <= goal.most * ROUNDING) ? outcome : undefined

const isBetter = (a: Outcome, b: Outcome, { kind }: Goal): boolean =>
  kind === 'answers' ? a.work < b.work : a.good > b.good || (a.good === b.good && a.work < b.work)

/** What thresholds make of pictures. */
export function outcomeOf(
  stages: readonly StageAnswers[],
  thresholds: readonly number[],
): Outcome & { readonly exits: readonly number[] } {
  const count = stages[0]?.confidence.length ?? 0
  const exits = Array.from({ length: count }, (_, i) =>
    stages.findIndex(({ confidence }, k) => (confidence[i] as number) >= (thresholds[k] ?? -NEVER)),
  )
  const spent = stages.map((_, k) => stages.slice(0, k + 1).reduce((sum, { work }) => sum + work, 0))
  return {
    thresholds,
    exits,
    good: exits.reduce((sum, k, i) => sum + (stages[k]?.good[i] ?? 0), 0),
    work: exits.reduce((sum, k) => sum + (spent[k] as number), 0),
  }
}

/** Stages that are asked, of those that could be, and where they answer. */
export interface Choice extends Outcome {
  /** Indices, rising. */
  readonly chosen: readonly number[]
}

/**
 * The best of all ways to ask two or more of the stages, `most` of them at most, in their order; `undefined` where none
 * meets the goal.
 */
export function bestStages(stages: readonly StageAnswers[], goal: Goal, most: number): Choice | undefined {
  let found: Choice | undefined
  for (const chosen of subsets(stages.length, most)) {
    const outcome = bestThresholds(
      chosen.map((k) => stages[k] as StageAnswers),
      goal,
    )
    if (outcome && (!found || isBetter(outcome, found, goal))) found = { ...outcome, chosen }
  }
  return found
}

/** Rising lists of two to `most` numbers below `count`. */
function subsets(count: number, most: number): number[][] {
  const all = Array.from({ length: 2 ** count }, (_, bits) =>
    Array.from({ length: count }, (_, k) => k).filter((k) => (bits >> k) & 1),
  )
  return all.filter(({ length }) => length >= 2 && length <= most)
}
