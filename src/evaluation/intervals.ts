/** How sure an accuracy is: 95 % intervals over pictures. */

export type Interval = readonly [low: number, high: number]

/** Quantile of the normal distribution: 95 % lie within so many standard deviations. */
export const Z = 1.959963984540054

/**
 * Wilson's interval of a share (Wilson 1927; "score" in Newcombe 1998, Statistics in Medicine 17:857).
 *
 * @returns two shares, 0 to 1
 */
export function wilson(right: number, count: number): Interval {
  const share = right / count
  const square = Z * Z
  const middle = (2 * right + square) / (2 * (count + square))
  const half = (Z * Math.sqrt(square + 4 * count * share * (1 - share))) / (2 * (count + square))
  return [Math.max(0, middle - half), Math.min(1, middle + half)]
}

/**
 * Difference of two shares on the same pictures, `now` less `before`, with Wald's interval for pairs: only pictures on which the two
 * differ count, so it is narrower than the intervals of the two would tell.
 */
export function pairedDifference(
  now: ArrayLike<number>,
  before: ArrayLike<number>,
): { readonly difference: number; readonly interval: Interval } {
  const count = now.length
  let [won, lost] = [0, 0]
  for (let i = 0; i < count; i++) {
    if (now[i] && !before[i]) won++
    if (!now[i] && before[i]) lost++
  }
  const difference = (won - lost) / count
  const half = (Z * Math.sqrt(won + lost - (won - lost) ** 2 / count)) / count
  return { difference, interval: [difference - half, difference + half] }
}
