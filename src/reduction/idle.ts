/**
 * Token idling (IdleViT, arXiv 2310.05654, section 3.2).
 *
 * In every idle block the K image tokens that the class token attends to most are selected and computed, together
 * with the class token. The others are idle: they pass by unchanged and may be selected again by a later block.
 */

import type { Dim } from '../graph/dims.js'
import { constant, type Tensor } from '../graph/graph.js'
import { attention } from '../graph/ops/attention.js'
import { add, mul, sub } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { softmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { gatherRows, rowMask, scatterRows, selectRows, topK } from '../graph/ops/rows.js'
import { concat, expandBatch, reshape, slice, transpose } from '../graph/ops/shape.js'
import { type Block, type Readout, type ReducedBlock, residual } from './block.js'

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
  readonly score?: Score
  /**
   * `folded` (default) scores every token without projecting its key; `projected` is the official code's way,
   * which projects K for all tokens. The ranking is the same.
   */
  readonly scoring?: 'folded' | 'projected'
  /** Selected image tokens, int64 `[B, K]`, given from outside instead of by score. */
  readonly selection?: Tensor
}

/** The *gathered* form, for inference: only selected rows enter the block. */
export function idleBlock(options: IdleOptions): ReducedBlock {
  return (block, x, readout) => {
    const y = block.norm1(x) // [B, N, C]
    const N = x.shape[1] as number
    const choice = select(block, y, options)
    const rows = selectRows(choice.rows, N) // [B, n]
    const computed = computeRows(block, x, gatherRows(x, rows), gatherRows(y, rows), readout, choice.keys?.(rows))
    const trace = { block: block.index, selected: choice.selected, ...(choice.scores && { scores: choice.scores }) }
    return { x: readout === 'all' ? scatterRows(x, rows, computed) : computed, trace }
  }
}

/** Attention and MLP among the selected rows; of them only the prefix rows when nothing else will be read. */
function computeRows(block: Block, x: Tensor, xS: Tensor, yS: Tensor, readout: Readout, keys?: Tensor): Tensor {
  if (readout === 'prefix') {
    const first = (t: Tensor) => slice(t, 1, 0, block.prefix) // [B, 1, C]
    const o = attention(block.query(first(yS)), keys ?? block.key(yS), block.value(yS), block.heads)
    return residual(block, first(x), o) // [B, 1, C]
  }
  const [q, k, v] = keys ? [block.query(yS), keys, block.value(yS)] : block.queryKeyValue(yS) // [B, n, C] each
  return residual(block, xS, attention(q, k, v, block.heads)) // [B, n, C]
}

interface Choice {
  /** int64 `[B, K]`, image tokens from 0. */
  readonly selected: Tensor
  /** int64 `[B, n]`, rows of x: the prefix first. */
  readonly rows: Tensor
  readonly scores?: Tensor
  /** Keys of the selected rows, where scoring has projected them already. */
  readonly keys?: (rows: ReturnType<typeof selectRows>) => Tensor
}

/** Ranks the image tokens by the class token's attention and takes the first K. */
function select(block: Block, y: Tensor, options: IdleOptions): Choice {
  const { keep, count, score = 'softmax', scoring = 'folded', selection } = options
  if (selection) return { selected: selection, rows: withPrefix(block, selection) }
  const allKeys = scoring === 'projected' ? block.key(y) : undefined // [B, N, C]
  const logits = allKeys ? projectedLogits(block, y, allKeys) : foldedLogits(block, y) // [B, H, N]
  const scores = headMean(block, logits, score) // [B, N0]
  const selected = topK(scores, keep, count).indices // [B, K]
  const choice = { selected, scores, rows: withPrefix(block, selected) }
  return allKeys ? { ...choice, keys: (rows) => gatherRows(allKeys, rows) } : choice
}

/** Selected image tokens as rows of x, behind the prefix rows, which are always computed. */
function withPrefix(block: Block, selected: Tensor): Tensor {
  const { graph } = selected
  const prefix = constant(
    graph,
    BigInt64Array.from({ length: block.prefix }, (_, i) => BigInt(i)),
    [1, block.prefix],
  )
  const offset = constant(graph, BigInt64Array.of(BigInt(block.prefix)), [])
  return concat([expandBatch(prefix, selected), add(selected, offset)], 1) // [B, n]
}

