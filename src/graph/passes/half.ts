/** float16: weights alone, for half the bytes, or the whole graph, for devices that compute in it. */

import { toFloat16 } from '../../float16.js'
import { constant, type Graph, type Tensor } from '../graph.js'
import { cast } from '../ops/elementwise.js'
import { memoize } from './memoize.js'
import { rewrite } from './rewrite.js'

/** Constants smaller than this stay float32 when only weights are stored in float16: they save nothing. */
const SMALL = 256

/** Constants in float16; shapes of the same data share one conversion. */
function halves(): (tensor: Tensor, graph: Graph) => Tensor {
  const convert = memoize(toFloat16)
  return ({ data, shape, name }, graph) =>
    constant(graph, convert(data as Float32Array), shape as readonly number[], name, 'float16')
}

/** Stores large weights in float16 and computes in float32: the runtime widens them once, when it loads. */
export function withHalfWeights(graph: Graph): Graph {
  const half = halves()
  return rewrite(graph, () => undefined, {
    constant: (tensor, to) =>
      tensor.data instanceof Float32Array && tensor.data.length >= SMALL
        ? cast(half(tensor, to), 'float32')
        : undefined,
  })
}

/** Computes everything in float16; inputs and outputs of the graph stay float32. */
export function toHalf(graph: Graph): Graph {
  const half = halves()
  return rewrite(graph, () => undefined, {
    input: (tensor) => (tensor.dtype === 'float32' ? cast(tensor, 'float16') : tensor),
    constant: (tensor, to) => (tensor.data instanceof Float32Array ? half(tensor, to) : undefined),
    output: (tensor) => (tensor.dtype === 'float16' ? cast(tensor, 'float32') : tensor),
  })
}
