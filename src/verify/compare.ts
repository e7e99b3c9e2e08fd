/** What a replay gives, and how it is compared with what was expected. */

import type { Reference } from './reference.js'

/** What our implementation computed for one expected tensor. */
export interface Actual {
  readonly data: ArrayLike<number | bigint>
  readonly shape?: readonly number[]
  /**
   * Default: 3e-5 absolute plus 3e-5 relative for floats, exact for integers. `absolute` allows a fixed distance,
   * `mean` a mean distance.
   */
  readonly tolerance?: { readonly absolute: number } | { readonly mean: number }
}

/** Actual values by the name behind `expect.`. */
export type Replay = (reference: Reference) => Promise<ReadonlyMap<string, Actual>>

export interface Check {
  readonly name: string
  /** Largest distance, or the mean one where the tolerance is on the mean. */
  readonly maxAbsDiff: number
  readonly tolerance: number
  readonly pass: boolean
}

/** Value tolerance: float32 implementations of the same formula stay within it, wrong formulas do not. */
export const TOLERANCE = 3e-5

/** What rounding makes of a gradient that is 0, such as that of a bias of keys, which no softmax sees. */
const ROUNDING = 1e-6

/** Compares a gradient: each entry within 1e-4 of the tensor's largest one. */
export function compareGradient(name: string, expected: Parameters<typeof compare>[1], actual: Actual): Check {
  let largest = 0
  for (let i = 0; i < expected.data.length; i++) largest = Math.max(largest, Math.abs(Number(expected.data[i])))
  return compare(name, expected, { ...actual, tolerance: { absolute: Math.max(1e-4 * largest, ROUNDING) } })
}

/** Compares one tensor with what was expected. */
export function compare(
  name: string,
  expected: { readonly data: ArrayLike<number | bigint>; readonly shape: readonly number[] },
  actual: Actual,
): Check {
  const exact = !(expected.data instanceof Float32Array)
  const { tolerance = exact ? { absolute: 0 } : undefined } = actual
  const sameShape = !actual.shape || actual.shape.join() === expected.shape.join()
  if (!sameShape || actual.data.length !== expected.data.length)
    return { name, maxAbsDiff: Number.POSITIVE_INFINITY, tolerance: 0, pass: false }
  let worst = 0
  let sum = 0
  let excess = Number.NEGATIVE_INFINITY
  for (let i = 0; i < expected.data.length; i++) {
    const want = Number(expected.data[i])
    const difference = Math.abs(Number(actual.data[i]) - want)
    const allowed = tolerance && 'absolute' in tolerance ? tolerance.absolute : TOLERANCE + TOLERANCE * Math.abs(want)
    sum += difference
    if (!(difference <= worst)) worst = difference
    if (!(difference - allowed <= excess)) excess = difference - allowed // NaN exceeds
  }
  if (tolerance && 'mean' in tolerance) {
    const mean = sum / Math.max(1, expected.data.length)
    return { name, maxAbsDiff: mean, tolerance: tolerance.mean, pass: mean <= tolerance.mean }
  }
  const shown = tolerance && 'absolute' in tolerance ? tolerance.absolute : TOLERANCE
  return { name, maxAbsDiff: worst, tolerance: shown, pass: expected.data.length === 0 || excess <= 0 }
}
