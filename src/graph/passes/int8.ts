/** Linear layers in 8-bit integers; everything between them stays float32. */

import type { Graph } from '../graph.js'
import { quantize, quantizedLinear, quantizeWeight } from '../ops/quantized.js'
import { memoize } from './memoize.js'
import { rewrite } from './rewrite.js'

/** Replaces every linear layer with constant weights by its quantised form; what several layers read is quantised once. */
export function toInt8(graph: Graph): Graph {
  const activation = memoize(quantize)
  const weights = memoize(quantizeWeight)
  return rewrite(graph, ({ op }, [x, weight, bias]) =>
    op.name === 'linear' && x && weight?.data ? [quantizedLinear(activation(x), weights(weight), bias)] : undefined,
  )
}
