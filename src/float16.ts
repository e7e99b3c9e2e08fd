/** float32 to IEEE 754 binary16, which JavaScript lacks. */

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
