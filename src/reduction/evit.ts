/**
 * EViT (Liang et al., "Not All Patches Are What You Need", arXiv 2202.07800): between attention and MLP of some blocks
 * the image rows that the class token attends to most are kept, and the others are fused into one row, or dropped.
 */

import type { Dim } from '../graph/dims.js'
import { scalar, type Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, div, mul, sub } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { rowMask, topK } from '../graph/ops/rows.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import type { Block } from './block.js'
import { type Method, type Step, stateless } from './method.js'
import { denseBlock } from './none.js'
import { appendRow, imageRows, keepRows, pickRows, type Rows, withPrefix } from './rows.js'
import { checkRequest, type KeepPlan, type KeepRequest, stageStarts, withRatios } from './schedule.js'
import { classAttention } from './scores.js'
import { flag } from './settings.js'

export interface EvitSettings {
  /** Fuse the rows that are not kept into one; default true. */
  readonly fuse?: boolean
}

/** What is known before the attention output is projected. */
interface Ranked {
  readonly y: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** `[B, m]`: head mean of the class token's attention. */
  readonly scores: Tensor
  /** int64 `[B, K]`, best first. */
  readonly kept: Tensor
}

/** A block that keeps K image rows, and one more if it fuses. */
function reducingBlock(block: Block, rows: Rows, K: number, fuse: boolean, official: boolean) {
  const y = block.norm1(rows.x) // [B, n, C]
  const [k, v] = [block.key(y), block.value(y)] // [B, n, C] each
  const attention = reduceMean(classAttention(block, y, k), [1]) // [B, n]
  const scores = slice(attention, 1, rows.prefix) // [B, m]
  const ranked = { y, k, v, scores, kept: topK(scores, K).indices }
  const attend = official ? officially : fuse ? fusing : dropping
  const left = attend(block, rows, ranked, fuse)
  const out = { ...left, x: add(left.x, block.feedForward(left.x)) } // [B, n', C]
  return { rows: out, tokens: imageRows(out), kept: ranked.kept, scores } satisfies Omit<Step<undefined>, 'state'>
}

/** Attention for all rows, of which some are then kept. */
function officially(block: Block, rows: Rows, ranked: Ranked, fuse: boolean): Rows {
  const { y, k, v, kept } = ranked
  const x = add(rows.x, block.project(block.attend(block.query(y), k, v))) // [B, n, C]
  const left = keepRows({ ...rows, x }, kept) // [B, P + K, C]
  return fuse ? appendRow(left, matmul(weightsOfOthers(rows, ranked), slice(x, 1, rows.prefix)), rows) : left
}

/** Rows that are dropped need no query: attention is computed for the others alone. */
function dropping(block: Block, rows: Rows, { y, k, v, kept }: Ranked): Rows {
  const left = keepRows(rows, kept) // [B, P + K, C]
  const q = block.query(pickRows(y, withPrefix(rows, kept))) // [B, P + K, C]
  return { ...left, x: add(left.x, block.project(block.attend(q, k, v))) } // [B, P + K, C]
}

/**
 * The kept rows, and behind them f = Σ s_j (x_j + proj(o_j)) over the others.
 *
 * The projection is affine, so that with S = Σ s_j one row of it is enough: f = Σ s_j x_j + S proj(Σ s_j o_j / S).
 */
function fusing(block: Block, rows: Rows, ranked: Ranked): Rows {
  const { y, k, v, kept } = ranked
  const o = block.attend(block.query(y), k, v) // [B, n, C]
  const weights = weightsOfOthers(rows, ranked) // [B, 1, m]
  const sum = reduceSum(weights, [2], true) // [B, 1, 1]
  const image = (t: Tensor) => slice(t, 1, rows.prefix) // [B, m, C]
  const fusedX = matmul(weights, image(rows.x)) // [B, 1, C]
  const fusedO = div(matmul(weights, image(o)), add(sum, scalar(o.graph, TINY))) // [B, 1, C]
  const left = keepRows(rows, kept) // [B, P + K, C]
  const projected = block.project(concat([pickRows(o, withPrefix(rows, kept)), fusedO], 1)) // [B, P + K + 1, C]
  const count = left.x.shape[1] as number
  const x = add(left.x, slice(projected, 1, 0, count)) // [B, P + K, C]
  const fused = add(fusedX, mul(sum, slice(projected, 1, count))) // [B, 1, C]
  return appendRow({ ...left, x }, fused, rows) // [B, P + K + 1, C]
}

/** s_j of the rows that are not kept, 0 of the others; they sum to less than 1: `[B, 1, m]`. */
function weightsOfOthers(rows: Rows, { scores, kept }: Ranked): Tensor {
  const m = imageRows(rows) as number
  const others = mul(scores, sub(scalar(scores.graph, 1), rowMask(kept, m))) // [B, m]
  return reshape(others, [scores.shape[0] as Dim, 1, m])
}

/** Keeps a sum of scores that is 0 from dividing by 0. */
const TINY = 1e-30

/** Image rows that every block keeps of those that come in: ⌈rate · m⌉ where a stage begins, or by a list. */
function plan({ fuse = true, ...request }: KeepRequest & EvitSettings, depth: number, tokens: number): KeepPlan {
  const { keepRatio = 1, keepRatios, keepTokens } = request
  checkRequest(request, depth, tokens)
  const starts = stageStarts(depth)
  let rows = tokens
  const keep = Array.from({ length: depth }, (_, l) => {
    const rate = keepRatios ? (keepRatios[l] as number) : starts.includes(l) ? keepRatio : 1
    const left = Math.min(rows, keepTokens ? (keepTokens[l] as number) : Math.ceil(rate * rows))
    if (left < rows) rows = left + (fuse ? 1 : 0)
    return left
  })
  return withRatios(keep, tokens)
}

export const evit: Method<EvitSettings> = {
  name: 'evit',
  summary: 'keeps what the class token attends to most and fuses the rest into one token, at three blocks',
  keeps: 'K of the tokens that are left, where each of these quarters begins',
  paper: 'arXiv 2202.07800',
  shrinks: true,
  needsClassToken: true,
  settings: { fuse: { describes: 'fuse the tokens that are not kept (default: true)', ...flag } },
  plan: (request, { depth, tokens }) => ({ ...plan(request, depth, tokens), fuse: request.fuse ?? true }),
  open: (_, { keep, fuse = true, official = false }) =>
    stateless((block, rows, reads) => {
      const K = keep[block.index] as number
      if (K >= (imageRows(rows) as number) || reads !== 'all') return denseBlock(block, rows, reads)
      return reducingBlock(block, rows, K, fuse, official)
    }),
}
