/**
 * The token cut loss (IdleViT, arXiv 2310.05654, equations 9 and 10): a normalised-graph-cut term that drives attention
 * between selected (S) and idle (I) tokens towards zero, so that leaving the idle ones out changes little.
 *
 * Of row i of a map W over all N tokens, two sums matter:
 *   out_i = Σ_{j in I} W_ij                for selected rows, and
 *   in_i  = Σ_{j in S without CLS} W_ij    for idle rows.
 * Rows of W sum to 1, so the intra term of a selected row, (Σ_{j in S} W_ij - 1)², is out_i²: the same as its half of
 * the inter term.
 */

import type { Dim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { attend, splitHeads } from '../graph/ops/attention.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, cast, div, equal, mul, scale, sub } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { concat, reshape } from '../graph/ops/shape.js'

/** Attention among all rows, idle ones included, and who was selected. */
export interface FullAttention {
  readonly heads: number
  /** Queries and keys of every row, `[B, N, C]`, heads side by side in C. */
  readonly queries: Tensor
  readonly keys: Tensor
  /** No class token leads the rows. */
  readonly unled?: boolean
  /** `[B, N]`: 1 on the rows that were computed (the prefix among them), 0 on idle ones. */
  readonly selected: Tensor
}

/** Attention across the cut, attention that leaves the selected tokens, or the sum of both terms. */
export type CutKind = 'both' | 'inter' | 'intra'

/**
 * `paper`: every head's softmax map; means over S and over I; summed over blocks.
 * `official`: softmax of the head-mean logits; one mean over all N rows; the sum over the visited blocks is divided by
 * the number of idle blocks.
 */
export type CutReduction = 'paper' | 'official'

/** Idle blocks that count. The official loop deletes from the list it walks through and so visits every second one. */
export type CutBlocks = 'all' | 'every-second'

export interface CutOptions {
  readonly kind?: CutKind
  readonly reduction?: CutReduction
  /** Default: `all` with `paper`, `every-second` with `official`, as each of them does. */
  readonly blocks?: CutBlocks
}

/** Whether the idle block number `i`, counted from 0, counts: only then does it need to trace its attention. */
export function visits(i: number, { reduction = 'official', blocks }: CutOptions): boolean {
  return (blocks ?? (reduction === 'paper' ? 'all' : 'every-second')) === 'all' || i % 2 === 0
}

/**
 * The token cut loss over the idle blocks of a model.
 *
 * @param traces - the attention of every idle block, in order; of those that do not count it may be absent
 * @returns a scalar, before its coefficient (20 in the paper)
 */
export function tokenCut(traces: readonly (FullAttention | undefined)[], options: CutOptions = {}): Tensor {
  const { kind = 'both', reduction = 'official' } = options
  const visited = traces.flatMap((attention, i) => {
    if (!visits(i, options)) return []
    if (!attention) throw new Error(`token cut: idle block number ${i} has not traced its attention`)
    return [attention]
  })
  const sum = visited
    .map((each) => blockCut(cutLogits(each, reduction), each.selected, kind, reduction, each.unled))
    .reduce(add)
  return reduction === 'paper' ? sum : scale(sum, 1 / traces.length)
}

/**
 * Logits of the map that is cut: `[B, H, N, N]` of every head, or `[B, 1, N, N]` their mean over heads, which is one
 * product over all channels.
 */
export function cutLogits({ queries, keys, heads }: FullAttention, reduction: CutReduction): Tensor {
  const [B, N, C] = queries.shape as [Dim, Dim, number]
  const alpha = (C / heads) ** -0.5
  if (reduction === 'paper') return matmul(splitHeads(queries, heads), splitHeads(keys, heads), { transB: true, alpha })
  return reshape(matmul(queries, keys, { transB: true, alpha: alpha / heads }), [B, 1, N, N])
}

/**
 * The token cut loss of one block.
 *
 * @param logits - `[B, H, N, N]`; H = 1 for the official head mean
 * @param selected - `[B, N]`: 1 on selected rows, 0 on idle ones; row 0 is the class token
 * @param unled - it is not: no row is exempt
 * @returns a scalar
 */
export function blockCut(
  logits: Tensor,
  selected: Tensor,
  kind: CutKind,
  reduction: CutReduction,
  unled = false,
): Tensor {
  const { graph } = logits
  const [B, N] = selected.shape as [Dim, number]
  const idle = sub(scalar(graph, 1), selected) // [B, N]
  const column = (x: Tensor) => reshape(x, [B, 1, N, 1])
  const squares = squaredSums(logits, selected, idle, unled) // [B, H, N, 2]

  const terms = [kind === 'both' ? 2 : 1, kind === 'intra' ? 0 : 1] as const
  const rows = reduction === 'paper' ? [share(selected), share(idle)] : [selected, idle].map((x) => scale(x, 1 / N)) // [B, N] each
  const weights = concat(
    rows.map((x, i) => column(scale(x, terms[i] as number))),
    3,
  ) // [B, 1, N, 2]
  const perHead = reduceSum(mul(weights, squares), [2, 3]) // [B, H]
  return reduceMean(perHead, [0, 1])
}

/** out_i² and in_i² of every row of the map whose logits are `[B, H, N, N]`: `[B, H, N, 2]`. */
export function squaredSums(logits: Tensor, selected: Tensor, idle: Tensor, unled = false): Tensor {
  const { graph } = logits
  const [B, N] = selected.shape as [Dim, number]
  const notClass = constant(
    graph,
    Float32Array.from({ length: N }, (_, j) => (j === 0 && !unled ? 0 : 1)),
    [N],
  )
  const column = (x: Tensor) => reshape(x, [B, 1, N, 1])
  const across = concat([column(idle), column(mul(selected, notClass))], 3) // [B, 1, N, 2]
  const sums = attend(logits, across).mixed // [B, H, N, 2]
  return mul(sums, sums)
}

/** Rows of 0 and 1 as weights that sum to 1 in every picture (to 0 where there is no 1): `[B, N]` → `[B, N]`. */
function share(rows: Tensor): Tensor {
  const count = reduceSum(rows, [1], true) // [B, 1]
  const none = cast(equal(count, scalar(rows.graph, 0)), 'float32') // [B, 1]
  return div(rows, add(count, none))
}