/**
 * Class-token logits of every row without projecting keys: q_cls · (W_K y_j + b) = (W_Kᵀ q_cls) · y_j + q_cls · b.
 * The query is folded through W_K once per picture; the head's constant q_cls · b is added too, so that the
 * logits are those of the projected form.
 */
export function foldedLogits(block: Block, y: Tensor): Tensor {
  const [B, , C] = y.shape as [Dim, Dim, number]
  const { weight, bias } = block.keyProjection
  const H = block.heads
  const d = C / H
  const q = reshape(block.query(slice(y, 1, 0, 1)), [B, H, 1, d]) // [B, H, 1, d]
  const folded = reshape(matmul(q, reshape(weight, [H, d, C])), [B, H, C]) // [B, H, C]
  // Tokens are the rows of this product: rows are summed in one order wherever they stand, so equal tokens tie exactly.
  const logits = transpose(matmul(y, folded, { transB: true }), [0, 2, 1]) // [B, H, N]
  if (!bias) return logits
  const shift = matmul(q, reshape(bias, [H, d, 1])) // [B, H, 1, 1]
  return add(logits, reshape(shift, [B, H, 1])) // [B, H, N]
}

/** Class-token logits from keys of every row, as the official code computes them. */
function projectedLogits(block: Block, y: Tensor, keys: Tensor): Tensor {
  const [B, N, C] = y.shape as [Dim, Dim, number]
  const H = block.heads
  const d = C / H
  const q = reshape(block.query(slice(y, 1, 0, 1)), [B, H, 1, d]) // [B, H, 1, d]
  const k = transpose(reshape(keys, [B, N, H, d]), [0, 2, 1, 3]) // [B, H, N, d]
  return reshape(matmul(q, k, { transB: true }), [B, H, N]) // [B, H, N]
}

/** Scores of the image tokens `[B, N0]` from the class token's logits `[B, H, N]`. */
function headMean(block: Block, logits: Tensor, score: Score): Tensor {
  const C = block.keyProjection.weight.shape[0] as number
  const scale = constant(logits.graph, Float32Array.of((C / block.heads) ** -0.5), [], 'scale')
  const perHead = score === 'softmax' ? softmax(mul(logits, scale)) : logits // [B, H, N]
  return slice(reduceMean(perHead, [1]), 1, block.prefix) // [B, N0]
}

/** Added to the logits of idle keys; the official code's value. */
const MASKED = -1e5

/**
 * The *masked* form, the paper's finetuning pass: the full map is computed, idle keys are masked out, and only
 * selected rows are updated. The numbers are those of the gathered form.
 */
export function maskedIdleBlock(options: IdleOptions): ReducedBlock {
  const { keep, count, score = 'softmax' } = options
  return (block, x, readout) => {
    const [B, N, C] = x.shape as [Dim, number, number]
    const H = block.heads
    const d = C / H
    const [q, k, v] = block
      .queryKeyValue(block.norm1(x))
      .map((t) => transpose(reshape(t, [B, N, H, d]), [0, 2, 1, 3])) as [Tensor, Tensor, Tensor] // [B, H, N, d]
    const raw = matmul(q, k, { transB: true }) // [B, H, N, N]
    const scale = constant(x.graph, Float32Array.of(d ** -0.5), [], 'scale')
    const cls = reshape(slice(raw, 2, 0, 1), [B, H, N]) // [B, H, N]
    const scores = headMean(block, cls, score) // [B, N0]
    const selected = topK(scores, keep, count).indices // [B, K]
    const mask = rowMask(withPrefix(block, selected), N) // [B, N]

    const one = constant(x.graph, Float32Array.of(1), [], 'one')
    const idle = mul(sub(one, mask), constant(x.graph, Float32Array.of(-MASKED), [], 'masked')) // [B, N]
    const map = softmax(sub(mul(raw, scale), reshape(idle, [B, 1, 1, N]))) // [B, H, N, N]
    const o = reshape(transpose(matmul(map, v), [0, 2, 1, 3]), [B, N, C]) // [B, N, C]
    const gate = reshape(mask, [B, N, 1]) // [B, N, 1]
    const t = add(x, mul(gate, block.project(o))) // [B, N, C]
    const all = add(t, mul(gate, block.feedForward(t))) // [B, N, C]
    return {
      x: readout === 'all' ? all : slice(all, 1, 0, block.prefix),
      trace: { block: block.index, selected, scores },
    }
  }
}
