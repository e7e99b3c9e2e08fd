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
  /** Rows before the image tokens: class token, distillation token, registers; none in some models. */
  readonly prefix: number
  /** LN1: `[B, n, C]` → `[B, n, C]`. */
  norm1(x: Tensor): Tensor
  /**
   * Query, key or value projection of normalised rows: `[B, n, C]` → `[B, n, C]`.
   *
   * Where a model turns queries and keys by their place, `at`, int64 `[B, n]`, says which of its rows these are; without
   * it they are all of them, or leading ones of the prefix.
   */
  query(y: Tensor, at?: Tensor): Tensor
  key(y: Tensor, at?: Tensor): Tensor
  value(y: Tensor): Tensor
  /** All three from one product. */
  queryKeyValue(y: Tensor, at?: Tensor): readonly [Tensor, Tensor, Tensor]
  /**
   * Scaled logits of queries `[B, n, C]` towards keys `[B, m, C]`: `[B, H, n, m]`. Where there are windows, `at`, int64
   * `[B·nW, n]`, says at which of their places the rows stand; without it they are all of them.
   */
  logits(q: Tensor, k: Tensor, at?: Tensor): Tensor
  /** Attention output before its projection, `[B, n, C]`; `bias` `[B, 1, 1, m]` is added to the logits of every key. */
  attend(q: Tensor, k: Tensor, v: Tensor, bias?: Tensor): Tensor
  /** Output projection of the attention branch. */
  project(o: Tensor): Tensor
  /** MLP(LN2(x)); what its two layers read may be changed on the way. */
  feedForward(x: Tensor, within?: Within): Tensor
  /** The pieces for some of the heads, and only their work; absent where rows attend within windows. */
  someHeads?(heads: Heads): HeadPieces
  /** The projections themselves, where keys and values are linear in the normalised row, for those who fold them. */
  readonly linear?: { readonly key: Projection; readonly value: Projection }
  /** Where rows attend to those of their own window alone: then `logits` and `attend` take rows of windows. */
  readonly windows?: Windows
  /** Logits of the query that pools the rows behind the last block, towards rows x as they are here: `[B, H, n]`. */
  poolingLogits?(x: Tensor): Tensor
}

/** The windows that a block cuts its map into. nW windows of w² rows each, N = nW · w². */
export interface Windows {
  /** w², the rows of a window. */
  readonly rows: number
  /** nW, the windows of a picture. */
  readonly count: number
  /** `[B, N, …]` → `[B·nW, w², …]`. */
  enter(x: Tensor): Tensor
  /** `[B·nW, w², …]` → `[B, N, …]`. */
  leave(x: Tensor): Tensor
  /** The tokens that stand at places of windows: int64 `[B·nW, n]` → `[B, nW·n]`, in raster order of the map. */
  tokensAt(at: Tensor): Tensor
  /**
   * Logits `[B·nW, H, n, n]` with the bias of relative positions, and what keeps apart tokens that a shift brought
   * together.
   *
   * @param at - int64 `[B·nW, n]`: places of the rows in their window; absent: all w² in their order
   */
  biased(logits: Tensor, at?: Tensor): Tensor
}

/** Maps what the layers of an MLP read. */
export interface Within {
  /** Normalised rows `[B, n, C]`. */
  readonly input?: (y: Tensor) => Tensor
  /** What the first layer gives, before the activation `[B, n, R·C]`. */
  readonly hidden?: (u: Tensor) => Tensor
}

/** Some of a block's heads, h of H. */
export interface Heads {
  /** int64 `[h]`: which, at least one. */
  readonly at: Tensor
  /** `[B, h]`: 1, or 0 for pictures that do without a head. */
  readonly on: Tensor
}

/** What a block does with some of its heads; what it would do with the others is not computed. */
export interface HeadPieces {
  /** Attention of `[B, a, C]` over `[B, n, C]`, both normalised, through the projection; `bias` `[B, 1, 1, n]`. */
  attend(asking: Tensor, y: Tensor, bias?: Tensor): Tensor
  /** The MLP of rows `[B, n, C]`, of which it sees, or whose hidden units are, those heads' channels. */
  feedForward(x: Tensor, channels: 'inputs' | 'hidden'): Tensor
}

/** A linear layer: weight `[C, C]` in PyTorch's layout, bias `[C]` if any. */
export interface Projection {
  readonly weight: Tensor
  readonly bias: Tensor | undefined
}

/** Residual attention and MLP, for rows whose attention output is `o`. */
export const residual = (block: Block, x: Tensor, o: Tensor): Tensor => {
  const t = add(x, block.project(o)) // [B, n, C]
  return add(t, block.feedForward(t)) // [B, n, C]
}
