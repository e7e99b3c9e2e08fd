/**
 * ATS (Fayyaz et al., "Adaptive Token Sampling", arXiv 2111.15667): in a block the image rows are sampled by the inverse
 * of the cumulated significance of tokens, class attention times the length of the value; rows that are hit by several
 * sample points are taken once, so that every picture keeps a number of its own. Pictures of a batch are packed to the
 * largest number.
 *
 * The official code lets padding shift the sample points, so that a picture's answer depends on its neighbours. Here
 * pictures are independent by default; `batch` is the official way.
 */

import type { Dim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, div, less, mul, sqrt, sub, where } from '../graph/ops/elementwise.js'
import { reduceMax } from '../graph/ops/reduce.js'
import { bottomK, cumulate, gatherLast, scatterLast } from '../graph/ops/rows.js'
import { reshape, slice, zerosLike } from '../graph/ops/shape.js'
import { type Block, residual } from './block.js'
import { type Method, type Step, stateless } from './method.js'
import { denseBlock } from './none.js'
import { columns, pack } from './packing.js'
import { imageRows, keepRows, padRows, pickRows, type Rows, withPrefix } from './rows.js'
import {
  checkRequest,
  firstIdleBlock,
  type KeepPlan,
  type KeepRequest,
  keptSymbol,
  keptTokens,
  stageRatios,
  withRatios,
} from './schedule.js'
import { classAttention } from './scores.js'
import { flag, oneOf, whole } from './settings.js'

export interface AtsSettings {
  /** The first block that samples; default: where the second stage begins. */
  readonly from?: number
  /** Sample points of every block that samples; default: as many as image tokens enter the model. */
  readonly samples?: number
  /** What the sample points go by: each picture by itself, or with the padding of its batch, as officially. */
  readonly sampling?: 'single' | 'batch'
  /** Pack a batch to its largest number of rows; without, it stays as wide as there are sample points. */
  readonly pack?: boolean
}

/** Image rows in the order of their significance, and which of them are sampled. */
interface Sampled {
  /** int64 `[B, m]`: image rows by rising significance, padding first. */
  readonly order: Tensor
  /** `[B, m]`: in that order, sums to 1. */
  readonly significance: Tensor
  /** int64 `[B, M]`: the place in that order that every sample point hits. */
  readonly hits: Tensor
  /** `[B, m]`: in that order, 1 for rows that were hit. */
  readonly mask: Tensor
}

/** The least entry of `[B, m]` among those where `counts` holds, all of which are from 0 to 1: `[B, 1]`. */
function least(x: Tensor, counts: Tensor): Tensor {
  const { graph } = x
  const negated = where(counts, sub(scalar(graph, 0), x), scalar(graph, -2))
  return sub(scalar(graph, 0), reduceMax(negated, [1], true)) // [B, 1]
}

/**
 * Inverse transform sampling at M evenly spaced points.
 *
 * @param weights - `[B, m]`, class attention times length of value; 0 for padding
 * @param real - `[B, m]`: 1, or 0 for padding; absent: no padding
 */
function sample(weights: Tensor, M: number, real: Tensor | undefined, sampling: 'single' | 'batch'): Sampled {
  const { graph } = weights
  const [B, m] = weights.shape as [Dim, Dim]
  const [zero, one] = [scalar(graph, 0), scalar(graph, 1)]
  const normal = div(weights, reduceSum(weights, [1], true)) // [B, m]
  const isReal = real ? less(zero, real) : less(scalar(graph, -1), weights) // [B, m]
  const order = bottomK(real ? where(isReal, normal, scalar(graph, -1)) : normal, m).indices // [B, m]
  const significance = gatherLast(normal, order) // [B, m]
  const sums = cumulate(significance) // [B, m]
  const start = sampling === 'batch' ? slice(sums, 1, 0, 1) : least(normal, isReal) // [B, 1]
  const spread = div(sub(sums, start), sub(reduceMax(sums, [1], true), start)) // [B, m]: 0 … 1, padding below
  const share = where(less(zero, spread), spread, zero) // [B, m]
  const first = least(share, less(zero, share)) // [B, 1]
  const steps = constant(
    graph,
    Float32Array.from({ length: M }, (_, i) => i / Math.max(1, M - 1)),
    [1, M],
  )
  const points = add(first, mul(steps, sub(one, first))) // [B, M]
  const gaps = sub(reshape(points, [B, M, 1]), reshape(share, [B, 1, m])) // [B, M, m]
  const hits = reshape(bottomK(mul(gaps, gaps), 1).indices, [B, M]) // [B, M]
  const mask = scatterLast(zerosLike(share), hits, add(zerosLike(points), one)) // [B, m]
  return { order, significance, hits, mask }
}

