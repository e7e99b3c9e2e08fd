/**
 * Images per second and ratios from the same rounds. The machine may be twice as slow in one round as in the next, which
 * the ratio inside a round does not see; so ratios are what is measured, and images per second follow from them.
 */

import type { Interval } from '../evaluation/intervals.js'
import { median } from './interleave.js'

/** How fast something is, beside what it is compared with. */
export interface Speed {
  /** How many times faster than the first: the median of the ratios inside the rounds. */
  readonly speedup: number
  /** Where the middle half of the ratios lies. */
  readonly speedupQuartiles: Interval
  /** Ratios that were measured. */
  readonly ratios: number
  /** The first one's median over rounds, times the ratio: what this one reaches at the machine's usual pace. */
  readonly imagesPerSecond: number
  /** Of the first: the middle half of its runs. Of the others: the first one's median times their ratio's. */
  readonly imagesPerSecondQuartiles: Interval
}

/** Runs of one thing and of the first, side by side in time. */
export interface Pairs {
  /** Milliseconds of each run. */
  readonly own: readonly number[]
  /** Milliseconds of the first one's run of the same round. */
  readonly first: readonly number[]
  /** Pictures of each run. */
  readonly images: readonly number[]
}

/** Speeds of what took turns; the first is what the others are compared with. */
export function speeds(paired: readonly Pairs[]): Speed[] {
  const [first] = paired
  if (!first) return []
  const rates = first.own.map((milliseconds, i) => (1000 * (first.images[i] as number)) / milliseconds)
  const usual = median(rates)
  return paired.map((pairs, i) => {
    const ratios = pairs.own.map((time, round) => (pairs.first[round] as number) / time)
    const [low, high] = quartiles(ratios)
    return {
      speedup: median(ratios),
      speedupQuartiles: [low, high],
      ratios: ratios.length,
      imagesPerSecond: usual * median(ratios),
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
