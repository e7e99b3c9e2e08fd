/**
 * An idle block in both of its forms (IdleViT, arXiv 2310.05654, section 3.2): tokens are ranked, the first K are computed
 * with the prefix rows, the others pass by.
 */

import { addDims, type Dim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { attend, mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { expandBatch } from '../graph/ops/broadcast.js'
import { choose } from '../graph/ops/choose.js'
import { add, equal, mul, scale, sub } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { softmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { gatherRows, rowMask, type Rows as Selection, scatterRows, selectRows, topK } from '../graph/ops/rows.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import { type Block, residual } from './block.js'
import { foldedLogits, readerAttention } from './folded.js'
import { type Held, held } from './mass.js'
import type { Reads, Step } from './method.js'
import { int64, type Rows, withPrefix } from './rows.js'
import { type Ranking, unledScores } from './scores-unled.js'

/**
 * How image tokens are ranked: the class token's row of the softmax map, or of its raw logits, averaged over heads.
 * The paper speaks of attention scores; the official code ranks the logits.
 */
export type Score = 'softmax' | 'logits'

export interface IdleOptions {
  /** Image tokens to select, K; a symbol when `count` gives it at run time. */
  readonly keep: Dim
  /** int64 `[1]`, the number to keep when it is an input of the graph. */
  readonly count?: Tensor
  /** Select as many tokens as hold this share of the attention, below 1; `keep` is then their symbol. */
  readonly mass?: number
  readonly score?: Score
  /** Who ranks the tokens; default the class token. */
  readonly ranking?: Ranking
  /** No class token leads the rows. */
  readonly unled?: boolean
  /**
   * `folded` (default) scores every token without projecting its key; `projected` is the official code's way,
   * which projects K for all tokens. The ranking is the same.
   */
  readonly scoring?: 'folded' | 'projected'
  /** Selected image tokens, int64 `[B, K]`, given from outside instead of by score. */
  readonly selection?: Tensor
  /**
   * Project queries and keys of every row and hand them out in the trace: what the token cut loss trains.
   * Values, attention, projection and MLP stay with the selected rows. Default false.
   */
  readonly fullAttention?: boolean
}

/** An idle block: rows in, rows out. */
export type IdleBlock = (block: Block, rows: Rows, reads: Reads) => Omit<Step<undefined>, 'state'>

/** The *gathered* form: only selected rows enter the block. */
export function idleBlock(options: IdleOptions): IdleBlock {
  return (block, into, reads) => {
    const { x } = into
    const y = block.norm1(x) // [B, N, C]
    const N = x.shape[1] as number
    const choice = select(block, x, y, options)
    const rows = selectRows(choice.rows, N) // [B, n]
    const { selected, scores, queries, keys } = choice
    const unled = unledOf(options)
    const computed = rowMask(choice.rows, N) // [B, N]
    return {
      rows: { ...into, x: computeRows(block, x, y, rows, choice, reads) },
      tokens: options.keep,
      kept: selected,
      computed: slice(computed, 1, block.prefix), // [B, N0]
      ...(scores && { scores }),
      ...(choice.held && sizesOf(options, choice.held)),
      ...(queries && keys && { attention: { heads: block.heads, queries, keys, selected: computed, ...unled } }),
    }
  }
}

/** Attention and MLP among the selected rows; of them only the prefix rows when nothing else will be read. */
function computeRows(block: Block, x: Tensor, y: Tensor, rows: Selection, known: Choice, reads: Reads): Tensor {
  const { queries, keys, rows: at } = known
  const pick = (t: Tensor) => gatherRows(t, rows) // [B, n, C]
  const yS = pick(y)
  if (reads !== 'all') {
    const first = (t: Tensor) => slice(t, 1, 0, reads) // [B, R, C]
    if (!keys) return residual(block, first(x), readerAttention(block, first(y), yS, { at })) // [B, R, C]
    const q = queries ? first(queries) : block.query(first(y)) // [B, R, C]
    return residual(block, first(x), block.attend(q, pick(keys), block.value(yS))) // [B, R, C]
  }
  const [q, k, v] = keys
    ? [queries ? pick(queries) : block.query(yS, at), pick(keys), block.value(yS)]
    : block.queryKeyValue(yS, at) // [B, n, C] each
  return scatterRows(x, rows, residual(block, pick(x), block.attend(q, k, v))) // [B, N, C]
}

interface Choice {
  /** int64 `[B, K]`, image tokens from 0. */
  readonly selected: Tensor
  /** int64 `[B, n]`, rows of x: the prefix first. */
  readonly rows: Tensor
  readonly scores: Tensor | undefined
  /** Where the picture decides how many they are. */
  readonly held?: Held
  /** Queries and keys of all rows `[B, N, C]`, where they were projected for scoring. */
  readonly queries: Tensor | undefined
  readonly keys: Tensor | undefined
}

/** Ranks the image tokens, by the class token's attention where there is one, and takes the first K. */
function select(block: Block, x: Tensor, y: Tensor, options: IdleOptions): Choice {
  const { keep, mass, score = 'softmax', ranking = 'class', scoring = 'folded', selection } = options
  const { fullAttention = false } = options
  const queries = fullAttention ? block.query(y) : undefined // [B, N, C]
  const asks = ranking !== 'pooling' && ranking !== 'norm'
  const projects = asks && (scoring === 'projected' || !block.linear || ranking === 'received')
  const keys = fullAttention || (projects && !selection) ? block.key(y) : undefined // [B, N, C]
  if (selection) return { selected: selection, rows: withPrefix(block, selection), scores: undefined, queries, keys }
  const scores =
    ranking === 'class'
      ? classScores(block, y, options, queries, keys)
      : unledScores(block, ranking, { x, y, queries, keys }, score === 'logits') // [B, N]
  const ofImage = slice(scores, 1, block.prefix) // [B, N0]
  const enough = mass === undefined ? undefined : held(ofImage, mass)
  const count = enough?.counts ?? options.count // [1]
  const best = bestRows(block, scores, keep, count) // [B, n]
  const rows = count ? unlessAll(block, y, count, best) : best // [B, n]
  const selected = sub(slice(rows, 1, block.prefix), int64(y.graph, block.prefix)) // [B, K]
  return { selected, scores: ofImage, ...(enough && { held: enough }), rows, queries, keys }
}

/** The class token's attention to all rows, averaged over heads: `[B, N]`. */
function classScores(block: Block, y: Tensor, options: IdleOptions, queries?: Tensor, keys?: Tensor): Tensor {
  const { score = 'softmax' } = options
  const cls = (t: Tensor) => slice(t, 1, 0, 1) // [B, 1, C]
  const alpha = logitScale(block, y, score)
  const logits = keys
    ? projectedLogits(block, queries ? cls(queries) : block.query(cls(y)), keys, alpha)
    : foldedLogits(block, cls(y), y, { alpha, shifted: score === 'logits' }) // [B, H, N]
  return headMean(logits, score) // [B, N]
}

/** More than any score. */
const FIRST = 1e30

/** The prefix rows, which are always computed, and behind them those of the K image tokens with the best scores. */
function bestRows(block: Block, scores: Tensor, keep: Dim, count: Tensor | undefined): Tensor {
  const { graph } = scores
  const N = scores.shape[1] as number
  const lead = Float32Array.from({ length: N }, (_, row) => (row < block.prefix ? FIRST : 0))
  const all = count && add(count, int64(graph, block.prefix)) // [1]
  return topK(add(scores, constant(graph, lead, [N], 'prefix')), addDims(keep, block.prefix), all).indices // [B, n]
}

/** `best`, or where `count` keeps every token all rows in their order: then nothing is scored. */
function unlessAll(block: Block, y: Tensor, count: Tensor, best: Tensor): Tensor {
  const { graph } = y
  const N = y.shape[1] as number
  const every = expandBatch(constant(graph, rowNumbers(N), [1, N]), y) // [B, N]
  return choose(equal(count, int64(graph, N - block.prefix)), every, best) // [B, n]
}

const rowNumbers = (rows: number) => BigInt64Array.from({ length: rows }, (_, row) => BigInt(row))

/** Class-token logits from its query `[B, 1, C]` and keys of every row, as the official code computes them. */
function projectedLogits(block: Block, query: Tensor, keys: Tensor, alpha: number): Tensor {
  const [B, N] = keys.shape as [Dim, Dim]
  const H = block.heads
  const logits = matmul(splitHeads(query, H), splitHeads(keys, H), { transB: true, alpha }) // [B, H, 1, N]
  return reshape(logits, [B, H, N]) // [B, H, N]
}

/** Factor of the logits that are ranked: a softmax wants them scaled, the official code's are raw. */
function logitScale({ heads }: Block, y: Tensor, score: Score): number {
  const C = y.shape[2] as number
  return score === 'softmax' ? (C / heads) ** -0.5 : 1
}

/** Scores of all rows `[B, N]` from the class token's logits `[B, H, N]`. */
const headMean = (logits: Tensor, score: Score): Tensor =>
  reduceMean(score === 'softmax' ? softmax(logits) : logits, [1]) // [B, N]

/** What a picture decided, by the symbol that stands for it. */
const sizesOf = ({ keep }: IdleOptions, { counts }: Held): Pick<Step<undefined>, 'sizes'> => ({
  sizes: { [String(keep)]: counts },
})

const unledOf = ({ unled = false }: IdleOptions) => (unled ? { unled } : {})

/** Added to the logits of idle keys; the official code's value. */
const MASKED = -1e5

/** A mask of image tokens with the prefix rows, which are always computed, before it: `[B, N]`. */
function withLead({ prefix }: Block, mask: Tensor): Tensor {
  const lead = constant(mask.graph, new Float32Array(prefix).fill(1), [1, prefix])
  return prefix === 0 ? mask : concat([expandBatch(lead, mask), mask], 1)
}

/**
 * The *masked* form, the paper's finetuning pass: the full map is computed, idle keys are masked out, and only
 * selected rows are updated. The numbers are those of the gathered form.
 */
export function maskedIdleBlock(options: IdleOptions): IdleBlock {
  const { keep, count, mass, score = 'softmax', ranking = 'class', fullAttention = false } = options
  return (block, into, reads) => {
    const { x } = into
    const [B, N, C] = x.shape as [Dim, number, number]
    const H = block.heads
    const unled = unledOf(options)
    const y = block.norm1(x) // [B, N, C]
    const [queries, keys, values] = block.queryKeyValue(y) // [B, N, C] each
    const [q, k, v] = [queries, keys, values].map((t) => splitHeads(t, H)) as [Tensor, Tensor, Tensor] // [B, H, N, d]
    const raw = matmul(q, k, { transB: true }) // [B, H, N, N]
    const cls = () => reshape(slice(raw, 2, 0, 1), [B, H, N]) // [B, H, N]
    const ofAll =
      ranking === 'class'
        ? headMean(scale(cls(), logitScale(block, x, score)), score)
        : unledScores(block, ranking, { x, y, queries, keys }, score === 'logits') // [B, N]
    const scores = slice(ofAll, 1, block.prefix) // [B, N0]
    const enough = mass === undefined ? undefined : held(scores, mass)
    const selected = enough ? undefined : topK(scores, keep, count).indices // [B, K]
    const mask = selected ? rowMask(withPrefix(block, selected), N) : withLead(block, (enough as Held).mask) // [B, N]

    const idle = scale(sub(scalar(x.graph, 1), mask), MASKED) // [B, N]
    const logits = add(scale(raw, (C / H) ** -0.5), reshape(idle, [B, 1, 1, N])) // [B, H, N, N]
    const o = mergeHeads(attend(logits, v).mixed) // [B, N, C]
    const gate = reshape(mask, [B, N, 1]) // [B, N, 1]
    const t = add(x, mul(gate, block.project(o))) // [B, N, C]
    const all = add(t, mul(gate, block.feedForward(t))) // [B, N, C]
    return {
      rows: { ...into, x: reads === 'all' ? all : slice(all, 1, 0, reads) },
      tokens: keep,
      ...(selected && { kept: selected }),
      ...(enough && sizesOf(options, enough)),
      scores,
      computed: slice(mask, 1, block.prefix), // [B, N0]
      ...(fullAttention && { attention: { heads: H, queries, keys, selected: mask, ...unled } }),
    }
  }
}
