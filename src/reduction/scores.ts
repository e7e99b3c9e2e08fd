/** What the class token attends to, for methods that rank tokens by it. */

import type { Dim } from '../graph/dims.js'
import type { Tensor } from '../graph/graph.js'
import { softmax } from '../graph/ops/normalise.js'
import { reshape, slice } from '../graph/ops/shape.js'
import type { Block } from './block.js'

/**
 * The class token's row of the softmax map.
 *
 * @param y - normalised rows `[B, n, C]`, the class token first
 * @param k - keys of all rows `[B, n, C]`
 * @param bias - `[B, 1, 1, n]`, added to the logits of every key
 * @returns `[B, H, n]`
 */
export function classAttention(block: Block, y: Tensor, k: Tensor, biased = (logits: Tensor) => logits): Tensor {
  const [B, n] = k.shape as [Dim, Dim]
  const logits = biased(block.logits(block.query(slice(y, 1, 0, 1)), k)) // [B, H, 1, n]
  return softmax(reshape(logits, [B, block.heads, n])) // [B, H, n]
}
