/**
 * What a token reduction method sees of a transformer block: its pieces, as functions of tensors.
 *
 * A backbone supplies the pieces; a method recombines them around its choice of tokens. Neither knows the other.
 */

import type { Tensor } from '../graph/graph.js'
import { add } from '../graph/ops/elementwise.js'

/** The pieces of a pre-norm block, C wide. Branch outputs come scaled, ready to be added to the residual. */
export interface Block {
  readonly index: number
  readonly heads: number
  /** Rows before the image tokens: 1 (class token) or 2 (and distillation token). */
  readonly prefix: number
  /** LN1: `[B, n, C]` → `[B, n, C]`. */
  norm1(x: Tensor): Tensor
  /** Query, key or value projection of normalised rows: `[B, n, C]` → `[B, n, C]`. */
  query(y: Tensor): Tensor
  key(y: Tensor): Tensor
  value(y: Tensor): Tensor
  /** All three from one product. */
  queryKeyValue(y: Tensor): readonly [Tensor, Tensor, Tensor]
  /** The projections themselves, for those who fold them. */
  readonly keyProjection: Projection
  readonly valueProjection: Projection
  /** Output projection of the attention branch. */
  project(o: Tensor): Tensor
  /** MLP(LN2(x)). */
  feedForward(x: Tensor): Tensor
}

/** A linear layer: weight `[C, C]` in PyTorch's layout, bias `[C]` if any. */
export interface Projection {
  readonly weight: Tensor
  readonly bias: Tensor | undefined
}

/** What a block did with its tokens, by picture. */
export interface BlockTrace {
  readonly block: number
  /** int64 `[B, K]`: image tokens that were computed, best score first, counted from 0 in raster order. */
  readonly selected: Tensor
  /** `[B, N0]`: score of every image token; absent when the selection was given. */
  readonly scores?: Tensor
  /** What the attention of all rows follows from, for the token cut loss; present when asked for. */
  readonly attention?: FullAttention
}

/** Attention among all rows, idle ones included, and who was selected. */
export interface FullAttention {
  readonly heads: number
  /** Queries and keys of every row, `[B, N, C]`, heads side by side in C. */
  readonly queries: Tensor
  readonly keys: Tensor
  /** `[B, N]`: 1 on the rows that were computed (the prefix among them), 0 on idle ones. */
  readonly selected: Tensor
}

/** Rows that the next block, or the head, will read. */
export type Readout = 'all' | 'prefix'

/** A block under a reduction method: rows in, rows out. */
export type ReducedBlock = (
  block: Block,
  x: Tensor,
  readout: Readout,
) => { readonly x: Tensor; readonly trace?: BlockTrace }

/** Residual attention and MLP, for rows whose attention output is `o`. */
export const residual = (block: Block, x: Tensor, o: Tensor): Tensor => {
  const t = add(x, block.project(o)) // [B, n, C]
  return add(t, block.feedForward(t)) // [B, n, C]
}
