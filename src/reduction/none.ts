/** No reduction: every token is computed. Also the block of every method where it changes nothing. */

import type { Tensor } from '../graph/graph.js'
import { slice } from '../graph/ops/shape.js'
import { type Block, residual, type Windows } from './block.js'
import { readerAttention } from './folded.js'
import { type Method, type Reads, type Step, stateless, tokensByBlock } from './method.js'
import { columns } from './packing.js'
import { imageRows, type Rows } from './rows.js'
import { planKeep } from './schedule.js'

/** x + MHSA(LN1 x), then + MLP(LN2 ·). Only rows that are read are queries, and padding is no key. */
export function denseBlock(block: Block, rows: Rows, reads: Reads): Omit<Step<undefined>, 'state'> {
  const { x } = rows
  const y = block.norm1(x) // [B, n, C]
  const tokens = imageRows(rows)
  if (block.windows) return { rows: { ...rows, x: residual(block, x, windowAttention(block, y)) }, tokens } // [B, N, C]
  const bias = columns(rows) // [B, 1, 1, n]
  if (reads === 'all') {
    const [q, k, v] = block.queryKeyValue(y) // [B, n, C] each
    return { rows: { ...rows, x: residual(block, x, block.attend(q, k, v, bias)) }, tokens } // [B, n, C]
  }
  const first = (t: typeof x) => slice(t, 1, 0, reads) // [B, R, C]
  return { rows: { ...rows, x: residual(block, first(x), readerAttention(block, first(y), y, { bias })) }, tokens } // [B, R, C]
}

/** Attention of every row within its window, before its projection: y normalised `[B, N, C]` → `[B, N, C]`. */
export function windowAttention(block: Block, y: Tensor): Tensor {
  const windows = block.windows as Windows
  const [q, k, v] = block.queryKeyValue(windows.enter(y)) // [B·nW, w², C] each
  return windows.leave(block.attend(q, k, v))
}

export const none: Method = {
  name: 'none',
  summary: 'every token in every block: the dense model',
  shrinks: false,
  tellsPlaces: true,
  settings: {},
  windows: 'able',
  plan(request, shape) {
    const { depth, tokens } = shape
    planKeep(request, depth, tokens) // what is asked for is checked all the same
    return { keep: tokensByBlock(shape), ratios: new Array<number>(depth).fill(1), warnings: [] }
  },
  // As idling's with every token kept.
  countings: {
    kForAll: { label: 'keys of all tokens', plan: { official: true } },
    selectedOnly: { label: 'all tokens, every row', plan: { official: true } },
  },
  open: () => stateless(denseBlock),
}
