/** Key weights that are folded with a query and project keys, too, held once. */

import { type Dim, sameShape } from '../dims.js'
import { applyAll, type Graph, type Tensor } from '../graph.js'
import { splitHeads } from '../ops/attention.js'
import { matmul } from '../ops/linear.js'
import { reshape } from '../ops/shape.js'
import { rewrite } from './rewrite.js'

/**
 * Computes attention's keys by head where their weights are also read by head.
 *
 * A runtime rearranges the weights of a linear layer for its products, but those that a query is folded with are read as
 * they are: it would hold the key weights of an idle block twice. Products by head read them as they are, too, and give
 * keys the way attention wants them; values follow suit. The bias of keys goes: it adds the same to all logits of a query,
 * and the softmax takes that out again.
 */
export const shareKeys = (graph: Graph): Graph =>
  rewrite(graph, ({ op, attrs }, [q, keys, values, ...bias], result) => {
    const projection = keys?.node
    if (op.name !== 'attention' || projection?.op.name !== 'linear') return undefined
    const { heads: H } = attrs as { heads: number }
    const [y, weight] = projection.inputs as [Tensor, Tensor]
    const [B, m, C] = y.shape as [Dim, Dim, number]
    const byHead = [H, C / H, C]
    const readings = weight.data && result.constants.get(weight.data.buffer)
    if (!readings?.some(({ data, shape }) => data === weight.data && sameShape(shape, byHead))) return undefined
    const k = matmul(reshape(y, [B, 1, m, C]), reshape(weight, byHead), { transB: true }) // [B, H, m, d]
    return applyAll(op, [q as Tensor, k, splitHeads(values as Tensor, H), ...bias], attrs)
  })
