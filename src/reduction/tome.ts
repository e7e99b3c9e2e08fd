/**
 * ToMe (Bolya et al., "Token Merging: Your ViT But Faster", arXiv 2210.09461): between attention and MLP of every block
 * the r rows that are most like another one are merged into it.
 *
 * Rows are parted alternately into A (even) and B (odd); every row of A looks for its likest in B, by the cosine of keys
 * averaged over heads; the r best pairs are merged. A row that stands for several tokens counts for as many: in the mean,
 * and in attention, by log(size) on its column.
 */

import { fail } from '../errors.js'
import type { Dim } from '../graph/dims.js'
import { constant, type Tensor } from '../graph/graph.js'
import { expandBatch, reduceSum } from '../graph/ops/broadcast.js'
import { add, div, log, mul, sqrt } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { addLast, addRows, bottomK, gatherLast, scatterLast, selectRows, topK } from '../graph/ops/rows.js'
import { concat, pad, reshape, slice } from '../graph/ops/shape.js'
import { type Block, residual } from './block.js'
import { readerAttention } from './folded.js'
import { type Method, type ModelShape, stateless } from './method.js'
import { imageRows, int64, mergeRows, numbers, pickRows, type Rows } from './rows.js'
import { checkRequest, type KeepPlan, type KeepRequest, keptTokens, withRatios } from './schedule.js'
import { flag, real, wholes } from './settings.js'

export interface TomeSettings {
  /** Rows merged in every block: one number, or one for each; blocks that a list leaves out merge none. */
  readonly r?: number | readonly number[]
  /** From r (1 - inflect) in the first block to r (1 + inflect) in the last; default 0, constant. */
  readonly inflect?: number
  /** Proportional attention: a row weighs as many as it stands for; default true. */
  readonly proportional?: boolean
}

/** A block that leaves `left` image rows. */
function mergingBlock(block: Block, rows: Rows, left: number, proportional: boolean): Rows {
  const { x, size } = rows
  const [q, k, v] = block.queryKeyValue(block.norm1(x)) // [B, n, C] each
  const attended = add(x, block.project(block.attend(q, k, v, proportional ? columns(size) : undefined))) // [B, n, C]
  const r = (imageRows(rows) as number) - left
  const out = r > 0 ? merge({ ...rows, x: attended }, likeness(k, block.heads), r) : { ...rows, x: attended }
  return { ...out, x: add(out.x, block.feedForward(out.x)) } // [B, n - r, C]
}

/** log(size) for the logits of every key `[B, 1, 1, n]`; nothing where every row is one token. */
function columns(size: Tensor | undefined): Tensor | undefined {
  return size && reshape(log(size), [size.shape[0] as Dim, 1, 1, size.shape[1] as Dim])
}

/** Keys averaged over heads, of length 1: `[B, n, C]` → `[B, n, d]`. */
function likeness(k: Tensor, heads: number): Tensor {
  const [B, n, C] = k.shape as [Dim, number, number]
  const mean = reduceMean(reshape(k, [B, n, heads, C / heads]), [2]) // [B, n, d]
  return div(mean, sqrt(reduceSum(mul(mean, mean), [2], true))) // [B, n, d]
}

/** A pair of rows for each merge, and who is left; row numbers of x, int64. */
interface Pairs {
  /** `[B, r]`: rows of A, and the rows of B that they join, counted from 0 in B. */
  readonly sources: Tensor
  readonly targets: Tensor
  /** `[B, a - r]`: rows of A that stay, ascending, so that the class token stays first. */
  readonly stay: Tensor
}

/** More than any cosine. */
const LAST = 10

/** The r best pairs of an even and an odd row; prefix rows are in none. */
function pair(metric: Tensor, r: number, prefix: number): Pairs {
  const { graph } = metric
  const [B, n, d] = metric.shape as [Dim, number, number]
  const [a, b] = [Math.ceil(n / 2), Math.floor(n / 2)]
  const halves = reshape(pad(metric, 1, 0, n % 2), [B, a, 2, d]) // [B, a, 2, d]
  const half = (i: number) => reshape(slice(halves, 2, i, i + 1), [B, a, d]) // [B, a, d]
  const skipped = Math.floor(prefix / 2) // prefix rows among the odd ones
  const cosines = matmul(half(0), slice(half(1), 1, skipped, b), { transB: true }) // [B, a, b - skipped]
  const best = topK(cosines, 1)
  const protectedRows = Math.ceil(prefix / 2) // prefix rows among the even ones
  const lead = constant(
    graph,
    Float32Array.from({ length: a }, (_, i) => (i < protectedRows ? -LAST : 0)),
    [a],
  )
  const order = topK(add(reshape(best.values, [B, a]), lead), a).indices // [B, a], most alike first
  const sources = slice(order, 1, 0, r) // [B, r]
  const inB = add(reshape(best.indices, [B, a]), int64(graph, skipped)) // [B, a]
  const two = int64(graph, 2)
  return {
    sources: mul(sources, two), // [B, r]
    targets: gatherLast(inB, sources), // [B, r]
    stay: mul(bottomK(slice(order, 1, r), a - r).values, two), // [B, a - r]
  }
}

