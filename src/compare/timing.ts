/** Speed of all rows of a comparison, in turns, on the pictures of the data. */

import { type Contender, interleave, median, speedup, type Timing } from '../bench/interleave.js'
import { quartiles } from '../bench/speed.js'
import type { Classifier } from '../runtime/classifier.js'
import type { Pool, Runnable } from './pool.js'

/** How fast a row is. */
export interface Speed {
  /** Milliseconds of a batch: of every round the mean of a block. */
  readonly msPerBatch: { readonly min: number; readonly median: number; readonly max: number }
  /** How many times faster than the first: the median over rounds of the ratio in each … */
  readonly speedup: number
  /** … and where the middle half of the rounds lies. */
  readonly speedupQuartiles: readonly [number, number]
  /** The first one's median, times the ratio: at the machine's usual pace. */
  readonly imagesPerSecond: number
}

export interface TimingOptions {
  readonly rounds: number
  /** Least length of a block of consecutive batches, in milliseconds. */
  readonly blockMilliseconds: number
  readonly onRound?: (done: number, total: number) => void
}

/** Batches of pictures, `[B, 3, S, S]` each, all of one size. */
export type Batches = readonly [Float32Array, ...Float32Array[]]

/**
 * Times classifiers in turns. What a method computes may depend on the picture: each goes through the batches in turn.
 *
 * @returns by classifier, the first being what the others are compared with
 */
export function time(
  classifiers: readonly Pick<Classifier, 'forward'>[],
  batches: Batches,
  options: TimingOptions,
): Promise<Timing[]> {
  const contenders = classifiers.map((classifier): Contender => {
    let turn = 0
    return { run: () => classifier.forward(batches[turn++ % batches.length] as Float32Array) }
  })
  return interleave(contenders, { ...options, warmup: 1 })
}

/**
 * Times all rows of a pool in turns, as many together as memory holds.
 *
 * @returns by group, the dense row at the head of each; and how many rows were timed together
 */
export async function timeAll<R extends Runnable>(
  pool: Pool<R>,
  batches: Batches,
  { onRound, ...options }: TimingOptions,
): Promise<{ readonly timings: readonly (readonly Timing[])[]; readonly together: number }> {
  const groups = pool.timingGroups()
  const timings: Timing[][] = []
  for (const [g, group] of groups.entries()) {
    const classifiers = await pool.open(group)
    const told = (done: number, total: number) => onRound?.(g * total + done, groups.length * total)
    timings.push(await time(classifiers, batches, { ...options, onRound: told }))
  }
  return { timings, together: Math.max(...groups.map((group) => group.length)) }
}

/**
 * Speeds from timings; where not all rows fit into memory at once there are several groups, each with the dense row first.
 *
 * @param images - pictures of a batch
 * @returns the speed of the dense row, then those of the others, group by group
 */
export function speedsOf(groups: readonly (readonly Timing[])[], images: number): Speed[] {
  const dense = groups.flatMap(([first]) => first?.rounds ?? [])
  const usual = (1000 * images) / median(dense)
  const all = { rounds: dense, min: Math.min(...dense), median: median(dense), max: Math.max(...dense) }
  return [
    speed(all, all, usual),
    ...groups.flatMap(([first, ...others]) => others.map((each) => speed(first as Timing, each, usual))),
  ]
}

function speed(dense: Timing, timing: Timing, usual: number): Speed {
  const { min, median, max, rounds } = timing
  const ratio = speedup(dense, timing)
  return {
    msPerBatch: { min, median, max },
    speedup: ratio,
    speedupQuartiles: quartiles(dense.rounds.map((time, round) => time / (rounds[round] as number))) as [
      number,
      number,
    ],
    imagesPerSecond: usual * ratio,
  }
}
