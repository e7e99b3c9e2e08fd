/**
 * Where a cascade of nets (DVT, arXiv 2105.15075) answers: at the first net whose confidence, the largest softmax probability,
 * reaches its threshold. Thresholds are found on data, as the official code does it (inference.py), so that given shares of
 * the pictures are answered by every net. Safe in browsers.
 */

import { fail } from '../errors.js'

/** A threshold that nothing reaches: every picture goes on. */
export const NEVER = 1e8

/** Largest softmax probability of every row of logits `[B, classes]`. */
export function confidencesOf(logits: Float32Array, classes: number): Float64Array {
  return Float64Array.from({ length: logits.length / classes }, (_, b) => {
    const row = logits.subarray(b * classes, (b + 1) * classes)
    const max = row.reduce((a, z) => Math.max(a, z), Number.NEGATIVE_INFINITY)
    return 1 / row.reduce((sum, z) => sum + Math.exp(z - max), 0)
  })
}

/**
 * Shares of the pictures that every net should answer: proportional to (budget / 20)^k for net k = 1, 2, …
 *
 * @param budget - small: almost all leave early; 20: equal shares; the official tables run from 1 to 59
 */
export function exitShares(budget: number, nets: number): number[] {
  const powers = Array.from({ length: nets }, (_, k) => (budget / 20) ** (k + 1))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}

/**
 * Thresholds under which the shares of these pictures are answered by every net: of net k the confidence of the
 * ⌊S p_k⌋-th picture, by falling confidence, of those that no net before answers; {@link NEVER} where that is none.
 *
 * @param confidences - by net, then by picture
 * @returns a threshold for every net; the last answers all that is left
 */
export function findThresholds(confidences: readonly ArrayLike<number>[], shares: readonly number[]): number[] {
  const pictures = confidences[0]?.length ?? 0
  let left = Array.from({ length: pictures }, (_, i) => i)
  return confidences.map((own, k) => {
    if (k === confidences.length - 1) return -NEVER
    const confidence = (i: number) => own[i] as number
    const wanted = Math.floor(pictures * (shares[k] as number))
    const falling = [...left].sort((a, b) => confidence(b) - confidence(a))
    const at = wanted > 0 ? falling[wanted - 1] : undefined
    const threshold = at === undefined ? NEVER : confidence(at)
    left = left.filter((i) => confidence(i) < threshold)
    return threshold
  })
}

/** The first net that is confident enough of a picture. */
export function exitOf(confidences: readonly number[], thresholds: readonly number[]): number {
  const exit = confidences.findIndex((confidence, k) => confidence >= (thresholds[k] ?? -NEVER))
  return exit < 0 ? confidences.length - 1 : exit
}

/**
 * Thresholds as they are given: one for every net but the last, which answers whatever is left.
 *
 * @throws InputError on another number of them, or on what is no number from 0 on
 */
export function checkThresholds(
  thresholds: readonly number[],
  nets: number,
  what: string,
  each: 'net' | 'step' = 'net',
): readonly number[] {
  if (thresholds.length !== nets - 1)
    fail(
      `${what}: wanted ${nets - 1} ${nets === 2 ? 'number' : 'numbers'}, one for every ${each} but the last, found ${thresholds.length}`,
    )
  const wrong = thresholds.find((threshold) => !Number.isFinite(threshold) || threshold < 0)
  if (wrong !== undefined) fail(`${what}: wanted probabilities (above 1: nothing leaves there), found ${wrong}`)
  return thresholds
}
