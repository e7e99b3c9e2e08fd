/**
 * Evo-ViT (Xu et al., "Slow-Fast Token Evolution", arXiv 2108.01390), as its DeiT code computes it: at the first block of
 * a stage the image rows are sorted by the class attention that has come together so far; the first K run through the
 * blocks of the stage, the others wait and are put back unchanged behind it. The paper's representative token, which
 * moves those that wait, is not in that code.
 */

import type { Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, cast, less, scale } from '../graph/ops/elementwise.js'
import { gatherLast, topK } from '../graph/ops/rows.js'
import { concat, slice } from '../graph/ops/shape.js'
import { crossEntropy } from '../losses/classification.js'
import { type Block, residual } from './block.js'
import type { Form, Method, Reads, Step } from './method.js'
import { denseBlock } from './none.js'
import { forget, homeOf, imageRows, int64, keepRows, putBack, type Rows, setAside } from './rows.js'
import { checkRequest, type KeepPlan, type KeepRequest, keptTokens, withRatios } from './schedule.js'
import { classAttention } from './scores.js'
import { flag } from './settings.js'

export interface EvovitSettings {
  /** Sort in every block instead of once a stage, as in the first epochs of training; default false. */
  readonly layerwise?: boolean
  /** Do not put back the tokens that wait when the last block is done; default false. */
  readonly prunecls?: boolean
}

/** Class attention of every image row, summed over heads and averaged over blocks `[B, m + w]`; none before block 0. */
type GlobalAttention = Tensor | undefined

/** Blocks of dense evolution: the first third. */
const denseBlocks = (depth: number): number => Math.max(1, Math.floor(depth / 3))

/** Where rows are sorted: where the second and the last third begin, and wherever K changes. */
function sorts(l: number, keep: readonly (number | 'fed')[], layerwise: boolean): boolean {
  const third = denseBlocks(keep.length)
  if (l < third) return false
  return layerwise || (l % third === 0 && l < 3 * third) || keep[l] !== keep[l - 1]
}

/** A block in which all rows run, or the first K. */
function run(block: Block, rows: Rows, g: GlobalAttention, reads: Reads, share: number): Step<GlobalAttention> {
  if (reads !== 'all') return { ...denseBlock(block, forget(rows), reads), state: g }
  const y = block.norm1(rows.x) // [B, n, C]
  const [q, k, v] = block.queryKeyValue(y) // [B, n, C] each
  const attention = slice(reduceSum(classAttention(block, y, k), [1]), 1, rows.prefix) // [B, m]
  const out = { ...rows, x: residual(block, rows.x, block.attend(q, k, v)) } // [B, n, C]
  return { rows: out, state: blend(g, attention, share), tokens: imageRows(rows) }
}

/** (1 - t) g + t a for the rows that ran, the first ones; the others keep theirs. */
function blend(g: GlobalAttention, attention: Tensor, share: number): Tensor {
  if (!g || share === 1) return attention
  const m = attention.shape[1] as number
  const ran = add(scale(slice(g, 1, 0, m), 1 - share), scale(attention, share)) // [B, m]
  return m === g.shape[1] ? ran : concat([ran, slice(g, 1, m)], 1) // [B, m + w]
}

/** All rows by falling class attention, and of those all but the first K set aside. */
function sortRows(rows: Rows, g: Tensor, K: number) {
  const all = putBack(rows)
  const order = topK(g, imageRows(all)).indices // [B, N0]
  const sorted = keepRows(all, order) // [B, n, C]
  return { all, order, rows: setAside(sorted, K), g: gatherLast(g, order) }
}

function form(keep: readonly (number | 'fed')[], layerwise: boolean, prunecls: boolean): Form<GlobalAttention> {
  const third = denseBlocks(keep.length)
  return {
    start: () => undefined,
    block(block, rows, g, reads) {
      const l = block.index
      const K = keep[l] as number
      const share = l < third ? 1 : 0.5 // the trade-off between what was and what is
      const all = putBack(rows)
      const sortsHere = sorts(l, keep, layerwise) && K < (imageRows(all) as number)
      if (sortsHere && g) {
        const sorted = sortRows(rows, g, K)
        const step = run(block, sorted.rows, sorted.g, reads, share)
        const kept = slice(sorted.order, 1, 0, K) // [B, K]
        return { ...step, kept, scores: g, computed: ran(sorted.rows, K), seen: { order: sorted.order } }
      }
      const runs = sorts(l, keep, layerwise) ? all : rows
      const step = run(block, runs, g, reads, share)
      return runs.waiting ? { ...step, computed: ran(runs, K) } : step
    },
    end: (rows) => (prunecls ? rows : putBack(rows)),
  }
}

/** 1 for tokens whose row is among the first K: `[B, N0]`. */
const ran = (rows: Rows, K: number): Tensor => cast(less(homeOf(rows), int64(rows.x.graph, K)), 'float32')

/** Image rows that run in every block: a share K of all of them behind the first third, by trunc(N0 · K). */
function plan({ keepRatio = 1, ...request }: KeepRequest, depth: number, tokens: number): KeepPlan {
  const { keepRatios, keepTokens } = request
  checkRequest({ ...request, keepRatio: keepRatios || keepTokens ? undefined : keepRatio }, depth, tokens)
  const ratios = keepRatios ?? Array.from({ length: depth }, (_, l) => (l < denseBlocks(depth) ? 1 : keepRatio))
  const keep = keepTokens ?? keptTokens(tokens, ratios)
  return withRatios(keep, tokens)
}

export const evovit: Method<EvovitSettings> = {
  name: 'evovit',
  summary: 'lets the tokens of little class attention wait for four blocks (Evo-ViT)',
  keeps: 'K of all tokens in the second and in the last third of the blocks',
  paper: 'arXiv 2108.01390',
  shrinks: false,
  needsClassToken: true,
  settings: {
    layerwise: { describes: 'sort the tokens in every block instead of once a stage (default: false)', ...flag },
    prunecls: { describes: 'read out without the tokens that wait in the last stage (default: false)', ...flag },
  },
  plan: (request, { depth, tokens }) => plan(request, depth, tokens),
  learning: {
    losses: {
      class: {
        label: 'Cross entropy of the class token’s head',
        weight: 0, // the official recipe has 0.5, and 0.5 for the head on the mean of all tokens
        needsClassHead: true,
        compute: ({ headLogits: [, cls], targets }) => cls && crossEntropy(cls, targets),
      },
    },
  },
  open: (_, { keep, layerwise = false, prunecls = false }) => form(keep, layerwise, prunecls),
}
