/** Methods at the same work: for each the rate whose multiply-adds come nearest to a target. */

import type { Knob, Reduction } from './methods.js'

/** What is executed for a picture under a reduction, in 10⁹ multiply-adds. */
export type Work = (reduction: Reduction) => number | Promise<number>

/**
 * The index whose work is nearest to `target`, of `count` whose work rises on the whole: by halving, then by trying the
 * `around` values on either side. Of equally good ones the first.
 */
export async function nearest(
  count: number,
  work: (i: number) => number | Promise<number>,
  target: number,
  around = 1,
): Promise<number> {
  let [low, high] = [0, count - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((await work(middle)) >= target) high = middle
    else low = middle + 1
  }
  let best = { i: low, off: Number.POSITIVE_INFINITY }
  for (let i = Math.max(0, low - around); i <= Math.min(count - 1, low + around); i++) {
    const off = Math.abs((await work(i)) - target)
    if (off < best.off) best = { i, off }
  }
  return best.i
}

/** The value of a method's knob at which the executed multiply-adds come nearest to `gmacs`. */
export async function matchGmacs(knob: Knob, work: Work, gmacs: number): Promise<number> {
  return knob.value(await nearest(knob.count, (i) => work(knob.at(knob.value(i))), gmacs, knob.around))
}
