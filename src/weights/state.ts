/**
 * A state dict: what a checkpoint holds, whatever file it came from.
 *
 * Every floating-point tensor is kept as Float32Array (F16 and BF16 widen exactly, F64 is rounded to nearest);
 * integers keep their own width. Safe in browsers.
 */
import { fail } from '../errors.js'
import { toFloat16 } from '../float16.js'

/** The arrays a weight tensor may live in. */
export type WeightData =
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array

/** One tensor of a checkpoint, row-major. */
export interface WeightTensor {
  /** The stored type under its safetensors name: `F32`, `F16`, `BF16`, `F64`, `I64`, `U8`, `BOOL`, … */
  readonly dtype: string
  readonly shape: readonly number[]
  /** Row-major values; may be a view of a larger buffer. */
  readonly data: WeightData
}

/** Tensors by name, in file order. */
export type StateDict = Map<string, WeightTensor>

/** The product of a shape: 1 for a scalar, 0 when any size is 0 (however large the others). */
export const elements = (shape: readonly number[]): number =>
  shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1)

/** Whether two shapes are the same. */
export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, axis) => size === b[axis])

/** A shape for messages: `[192, 3, 16, 16]`. */
export const shapeText = (shape: readonly number[]): string =>
  shape.length > 12 ? `[${shape.slice(0, 12).join(', ')}, …]` : `[${shape.join(', ')}]`

/** A name from a file for messages: it may be any text of any length. */
export const nameText = (name: string): string => (name.length > 200 ? `${name.slice(0, 200)}…` : name)

/** A float32 tensor of the given shape around `data`. */
export function float32(data: Float32Array, shape: readonly number[]): WeightTensor {
  if (elements(shape) !== data.length) fail(`${data.length} values do not fill the shape ${shapeText(shape)}`)
  return { dtype: 'F32', shape, data }
}

/** The values of a floating-point tensor; throws InputError when `name` is absent or holds integers. */
export function floatsOf(state: StateDict, name: string): Float32Array {
  const tensor = state.get(name) ?? fail(`no tensor named ${name}`)
  if (!(tensor.data instanceof Float32Array))
    fail(`${name} should hold floating-point numbers but holds ${tensor.dtype}`)
  return tensor.data
}

/** The floats of a state dict in float16: half the bytes, for files. Integers stay as they are. */
export const halved = (state: StateDict): StateDict =>
  new Map(
    [...state].map(([name, tensor]) => {
      const { data, shape } = tensor
      return [name, data instanceof Float32Array ? { dtype: 'F16', shape, data: toFloat16(data) } : tensor]
    }),
  )
