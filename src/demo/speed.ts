/**
 * Images per second and ratios from the same rounds. The machine may be twice as slow in one round as in the next, which
 * the ratio inside a round does not see; so ratios are what is measured, and images per second follow from them.
 */
import { median, speedup, type Timing } from '../bench/interleave.js'
import type { Interval } from './intervals.js'

/** How fast something is, beside what it is compared with. */
export interface Speed {
  /** How many times faster than the first: the median over rounds of the ratio in each. */
  readonly speedup: number
  /** Where the middle half of the rounds lies. */
  readonly speedupQuartiles: Interval
  /** The first one's median over rounds, times the ratio: what this one reaches at the machine's usual pace. */
  readonly imagesPerSecond: number
  /** Of the first: the middle half of its rounds. Of the others: the first one's median times their ratio's. */
  readonly imagesPerSecondQuartiles: Interval
}

/**
 * Speeds of what took turns; the first is what the others are compared with.
 *
 * @param images - pictures of a timed run, by round
 */
export function speeds(timings: readonly Timing[], images: readonly number[]): Speed[] {
  const [first] = timings
  if (!first) return []
  const rates = first.rounds.map((milliseconds, round) => (1000 * (images[round] as number)) / milliseconds)
  const usual = median(rates)
  return timings.map((timing, i) => {
    const ratio = speedup(first, timing)
    const [low, high] = quartiles(first.rounds.map((time, round) => time / (timing.rounds[round] as number)))
    return {
      speedup: ratio,
      speedupQuartiles: [low, high],
      imagesPerSecond: usual * ratio,
      imagesPerSecondQuartiles: i === 0 ? quartiles(rates) : [usual * low, usual * high],
    }
  })
}

/** The quarter points: medians of the lower and the upper half, the middle value in both (Tukey's hinges). */
export function quartiles(values: readonly number[]): Interval {
  const sorted = [...values].sort((a, b) => a - b)
  const half = Math.ceil(sorted.length / 2)
  return [median(sorted.slice(0, half)), median(sorted.slice(-half))]
}
