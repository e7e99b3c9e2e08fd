/**
 * What plans take in time on this device, without timing each: whole graphs of every method are timed at a few amounts of
 * work, in turns with the dense one, and a line through them (time over executed multiply-adds, both as shares of the
 * dense model's) tells the others. Shares of one run hold on a busy machine, too.
 */

import { fail } from '../errors.js'

/** A plan that was timed. */
export interface Timed {
  /** Its multiply-adds, and its time, as shares of the dense model's. */
  readonly work: number
  readonly time: number
}

/** How time follows from work, for one method. */
export interface CostModel {
  /** Time that does not depend on the work, as a share of the dense model's time. */
  readonly fixed: number
  /** Time for each share of the work. */
  readonly slope: number
  /** How far timed plans are off, by the line through all others: the root mean square, as a share of their time. */
  readonly error: number
  readonly timed: readonly Timed[]
}

/** The least slope: more work never takes less time. */
const LEAST = 0.05

/**
 * The line through timed plans, by least squares of the relative error.
 *
 * @throws InputError where there are fewer than two different amounts of work
 */
export function fitCost(timed: readonly Timed[]): CostModel {
  if (new Set(timed.map(({ work }) => work)).size < 2)
    fail(`a cost model: wanted at least two timed plans of different work, found ${timed.length}`)
  const line = lineThrough(timed)
  const off = timed.map((left, i) => {
    const others = timed.filter((_, j) => j !== i)
    const known = new Set(others.map(({ work }) => work)).size >= 2 ? lineThrough(others) : line
    return timeAt(known, left.work) / left.time - 1
  })
  const error = Math.sqrt(off.reduce((sum, each) => sum + each ** 2, 0) / off.length)
  return { ...line, error, timed }
}

/** The time of so much work, both as shares of the dense model's. */
export const timeAt = ({ fixed, slope }: Pick<CostModel, 'fixed' | 'slope'>, work: number): number =>
  fixed + slope * work

/**
 * A model that gives a plan the time it was measured to take, its slope as it was.
 *
 * @param error - how sure that time is, as a share of it
 */
export const corrected = (model: CostModel, { work, time }: Timed, error: number): CostModel => ({
  ...model,
  fixed: time - model.slope * work,
  error,
})

function lineThrough(timed: readonly Timed[]): Pick<CostModel, 'fixed' | 'slope'> {
  // Relative errors: each point weighs 1 / time².
  const weights = timed.map(({ time }) => 1 / time ** 2)
  const sum = (value: (each: Timed) => number) =>
    timed.reduce((total, each, i) => total + (weights[i] as number) * value(each), 0)
  const all = sum(() => 1)
  const [work, time] = [sum((each) => each.work) / all, sum((each) => each.time) / all]
  const spread = sum((each) => (each.work - work) ** 2)
  const together = sum((each) => (each.work - work) * (each.time - time))
  const slope = Math.max(LEAST, together / spread)
  const fixed = time - slope * work
  // Work that takes no time is noise: then time is in proportion to work.
  if (fixed < 0) return { fixed: 0, slope: sum((each) => each.work * each.time) / sum((each) => each.work ** 2) }
  return { fixed, slope }
}
