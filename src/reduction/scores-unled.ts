/**
 * What ranks tokens in models without a class token: this project's own choice, not the paper's, which ranks by the class
 * token's attention alone.
 *
 * - `pooling`: what the model's pooling query would attend to if it looked now. It costs no more than the class token's
 *   row, and it is what the readout will ask. Default where the model has such a query.
 * - `mean`: attention of the mean of all queries. As logits are linear in the query, that is the mean of all rows' logits.
 *   Default elsewhere.
 * - `received`: attention that a token receives from all rows on average. It needs the whole map.
 * - `norm`: length of the row, as it enters the block.
 */

import type { Dim } from '../graph/dims.js'
import type { Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { mul, sqrt } from '../graph/ops/elementwise.js'
import { softmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { reshape } from '../graph/ops/shape.js'
import type { Block } from './block.js'
import { foldedLogits } from './folded.js'
import type { ModelShape } from './method.js'

/** Who ranks the tokens: the class token, or what stands in for it. */
export type Ranking = 'class' | 'pooling' | 'mean' | 'received' | 'norm'

export const rankings: readonly Ranking[] = ['class', 'pooling', 'mean', 'received', 'norm']

/** What ranks the tokens of a model where nothing is said. */
export const defaultRanking = ({ classToken = true, poolingQuery = false }: ModelShape): Ranking =>
  classToken ? 'class' : poolingQuery ? 'pooling' : 'mean'

/**
 * Scores of all rows.
 *
 * @param x - rows that enter the block `[B, N, C]`
 * @param y - the same, normalised
 * @param keys - keys of all rows, where they are projected anyway or cannot be folded
 * @param raw - average logits instead of attention
 * @returns `[B, N]`
 */
export function unledScores(block: Block, ranking: Exclude<Ranking, 'class'>, rows: UnledRows, raw: boolean): Tensor {
  const { x, y } = rows
  const averaged = (logits: Tensor) => reduceMean(raw ? logits : softmax(logits), [1]) // [B, H, N] → [B, N]
  switch (ranking) {
    case 'pooling':
      if (!block.poolingLogits) throw new Error('no pooling query')
      return averaged(block.poolingLogits(x))
    case 'mean':
      return averaged(meanLogits(block, rows))
    case 'received': {
      const logits = block.logits(rows.queries ?? block.query(y), rows.keys ?? block.key(y)) // [B, H, N, N]
      return reduceMean(raw ? logits : softmax(logits), [1, 2])
    }
    case 'norm':
      return sqrt(reduceSum(mul(x, x), [2]))
  }
}

/** What scores are computed from. */
export interface UnledRows {
  readonly x: Tensor
  readonly y: Tensor
  readonly queries?: Tensor | undefined
  readonly keys?: Tensor | undefined
}

/** Logits of the mean query: folded where keys are linear in the row, and so the mean query is that of the mean row. */
function meanLogits(block: Block, { y, queries, keys }: UnledRows): Tensor {
  const [B, N, C] = y.shape as [Dim, Dim, number]
  if (block.linear && !keys)
    return foldedLogits(block, reduceMean(y, [1], true), y, { alpha: (C / block.heads) ** -0.5 }) // [B, H, N]
  const q = reduceMean(queries ?? block.query(y), [1], true) // [B, 1, C]
  return reshape(block.logits(q, keys ?? block.key(y)), [B, block.heads, N]) // [B, H, N]
}