/** Merges r image rows into others: means weighted by size; then rows of A that stay, then B. */
function merge(rows: Rows, metric: Tensor, r: number): Rows {
  const { x, prefix } = rows
  const { graph } = x
  const [B, n] = x.shape as [Dim, number, number]
  const [a, b] = [Math.ceil(n / 2), Math.floor(n / 2)]
  const size = rows.size ?? ones(x, n) // [B, n]
  const { sources, targets, stay } = pair(metric, r, prefix)
  const odd = constant(
    graph,
    BigInt64Array.from({ length: b }, (_, i) => BigInt(2 * i + 1)),
    [1, b],
  )
  const all = expandBatch(odd, stay) // [B, b]
  // Prefix rows lie alternately in A and B, and come first again.
  const [evens, odds] = prefix > 1 ? [Math.ceil(prefix / 2), Math.floor(prefix / 2)] : [0, 0]
  const heads = Array.from({ length: evens + odds }, (_, i) =>
    slice(i % 2 === 0 ? stay : all, 1, Math.floor(i / 2), Math.floor(i / 2) + 1),
  )
  const tails = prefix > 1 ? [slice(stay, 1, evens), slice(all, 1, odds)] : [stay, all]
  const from = concat([...heads, ...tails], 1) // [B, n - r]
  const into = add(targets, int64(graph, a - r)) // [B, r]: the new rows that sources join

  const weighted = rows.size ? mul(x, reshape(size, [B, n, 1])) : x // [B, n, C]
  const sums = addRows(pickRows(weighted, from), selectRows(into, n - r), pickRows(weighted, sources)) // [B, n - r, C]
  const sizes = addLast(gatherLast(size, from), into, gatherLast(size, sources)) // [B, n - r]
  const means = div(sums, reshape(sizes, [B, n - r, 1])) // [B, n - r, C]

  const before = int64(graph, -prefix)
  const to = scatterLast(scatterLast(numbers(x, n), from, numbers(x, n - r)), sources, into) // [B, n]
  return mergeRows(
    rows,
    { x: means, size: sizes },
    add(slice(to, 1, prefix), before), // [B, m]
    add(slice(from, 1, prefix), before), // [B, m - r]
  )
}

const ones = (like: Tensor, n: number): Tensor =>
  expandBatch(constant(like.graph, new Float32Array(n).fill(1), [1, n]), like)

/** The most that a block of n rows can merge: every other one, without prefix rows. */
const most = (n: number, prefix: number): number => Math.floor((n - prefix) / 2)

/** Rows to merge in every block, before it is known how many there are. */
function schedule({ r = 0, inflect = 0 }: TomeSettings, depth: number): number[] {
  if (typeof r !== 'number') {
    if (r.length > depth) fail(`r: wanted at most ${depth} values, one per block, found ${r.length}`)
    return Array.from({ length: depth }, (_, l) => r[l] ?? 0)
  }
  const first = Math.trunc(r * (1 - inflect))
  const last = 2 * r - first
  if (first < 0 || last < 0) fail(`inflect: wanted a number from -1 to 1, found ${inflect}`)
  return Array.from({ length: depth }, (_, l) => Math.trunc(first + ((last - first) / Math.max(1, depth - 1)) * l))
}

/**
 * Image rows that every block leaves.
 *
 * A keep ratio K becomes the constant r after which K³ of the tokens are left, as many as other methods keep in the last
 * stage.
 */
function plan(request: KeepRequest & TomeSettings, shape: ModelShape): KeepPlan {
  const { depth, tokens, prefix } = shape
  const { keepRatio = 1, keepRatios, keepTokens, inflect, r } = request
  checkRequest({ keepRatio: request.keepRatio, keepRatios, keepTokens }, depth, tokens)
  if (inflect !== undefined && typeof r !== 'number')
    fail('inflect: wanted one number as r, from which it rises or falls')
  const listed = keepTokens ?? (keepRatios && keptTokens(tokens, keepRatios))
  const perBlock = r === undefined ? Math.round((tokens * (1 - keepRatio ** 3)) / depth) : r
  const merges = schedule({ r: perBlock, ...(inflect !== undefined && { inflect }) }, depth)
  let rows = tokens
  const keep = Array.from({ length: depth }, (_, l) => {
    const possible = most(rows + prefix, prefix)
    if (listed && rows - (listed[l] as number) > possible)
      fail(`tome: block ${l} can merge at most ${possible} of ${rows} rows, but ${listed[l]} are to be left`)
    if (listed && (listed[l] as number) > rows)
      fail(`tome: tokens that are merged do not part, but block ${l} keeps ${listed[l]} after ${rows}`)
    rows = listed ? (listed[l] as number) : rows - Math.min(merges[l] as number, possible)
    return rows
  })
  return withRatios(keep, tokens)
}

export const tome: Method<TomeSettings> = {
  name: 'tome',
  summary: 'merges the tokens that are most alike, some in every block',
  keeps: 'as many merged in every block as leave K³ of all tokens',
  paper: 'arXiv 2210.09461',
  shrinks: true,
  settings: {
    r: { describes: 'tokens merged in every block, or one number for each', ...wholes, schedules: true },
    inflect: {
      describes: 'with r: from r (1 - inflect) in the first to r (1 + inflect) in the last block',
      ...real,
      schedules: true,
    },
    proportional: { describes: 'a merged token weighs as many as it stands for (default: true)', ...flag },
  },
  plan: (request, shape) => ({ ...plan(request, shape), proportional: request.proportional ?? true }),
  open: (_, { keep, proportional = true }) =>
    stateless((block, rows, reads) => {
      if (reads === 'all') {
        const out = mergingBlock(block, rows, keep[block.index] as number, proportional)
        return { rows: out, tokens: imageRows(out) }
      }
      // What is merged is not read any more.
      const y = block.norm1(rows.x) // [B, n, C]
      const first = (t: Tensor) => slice(t, 1, 0, reads) // [B, R, C]
      const o = readerAttention(block, first(y), y, { bias: proportional ? columns(rows.size) : undefined }) // [B, R, C]
      return { rows: { ...rows, x: residual(block, first(rows.x), o) }, tokens: imageRows(rows) }
    }),
}
