/** float16: weights alone, for half the bytes, or the whole graph, for devices that compute in it. */

import { constant, type Graph, type Tensor } from '../graph.js'
import { cast } from '../ops/elementwise.js'
import { rewrite } from './rewrite.js'

/** Constants smaller than this stay float32 when only weights are stored in float16: they save nothing. */
const SMALL = 256

const half = (tensor: Tensor, graph: Graph): Tensor =>
  constant(graph, toFloat16(tensor.data as Float32Array), tensor.shape as readonly number[], tensor.name, 'float16')

/** Stores large weights in float16 and computes in float32: the runtime widens them once, when it loads. */
export const withHalfWeights = (graph: Graph): Graph =>
  rewrite(graph, () => undefined, {
    constant: (tensor, to) =>
      tensor.data instanceof Float32Array && tensor.data.length >= SMALL
        ? cast(half(tensor, to), 'float32')
        : undefined,
  })

/** Computes everything in float16; inputs and outputs of the graph stay float32. */
export const toHalf = (graph: Graph): Graph =>
  rewrite(graph, () => undefined, {
    input: (tensor) => (tensor.dtype === 'float32' ? cast(tensor, 'float16') : tensor),
    constant: (tensor, to) => (tensor.data instanceof Float32Array ? half(tensor, to) : undefined),
    output: (tensor) => (tensor.dtype === 'float16' ? cast(tensor, 'float32') : tensor),
  })

/** The bits of the nearest float16 numbers, ties to even; what exceeds 65504 becomes infinite (IEEE 754-2019, 4.3.1). */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  for (const [i, b] of bits.entries()) {
    const sign = (b >>> 16) & 0x8000
    const magnitude = b & 0x7fffffff
    halves[i] = sign | halfMagnitude(magnitude)
  }
  return halves
}

/** float16 bits of a non-negative float32's bits. */
function halfMagnitude(b: number): number {
  if (b > 0x7f800000) return 0x7e00 // NaN
  if (b >= 0x477ff000) return 0x7c00 // rounds beyond the largest
  if (b >= 0x38800000) {
    const mantissa = b - 0x38000000 // exponent bias 127 → 15
    return (mantissa + 0xfff + ((mantissa >>> 13) & 1)) >>> 13
  }
  if (b <= 0x33000000) return 0 // at most half the smallest subnormal
  const shift = 126 - (b >>> 23) // subnormal: the implicit bit becomes part of the fraction
  const fraction = (b & 0x7fffff) | 0x800000
  const result = fraction >>> shift
  const rest = fraction & ((1 << shift) - 1)
  const middle = 1 << (shift - 1)
  return rest > middle || (rest === middle && (result & 1) === 1) ? result + 1 : result
}
