/**
 * The number formats of weight files, under their safetensors names, and how their bytes become arrays.
 *
 * F16 is IEEE 754 binary16; BF16 is the upper half of a float32. Bytes are little-endian, as every machine that runs
 * JavaScript engines today is. Safe in browsers.
 */
import { fail } from '../errors.js'
import type { WeightData } from './state.js'

type Decode = (buffer: ArrayBufferLike, byteOffset: number, length: number) => WeightData

interface Dtype {
  readonly bytes: number
  readonly decode: Decode
}

/** Bytes at a multiple of the element size become a view of the same memory. */
const dtypes: Readonly<Record<string, Dtype>> = {
  F32: { bytes: 4, decode: (buffer, at, length) => new Float32Array(buffer, at, length) },
  F16: { bytes: 2, decode: (buffer, at, length) => widenHalf(new Uint16Array(buffer, at, length)) },
  BF16: { bytes: 2, decode: (buffer, at, length) => widenBfloat(new Uint16Array(buffer, at, length)) },
  F64: { bytes: 8, decode: (buffer, at, length) => Float32Array.from(new Float64Array(buffer, at, length)) },
  I64: { bytes: 8, decode: (buffer, at, length) => new BigInt64Array(buffer, at, length) },
  U64: { bytes: 8, decode: (buffer, at, length) => new BigUint64Array(buffer, at, length) },
  I32: { bytes: 4, decode: (buffer, at, length) => new Int32Array(buffer, at, length) },
  U32: { bytes: 4, decode: (buffer, at, length) => new Uint32Array(buffer, at, length) },
  I16: { bytes: 2, decode: (buffer, at, length) => new Int16Array(buffer, at, length) },
  U16: { bytes: 2, decode: (buffer, at, length) => new Uint16Array(buffer, at, length) },
  I8: { bytes: 1, decode: (buffer, at, length) => new Int8Array(buffer, at, length) },
  U8: { bytes: 1, decode: (buffer, at, length) => new Uint8Array(buffer, at, length) },
  BOOL: { bytes: 1, decode: (buffer, at, length) => new Uint8Array(buffer, at, length) },
}

/** Bytes of one element, or undefined for a type that is not known here. */
export const dtypeBytes = (dtype: string): number | undefined =>
  Object.hasOwn(dtypes, dtype) ? dtypes[dtype]?.bytes : undefined

/** The types that {@link decode} knows, for messages. */
export const knownDtypes = Object.keys(dtypes).join(', ')

/**
 * The values in `bytes`: floats as Float32Array, integers in their own width. A view where the alignment allows it.
 *
 * @throws InputError when the type is unknown or the bytes are no whole number of elements.
 */
export function decode(dtype: string, bytes: Uint8Array): WeightData {
  const { bytes: size, decode } =
    (Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined) ?? fail(`unknown dtype ${dtype}`)
  if (bytes.byteLength % size !== 0) fail(`${bytes.byteLength} bytes are no whole number of ${dtype} values`)
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes) // a copy: slice() of Node's Buffer is none
  return decode(aligned.buffer, aligned.byteOffset, aligned.byteLength / size)
}

/** The type under which `data` is written. */
export function dtypeOf(data: WeightData, stored?: string): string {
  if (data instanceof Float32Array) return 'F32'
  if (data instanceof Uint8Array) return stored === 'BOOL' ? 'BOOL' : 'U8'
  if (data instanceof BigInt64Array) return 'I64'
  if (data instanceof BigUint64Array) return 'U64'
  if (data instanceof Int32Array) return 'I32'
  if (data instanceof Uint32Array) return 'U32'
  if (data instanceof Int16Array) return 'I16'
  if (data instanceof Uint16Array) return stored === 'F16' ? 'F16' : 'U16'
  return 'I8'
}

/** Every binary16 value as float32, by its bits; made at first use. */
let halves: Float32Array | undefined

function halfTable(): Float32Array {
  const table = new Float32Array(65536)
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    if (exponent === 31) table[bits] = fraction === 0 ? sign * Infinity : Number.NaN
    else if (exponent === 0) table[bits] = sign * fraction * 2 ** -24
    else table[bits] = sign * (1024 + fraction) * 2 ** (exponent - 25)
  }
  return table
}

function widenHalf(bits: Uint16Array): Float32Array {
  halves ??= halfTable()
  const values = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) values[i] = halves[bits[i] as number] as number
  return values
}

function widenBfloat(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16
  return new Float32Array(words.buffer)
}
