/**
 * Counts that a picture decides: as many tokens as hold a share of the attention that ranks them. A picture whose class
 * token looks at one thing computes few, one that it looks all over many.
 */

import type { Dim } from '../graph/dims.js'
import type { Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { cast, less, scale, sub } from '../graph/ops/elementwise.js'
import { cumulate, scatterLast, topK } from '../graph/ops/rows.js'
import { zerosLike } from '../graph/ops/shape.js'

/** Tokens that hold a share of the attention. */
export interface Held {
  /** `[B, m]`: 1 for those tokens, else 0. */
  readonly mask: Tensor
  /** int64 `[B]`: how many they are, one at least. What is sized by it is of one picture: the runtime refuses more. */
  readonly counts: Tensor
}

/**
 * The fewest tokens that hold `share` of all attention, best first: one counts where those before it hold less.
 *
 * @param scores - attention of the image tokens `[B, m]`, none below 0
 * @param share - above 0 and below 1
 */
export function held(scores: Tensor, share: number): Held {
  const { values, indices } = topK(scores, scores.shape[1] as Dim) // [B, m]
  const before = sub(cumulate(values), values) // [B, m]
  const inside = cast(less(before, scale(reduceSum(values, [1], true), share)), 'float32') // [B, m]
  return {
    mask: scatterLast(zerosLike(scores), indices, inside),
    counts: cast(reduceSum(inside, [1]), 'int64'), // [B]
  }
}
