/** Attention maps of a block, for looking at: built beside the model from the rows that enter the block. */

import type { Dim } from '../graph/dims.js'
import { constant, type Tensor } from '../graph/graph.js'
import { mul } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { softmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { reshape, transpose } from '../graph/ops/shape.js'
import type { Block } from './block.js'

/** Scaled logits E = q kᵀ / √d among all rows x `[B, N, C]`: `[B, H, N, N]`. */
export function attentionLogits(block: Block, x: Tensor): Tensor {
  const y = block.norm1(x) // [B, N, C]
  const [B, N, C] = y.shape as [Dim, Dim, number]
  const H = block.heads
  const d = C / H
  const heads = (t: Tensor) => transpose(reshape(t, [B, N, H, d]), [0, 2, 1, 3]) // [B, H, N, d]
  const raw = matmul(heads(block.query(y)), heads(block.key(y)), { transB: true }) // [B, H, N, N]
  return mul(raw, constant(x.graph, Float32Array.of(d ** -0.5), [], 'scale'))
}

/** The softmax map of a block: `[B, H, N, N]`, rows sum to 1. */
export const attentionMap = (block: Block, x: Tensor): Tensor => softmax(attentionLogits(block, x))

/**
 * What every row receives of the attention of all rows x `[B, N, C]` that may attend to it, the mean over heads and those
 * rows: `[B, N]`. Where there are windows those are the rows of its own.
 */
export function receivedAttention(block: Block, x: Tensor): Tensor {
  const { windows } = block
  if (!windows) return reduceMean(attentionMap(block, x), [1, 2])
  const y = windows.enter(block.norm1(x)) // [B·nW, w², C]
  const map = softmax(block.logits(block.query(y), block.key(y))) // [B·nW, H, w², w²]
  return windows.leave(reduceMean(map, [1, 2]))
}
