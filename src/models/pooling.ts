/**
 * Attention pooling: a learned query looks at all rows behind the final norm, and an MLP refines what it sees (Zhai et
 * al., "Scaling Vision Transformers", arXiv 2106.04560; SigLIP, arXiv 2303.15343). Names are timm's AttentionPoolLatent.
 */

import type { Dim } from '../graph/dims.js'
import type { Tensor } from '../graph/graph.js'
import { attend, mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { add } from '../graph/ops/elementwise.js'
import { linear, matmul } from '../graph/ops/linear.js'
import { reshape, slice, transpose } from '../graph/ops/shape.js'

/** What pools: weights by name behind `attn_pool.`, and what the model's MLPs are made of. */
export interface Pooling {
  readonly heads: number
  weight(name: string): Tensor
  norm(x: Tensor): Tensor
  feedForward(x: Tensor): Tensor
}

/** The query, by head: `[1, H, 1, d]`; it is the same for every picture. */
function poolingQuery({ heads, weight }: Pooling): Tensor {
  return splitHeads(linear(weight('latent'), weight('q.weight'), weight('q.bias')), heads)
}

/** The weights of keys (0) or values (1) by head `[H, d, C]`, and their bias `[C]`. */
function part({ heads: H, weight }: Pooling, i: 0 | 1): { weight: Tensor; bias: Tensor } {
  const both = weight('kv.weight') // [2C, C]
  const C = both.shape[1] as number
  return {
    weight: reshape(slice(both, 0, i * C, (i + 1) * C), [H, C / H, C]),
    bias: slice(weight('kv.bias'), 0, i * C, (i + 1) * C),
  }
}

/**
 * Logits of the query towards rows, without keys: (W_Kᵀ q) · f_j. The constant q · b, which no softmax sees, is left out.
 *
 * @param f - rows behind the final norm `[B, n, C]`
 * @returns `[B, H, n]`, scaled
 */
export function poolingLogits(pooling: Pooling, f: Tensor): Tensor {
  const C = f.shape[2] as number
  const H = pooling.heads
  const folded = reshape(matmul(poolingQuery(pooling), part(pooling, 0).weight), [1, H, C]) // [1, H, C]
  const logits = matmul(f, folded, { transB: true, alpha: (C / H) ** -0.5 }) // [B, n, H]
  return transpose(logits, [0, 2, 1])
}

/**
 * One row of all: `[B, n, C]` behind the final norm → `[B, C]`. Values are not projected either: W_V (Σ_j a_j f_j) + b.
 *
 * @param bias - added to every row's logits `[B, n]`: the logarithm of how often it counts; absent: once
 */
export function attentionPooling(pooling: Pooling, f: Tensor, bias?: Tensor): Tensor {
  const [B, n, C] = f.shape as [Dim, Dim, number]
  const { heads: H, weight } = pooling
  const every = poolingLogits(pooling, f) // [B, H, n]
  const logits = bias ? add(every, reshape(bias, [B, 1, n])) : every // [B, H, n]
  const mixed = reshape(attend(logits, f).mixed, [B, H, 1, C]) // [B, H, 1, C]
  const values = part(pooling, 1)
  const o = add(mergeHeads(matmul(mixed, values.weight, { transB: true })), values.bias) // [B, 1, C]
  const x = linear(o, weight('proj.weight'), weight('proj.bias')) // [B, 1, C]
  const refined = add(x, pooling.feedForward(pooling.norm(x))) // [B, 1, C]
  return reshape(refined, [B, C])
}
