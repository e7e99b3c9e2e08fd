/**
 * What the prefix rows see, without keys and values of the rows they look at: a projection that every row would go
 * through is moved to the few rows that ask.
 */

import type { Dim } from '../graph/dims.js'
import type { Tensor } from '../graph/graph.js'
import { attend, mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { add } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { reshape, transpose } from '../graph/ops/shape.js'
import type { Block, Projection } from './block.js'

export interface LogitOptions {
  /** Factor of the logits; default 1. */
  readonly alpha?: number
  /**
   * Add the constant q · b too, so that the logits are those of projected keys; default false. It changes no ranking,
   * and a softmax takes it out again.
   */
  readonly shifted?: boolean
}

/**
 * Attention logits of some rows towards all: q · (W_K y_j + b) = (W_Kᵀ q) · y_j + q · b.
 *
 * @param asking - the rows that ask, normalised, `[B, P, C]`
 * @param y - the rows that are looked at, normalised, `[B, N, C]`
 * @returns `[B, H·P, N]`
 */
export function foldedLogits(block: Block, asking: Tensor, y: Tensor, options: LogitOptions = {}): Tensor {
  const { alpha = 1, shifted = false } = options
  const [B, P, C] = asking.shape as [Dim, number, number]
  const { bias } = linearOf(block).key
  const H = block.heads
  const q = splitHeads(block.query(asking), H) // [B, H, P, d]
  const folded = foldedQueries(block, asking, q) // [B, H·P, C]
  // Tokens are the rows of this product: rows are summed in one order wherever they stand, so equal tokens tie exactly.
  const logits = transpose(matmul(y, folded, { transB: true, alpha }), [0, 2, 1]) // [B, H·P, N]
  if (!bias || !shifted) return logits
  const shift = matmul(q, reshape(bias, [H, C / H, 1]), { alpha }) // [B, H, P, 1]
  return add(logits, reshape(shift, [B, H * P, 1])) // [B, H·P, N]
}

/**
 * What normalised rows are multiplied with for their logits, instead of keys: W_Kᵀ q for every head.
 *
 * @param asking - the rows that ask, normalised, `[B, P, C]`
 * @param q - their queries by head `[B, H, P, d]`
 * @returns `[B, H·P, C]`
 */
export function foldedQueries(
  block: Block,
  asking: Tensor,
  q: Tensor = splitHeads(block.query(asking), block.heads),
): Tensor {
  const [B, P, C] = asking.shape as [Dim, number, number]
  return reshape(matmul(q, byHead(block, linearOf(block).key)), [B, block.heads * P, C]) // [B, H·P, C]
}

/**
 * Attention of some rows over all: Σ_j a_j (W_V y_j + b) = W_V (Σ_j a_j y_j) + b, for every head, as the a_j sum to 1.
 *
 * @param asking - the rows that ask, normalised, `[B, P, C]`
 * @param y - the rows that are looked at, normalised, `[B, N, C]`
 * @param columns - `[B, 1, 1, N]`, added to the logits of every row that is looked at
 * @returns `[B, P, C]`, before the output projection
 */
export function foldedAttention(block: Block, asking: Tensor, y: Tensor, columns?: Tensor): Tensor {
  const [B, P, C] = asking.shape as [Dim, number, number]
  const { value } = linearOf(block)
  const { bias } = value
  const H = block.heads
  const logits = foldedLogits(block, asking, y, { alpha: (C / H) ** -0.5 }) // [B, H·P, N]
  const biased = columns ? add(logits, reshape(columns, [B, 1, y.shape[1] as Dim])) : logits // [B, H·P, N]
  const mixed = reshape(attend(biased, y).mixed, [B, H, P, C]) // [B, H, P, C]
  const o = mergeHeads(matmul(mixed, byHead(block, value), { transB: true })) // [B, P, C]
  return bias ? add(o, bias) : o
}

/**
 * Attention of the rows that are read over all, folded where the block allows it.
 *
 * @param asking - the rows that ask, normalised, `[B, P, C]`
 * @param y - the rows that are looked at, normalised, `[B, N, C]`
 * @returns `[B, P, C]`, before the output projection
 */
export const readerAttention = (block: Block, asking: Tensor, y: Tensor, { bias, at }: ReaderOptions = {}): Tensor =>
  block.linear
    ? foldedAttention(block, asking, y, bias)
    : block.attend(block.query(asking), block.key(y, at), block.value(y), bias)

export interface ReaderOptions {
  /** `[B, 1, 1, N]`, added to the logits of every row that is looked at. */
  readonly bias?: Tensor | undefined
  /** int64 `[B, N]`: which of the model's rows are looked at; absent: all of them. */
  readonly at?: Tensor
}

function linearOf({ linear, index }: Block): NonNullable<Block['linear']> {
  if (!linear) throw new Error(`block ${index}: keys and values that are not linear in the rows cannot be folded`)
  return linear
}

/** The weights of a projection by head: `[C, C]` → `[H, d, C]`. */
function byHead({ heads: H }: Block, { weight }: Projection): Tensor {
  const [out, inner] = weight.shape as [number, number]
  return reshape(weight, [H, out / H, inner])
}
