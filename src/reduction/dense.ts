/** The plain block: every token is computed. */

import { attention } from '../graph/ops/attention.js'
import { slice } from '../graph/ops/shape.js'
import { type ReducedBlock, residual } from './block.js'
import { foldedAttention } from './folded.js'

/** x + MHSA(LN1 x), then + MLP(LN2 ·). With readout `prefix` only the prefix rows are queries. */
export const denseBlock: ReducedBlock = (block, x, readout) => {
  const y = block.norm1(x) // [B, N, C]
  if (readout === 'all') {
    const [q, k, v] = block.queryKeyValue(y) // [B, N, C] each
    return { x: residual(block, x, attention(q, k, v, block.heads)) } // [B, N, C]
  }
  const first = (t: typeof x) => slice(t, 1, 0, block.prefix) // [B, 1, C]
  return { x: residual(block, first(x), foldedAttention(block, first(y), y)) } // [B, 1, C]
}
