/** Products with constant weights in 8-bit integers; everything between them stays float32. */

import { type Graph, liveNodes, type Node, type Tensor } from '../graph.js'
import {
  dynamicProduct,
  type QuantizedWeight,
  quantize,
  quantizedProduct,
  quantizeWeight,
  type WeightLayout,
} from '../ops/quantized.js'
import { takeParts } from '../ops/rows.js'
import { reshape } from '../ops/shape.js'
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
  /** Constant weights of which parts are taken when the graph runs: of their integers just as well. */
  const taken = new Map<Tensor, QuantizedWeight>()
  const layoutOf = (node: Node) =>
    node.op.name === 'linear' && taken.has(node.inputs[1] as Tensor) ? 'out-in' : weightLayout(node)
  const readers = new Map<Tensor, number>()
  for (const { inputs } of liveNodes(graph).filter(weightLayout))
    for (const tensor of inputs.slice(0, 2)) readers.set(tensor, (readers.get(tensor) ?? 0) + 1)
  return rewrite(graph, (node, [x, w, bias]) => {
    if (!x || !w) return undefined
    if (node.op.name === 'takeParts' && x.data instanceof Float32Array && x.shape.length === 3)
      taken.set(node.outputs[0] as Tensor, takenWeight(node, x, w))
    const layout = layoutOf(node)
    if (!layout) return undefined
    const weight = taken.get(node.inputs[1] as Tensor) ?? weights[layout](w)
    const alone = node.inputs.slice(0, 2).every((tensor) => readers.get(tensor) === 1)
    return [alone ? dynamicProduct(x, weight, bias) : quantizedProduct(activation(x), weight, bias)]
  })
}

/**
 * Quantised columns of which parts are taken when the graph runs: weights `[out, in]` in parts along axis 0 or 1.
 *
 * @param parts - the constant, `[p, out / p, in]` or `[out, p, in / p]`
 */
function takenWeight({ attrs }: Node, parts: Tensor, at: Tensor): QuantizedWeight {
  const { axis } = attrs as { axis: number }
  const [a, b, c] = parts.shape as readonly [number, number, number]
  const count = axis === 0 ? a : b
  const { matrix, steps } = quantizeWeight(reshape(parts, axis === 0 ? [a * b, c] : [a, b * c]), 'out-in')
  if (axis === 1) return { matrix: takeParts(matrix, at, 0, count), steps }
  return { matrix: takeParts(matrix, at, 1, count), steps: takeParts(steps, at, 0, count) }
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