function samplingBlock(block: Block, rows: Rows, M: number, plan: AtsSettings & { official: boolean }) {
  const { sampling = 'single', pack: packs = true, official } = plan
  const y = block.norm1(rows.x) // [B, n, C]
  const [k, v] = [block.key(y), block.value(y)] // [B, n, C] each
  const bias = columns(rows)
  const attention = classAttention(block, y, k, (logits) => (bias ? add(logits, bias) : logits)) // [B, H, n]
  const lengths = sqrt(reduceSum(mul(v, v), [2])) // [B, n]
  const weights = slice(mul(reduceSum(attention, [1]), lengths), 1, rows.prefix) // [B, m]
  const real = rows.present && slice(rows.present, 1, rows.prefix) // [B, m]
  const sampled = sample(weights, M, real, sampling)
  const m = imageRows(rows)
  const width = packs ? keptSymbol(block.index) : Math.min(M, m as number)
  // Sampled rows first, by rising significance, packed to the picture that has most of them.
  const { places, real: stays, counts } = pack(sampled.mask, width) // [B, K]
  const chosen = gatherLast(sampled.order, places) // [B, K]
  const left = padRows(keepRows(rows, chosen), stays) // [B, P + K, C]
  const at = withPrefix(rows, chosen) // [B, P + K]
  // Only rows that stay ask.
  const o = official
    ? pickRows(block.attend(block.query(y), k, v, bias), at)
    : block.attend(block.query(pickRows(y, at)), k, v, bias) // [B, P + K, C]
  const out = { ...left, x: residual(block, left.x, o) } // [B, P + K, C]
  const { significance, hits, order } = sampled
  return {
    rows: out,
    tokens: width,
    scores: weights,
    sizes: { [keptSymbol(block.index)]: counts },
    seen: { significance, hits, order },
  } satisfies Omit<Step<undefined>, 'state'>
}

/** Sample points of every block that samples; official configurations have one for every image token. */
function plan(request: KeepRequest & AtsSettings, depth: number, tokens: number): KeepPlan {
  const { keepRatio, keepRatios, keepTokens, samples, from = firstIdleBlock(depth) } = request
  checkRequest({ keepRatio, keepRatios, keepTokens }, depth, tokens)
  const listed = keepTokens ?? keptTokens(tokens, keepRatios ?? stageRatios(depth, keepRatio ?? 1))
  const points = (l: number) => Math.min(tokens, Math.max(LEAST, samples ?? (listed[l] as number)))
  return withRatios(
    Array.from({ length: depth }, (_, l) => (l < from ? tokens : points(l))),
    tokens,
  )
}

/** Fewer sample points the official code does not take. */
const LEAST = 8

export const ats: Method<AtsSettings> = {
  name: 'ats',
  summary: 'samples tokens by class attention and length of value, as many as the picture needs',
  keeps: 'K, K², K³ of all tokens as sample points, of which several may hit one token',
  paper: 'arXiv 2111.15667',
  shrinks: true,
  needsClassToken: true,
  settings: {
    from: { describes: 'the first block that samples (default: where the second quarter begins)', ...whole(0) },
    samples: {
      describes: 'sample points of every such block (default: one a token)',
      ...whole(LEAST),
      schedules: true,
    },
    sampling: {
      describes: 'each picture by itself (single, the default) or as officially (batch)',
      ...oneOf('single', 'batch'),
    },
    pack: { describes: 'pack a batch to its largest number of tokens (default: true)', ...flag },
  },
  plan: (request, { depth, tokens }) => ({
    ...plan(request, depth, tokens),
    from: request.from ?? firstIdleBlock(depth),
  }),
  countings: { official: { label: 'queries of all rows (structure of the official code)', plan: { official: true } } },
  open: ({ shape }, { keep, from = firstIdleBlock(shape.depth), official = false, ...settings }) =>
    stateless((block, rows, reads) => {
      if (block.index < from || reads !== 'all') return denseBlock(block, rows, reads)
      return samplingBlock(block, rows, keep[block.index] as number, { ...settings, official })
    }),
}
