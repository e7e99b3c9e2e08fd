/** Methods at the same work: for each the rate whose multiply-adds come nearest to a target. */

import { costOf, type Knob, type Sized } from './methods.js'

/**
 * The index whose work is nearest to `target`, of `count` whose work never falls: by halving, then the better of the two
 * around the target. Of equally good ones the one with less work.
 */
export function nearest(count: number, work: (i: number) => number, target: number): number {
  let [low, high] = [0, count - 1] // the first index with at least the target's work, or the last of all, lies within
  while (low < high) {
    const middle = (low + high) >> 1
    if (work(middle) >= target) high = middle
    else low = middle + 1
  }
  const below = low - 1
  return below >= 0 && target - work(below) <= Math.abs(work(low) - target) ? below : low
}

/** The value of a method's knob at which a model's executed multiply-adds come nearest to `gmacs`. */
export function matchGmacs(model: Sized, knob: Knob, gmacs: number): number {
  return knob.value(nearest(knob.count, (i) => costOf(model, knob.at(knob.value(i))).gmacs, gmacs))
}
