/** Products with constant weights in 8-bit integers; everything between them stays float32. */

import { type Graph, liveNodes, type Node, type Tensor } from '../graph.js'
import { dynamicProduct, quantize, quantizedProduct, quantizeWeight, type WeightLayout } from '../ops/quantized.js'
import { memoize } from './memoize.js'
import { rewrite } from './rewrite.js'

/**
 * Replaces every product with constant weights by its quantised form; what several of them read is quantised once.
 *
 * What one product reads it quantises itself, unless another reads the same weights: a runtime rearranges them for
 * every kind of operator, and would hold them twice.
 */
export function toInt8(graph: Graph): Graph {
  const activation = memoize(quantize)
  const weights = {
    'out-in': memoize((weight: Tensor) => quantizeWeight(weight, 'out-in')),
    'in-out': memoize((weight: Tensor) => quantizeWeight(weight, 'in-out')),
  }
  const readers = new Map<Tensor, number>()
  for (const { inputs } of liveNodes(graph).filter(weightLayout))
    for (const tensor of inputs.slice(0, 2)) readers.set(tensor, (readers.get(tensor) ?? 0) + 1)
  return rewrite(graph, (node, [x, w, bias]) => {
    const layout = weightLayout(node)
    if (!layout || !x || !w) return undefined
    const weight = weights[layout](w)
    const alone = node.inputs.slice(0, 2).every((tensor) => readers.get(tensor) === 1)
    return [alone ? dynamicProduct(x, weight, bias) : quantizedProduct(activation(x), weight, bias)]
  })
}

/** How a product reads its constant weights; `undefined` if it has none. */
function weightLayout({ op, attrs, inputs: [, weight] }: Node): WeightLayout | undefined {
  if (!weight?.data) return undefined
  if (op.name === 'linear') return 'out-in'
  if (op.name !== 'matmul') return undefined
  const { transA, transB, alpha } = attrs as { transA: boolean; transB: boolean; alpha: number }
  if (transA || alpha !== 1) return undefined
  return transB ? 'out-in' : 'in-out'
}
