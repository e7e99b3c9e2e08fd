/**
 * Pictures that decide by themselves how many rows they go on with: rows that stay come first, a batch is packed to the
 * picture that has most of them, and what fills up the others is padding that nobody attends to.
 */

import type { Dim } from '../graph/dims.js'
import { scalar, type Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, cast, detach, less, scale, sub, where } from '../graph/ops/elementwise.js'
import { reduceMax } from '../graph/ops/reduce.js'
import { cumulate, gatherLast, topK } from '../graph/ops/rows.js'
import { reshape, zerosLike } from '../graph/ops/shape.js'
import type { Rows } from './rows.js'

/** The logit of padding; float16 holds it, and its exponential is 0. */
export const PADDING = 1e4

/** Keeps rows of mask 0 out of attention: `[B, n]` → `[B, 1, 1, n]`, for the logits of every key. */
export function columnsOf(mask: Tensor): Tensor {
  const bias = scale(sub(mask, scalar(mask.graph, 1)), PADDING) // [B, n]: 0 or -PADDING
  return reshape(bias, [mask.shape[0] as Dim, 1, 1, mask.shape[1] as Dim])
}

/** Keeps padding out of attention: `[B, 1, 1, n]`; nothing where there is none. */
export const columns = ({ present }: Rows): Tensor | undefined => present && columnsOf(present)

/** Rows that were packed. */
export interface Packed {
  /** int64 `[B, K]`: places of the mask, those of 1 first, each group in its order. */
  readonly places: Tensor
  /** `[B, K]`: 1, or 0 for what fills a picture up. */
  readonly real: Tensor
  /** `[B]`: how many are real, or `least`. */
  readonly counts: Tensor
}

/**
 * Packs what a mask marks to the picture that marks most.
 *
 * @param mask - `[B, m]`: 1 or 0
 * @param width - K: a symbol, or a number that is at least as large as any picture's count
 * @param least - places that there are even where nothing is marked; default none
 */
export function pack(mask: Tensor, width: Dim, least = 0): Packed {
  const one = scalar(mask.graph, 1)
  const place = cumulate(add(zerosLike(mask), one)) // [B, m]: 1, 2, 3, …
  const counts = reduceSum(mask, [1]) // [B]
  const most = reduceMax(counts, [0], true) // [1]
  const floor = scalar(mask.graph, least)
  const raised = (t: Tensor) => (least > 0 ? where(less(t, floor), floor, t) : t)
  const largest = typeof width === 'string' ? cast(raised(most), 'int64') : undefined // [1]
  const rank = sub(scale(mask, PADDING), place) // [B, m]
  const places = topK(rank, width, largest).indices // [B, K]
  return { places, real: detach(gatherLast(mask, places)), counts: raised(counts) }
}
