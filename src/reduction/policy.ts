/**
 * Attention under a policy, the training form of methods that drop rows (DynamicViT, arXiv 2106.02034, equation 11; ATS
 * uses it, too): all rows are there, but only those of policy 1, and a row itself, are attended to, so that the policy has
 * a gradient.
 */

import type { Dim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, div, exp, mul, sub } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { reduceMax } from '../graph/ops/reduce.js'
import { reshape } from '../graph/ops/shape.js'
import type { Block } from './block.js'

/** ε of training: keeps a sum without a single entry from being 0. */
const EPSILON = 1e-6

/**
 * a_ij = (e_ij G_ij + ε / N) / (Σ_j e_ij G_ij + ε), where G_ij is the policy of j, and 1 on the diagonal.
 *
 * @param q, k, v - `[B, N, C]`
 * @param policy - `[B, N]`
 * @param epsilon - ε; default as in training
 * @returns `[B, N, C]`, before the output projection
 */
export function policyAttention(
  block: Block,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  policy: Tensor,
  epsilon = EPSILON,
): Tensor {
  const { graph } = q
  const [B, N] = q.shape as [Dim, number]
  const one = scalar(graph, 1)
  const eye = constant(
    graph,
    Float32Array.from({ length: N * N }, (_, i) => (i % (N + 1) === 0 ? 1 : 0)),
    [N, N],
  )
  const columns = reshape(policy, [B, 1, 1, N])
  const allowed = add(columns, mul(sub(one, columns), eye)) // [B, 1, N, N]
  const logits = block.logits(q, k) // [B, H, N, N]
  const weights = mul(exp(sub(logits, reduceMax(logits, [3], true))), allowed) // [B, H, N, N]
  const sums = add(reduceSum(weights, [3], true), scalar(graph, epsilon)) // [B, H, N, 1]
  const map = div(add(weights, scalar(graph, epsilon / N)), sums) // [B, H, N, N]
  return mergeHeads(matmul(map, splitHeads(v, block.heads))) // [B, N, C]
}
