/**
 * Accuracy predicted from agreement: a plan loses where it answers otherwise than the dense model, and then as much as a
 * changed answer costs.
 *
 * What a changed answer costs is learned from all plans that change about as many (on pictures with labels by counting,
 * else by the dense model's own probabilities); how many a plan changes is taken from pictures that had no say in
 * choosing it. Both vary less than the accuracy of one plan on few pictures.
 */

import { type Interval, wilson, Z } from '../evaluation/intervals.js'
import type { Change } from './answers.js'

/** What a changed answer does, on average. */
export interface Exchange {
  /** Right answers lost, less those gained. */
  readonly cost: number
  /** Right answers lost and gained together: how much the cost varies. */
  readonly both: number
}

/** Plans whose agreement differs by no more than this share know what changed answers cost each other. */
const ALIKE = 0.05

/** What a changed answer costs in plans that agree with the dense model in about such a share of pictures. */
export function exchangeAt(agreement: number, changes: readonly Change[]): Exchange {
  const near = changes.filter((each) => Math.abs(agreementOf(each) - agreement) <= ALIKE)
  const total = (of: readonly Change[], what: (each: Change) => number) => of.reduce((sum, each) => sum + what(each), 0)
  const known = total(near, ({ changed }) => changed) > 0 ? near : changes
  const changed = total(known, (each) => each.changed)
  if (changed === 0) return { cost: 0, both: 0 }
  const [lost, gained] = [total(known, (each) => each.lost), total(known, (each) => each.gained)]
  return { cost: (lost - gained) / changed, both: (lost + gained) / changed }
}

export const agreementOf = ({ pictures, changed }: Pick<Change, 'pictures' | 'changed'>): number =>
  1 - changed / pictures

/** What is expected of a plan. */
export interface Expectation {
  /** Percent of pictures answered as the dense model does, and its 95 % interval. */
  readonly agreementPercent: number
  readonly agreementInterval: Interval
  /** Points of top-1 accuracy to the dense model, and the 95 % interval of that. */
  readonly pointsToDense: number
  readonly pointsInterval: Interval
}

/**
 * What a plan's changes on held-out pictures let expect on others.
 *
 * @param known - changes of plans, to learn from what a changed answer costs
 */
export function expectationOf(change: Change, known: readonly Change[]): Expectation {
  const { pictures, changed } = change
  const share = changed / pictures
  const { cost, both } = exchangeAt(1 - share, known)
  const points = 0 - cost * share
  // As for the paired difference of two shares, with the discordant pairs that are expected.
  const half = Z * Math.sqrt(Math.max(0, both * share - points ** 2) / pictures)
  const [low, high] = wilson(pictures - changed, pictures)
  return {
    agreementPercent: 100 * (1 - share),
    agreementInterval: [100 * low, 100 * high],
    pointsToDense: 100 * points,
    pointsInterval: [100 * (points - half), 100 * (points + half)],
  }
}
