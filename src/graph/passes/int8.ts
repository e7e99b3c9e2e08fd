/** Products with constant weights in 8-bit integers; everything between them stays float32. */

import type { Graph, Tensor } from '../graph.js'
import { quantize, quantizedProduct, quantizeWeight, type WeightLayout } from '../ops/quantized.js'
import { memoize } from './memoize.js'
import { rewrite } from './rewrite.js'

/** Replaces every product with constant weights by its quantised form; what several of them read is quantised once. */
export function toInt8(graph: Graph): Graph {
  const activation = memoize(quantize)
  const weights = {
    'out-in': memoize((weight: Tensor) => quantizeWeight(weight, 'out-in')),
    'in-out': memoize((weight: Tensor) => quantizeWeight(weight, 'in-out')),
  }
  return rewrite(graph, ({ op, attrs }, [x, weight, bias]) => {
    const layout = weightLayout(op.name, attrs)
    return layout && x && weight?.data ? [quantizedProduct(activation(x), weights[layout](weight), bias)] : undefined
  })
}

/** How a product reads its weights, if they can be quantised. */
function weightLayout(name: string, attrs: unknown): WeightLayout | undefined {
  if (name === 'linear') return 'out-in'
  if (name !== 'matmul') return undefined
  const { transA, transB, alpha } = attrs as { transA: boolean; transB: boolean; alpha: number }
  if (transA || alpha !== 1) return undefined
  return transB ? 'out-in' : 'in-out'
}
