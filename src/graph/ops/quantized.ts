/**
 * Products with constant weights in 8-bit integers: weights are quantised once, activations at every run.
 *
 * Scheme: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
 * Inference", arXiv 1712.05877, with weights symmetric per output channel and activations affine per tensor, as ONNX's
 * DynamicQuantizeLinear defines them.
 */

import { broadcast, type Dim, elements, multiplyDims } from '../dims.js'
import { apply, applyAll, constant, type Emitter, namesOf, type Op, type Tensor, type TensorType } from '../graph.js'

/** x as uint8 of the same shape, what one step means, and the zero point: scalars for the whole tensor. */
const quantizeOp: Op<null> = {
  name: 'quantize',
  infer: ([x]) => [
    { dtype: 'uint8', shape: (x as Tensor).shape },
    { dtype: 'float32', shape: [] },
    { dtype: 'uint8', shape: [] },
  ],
  emit({ inputs, outputs }, onnx) {
    onnx.node('DynamicQuantizeLinear', namesOf(inputs), namesOf(outputs))
  },
}

/**
 * Inputs: quantised x, its step and zero point, weight int8 `[in, out]`, scales `[out]`, bias `[out]` if any; or weights
 * by head, `[H, in, out]` and `[H, 1, out]`.
 */
const quantizedProductOp: Op<null> = {
  name: 'quantizedProduct',
  infer: ([x, , , w]) => [productType(x as Tensor, w as Tensor)],
  emit({ inputs, outputs: [y] }, onnx) {
    const [x, step, zero, w, scales, bias] = namesOf(inputs) as [string, string, string, string, string, string?]
    const result = (y as Tensor).name
    if (onnx.contrib) contrib('MatMulIntegerToFloat', [x, w, step, scales, zero], bias, result, onnx)
    else integerProduct([x, step, zero], [w, scales], bias, result, onnx)
  },
  macs: ({ inputs: [, , , w], outputs: [y] }, size) => size([productMacs(y as Tensor, w as Tensor)])[0] as number,
}

/** The same for an x that is quantised for this product alone. Inputs: x, weight, scales, bias if any. */
const dynamicProductOp: Op<null> = {
  name: 'dynamicProduct',
  infer: ([x, w]) => [productType(x as Tensor, w as Tensor)],
  emit({ inputs, outputs: [y] }, onnx) {
    const [x, w, scales, bias] = namesOf(inputs) as [string, string, string, string?]
    const result = (y as Tensor).name
    if (onnx.contrib) contrib('DynamicQuantizeMatMul', [x, w, scales], bias, result, onnx)
    else integerProduct(onnx.node('DynamicQuantizeLinear', [x], 3), [w, scales], bias, result, onnx)
  },
  macs: ({ inputs: [, w], outputs: [y] }, size) => size([productMacs(y as Tensor, w as Tensor)])[0] as number,
}

function productType(x: Tensor, w: Tensor): TensorType {
  const [inner, out] = w.shape.slice(-2) as [number, number]
  if (x.shape.at(-1) !== inner) throw new Error(`input width ${x.shape.at(-1)} is not ${inner}`)
  const batch = broadcast(x.shape.slice(0, -2), w.shape.slice(0, -2))
  return { dtype: 'float32', shape: [...batch, ...x.shape.slice(-2, -1), out] }
}

const productMacs = (y: Tensor, w: Tensor): Dim => multiplyDims(elements(y.shape), w.shape.at(-2) as Dim)

/** One of ONNX Runtime's own products; their inputs end with a zero point of the weights, '' for none, and a bias. */
function contrib(type: string, inputs: readonly string[], bias: string | undefined, y: string, onnx: Emitter): void {
  onnx.node(type, bias === undefined ? inputs : [...inputs, '', bias], [y], {}, 'com.microsoft')
}

/** The same with standard operators; ONNX has no product that scales its sums. */
function integerProduct(
  [x, step, zero]: readonly string[],
  [w, scales]: readonly [string, string],
  bias: string | undefined,
  y: string,
  onnx: Emitter,
): void {
  const products = onnx.node('MatMulInteger', [x as string, w, zero as string], 1)
  const sums = onnx.node('Cast', products, 1, { to: 1 })
  const factors = onnx.node('Mul', [step as string, scales], 1)
  const scaled = onnx.node('Mul', [...sums, ...factors], bias === undefined ? [y] : 1)
  if (bias !== undefined) onnx.node('Add', [...scaled, bias], [y])
}

/** Which of the two last dimensions of weights is summed over, and which stays. */
export type WeightLayout = 'out-in' | 'in-out'

/**
 * Matrices `[…, out, in]` or `[…, in, out]` as int8 `[…, in, out]`, and what one step means per column `[…, 1, out]`.
 */
export function quantizeColumns(
  weight: Float32Array,
  shape: readonly number[],
  layout: WeightLayout,
): { readonly values: Int8Array; readonly scales: Float32Array } {
  const [rows, columns] = shape.slice(-2) as [number, number]
  const [out, inner] = layout === 'out-in' ? [rows, columns] : [columns, rows]
  const weights = layout === 'out-in' ? weight : transposed(weight, inner, out) // […, out, in]
  const values = new Int8Array(weight.length)
  const scales = new Float32Array(weight.length / inner)
  for (let row = 0; row < scales.length; row++) {
    const [start, end] = [row * inner, (row + 1) * inner]
    let largest = 0
    for (let at = start; at < end; at++) {
      const magnitude = Math.abs(weights[at] as number)
      if (magnitude > largest) largest = magnitude
    }
    const scale = largest < NOTHING ? 1 : Math.fround(largest / STEPS)
    scales[row] = scale
    const column = row % out
    let place = (row - column) * inner + column
    for (let at = start; at < end; at++, place += out) values[place] = (weights[at] as number) / scale + ROUND - ROUND
  }
  return { values, scales }
}

/**
 * Weights lie between -64 and 64. x86 processors without VNNI add two products of a uint8 and an int8 in 16 bits, which
 * saturate beyond 32,767 without a word: 2 · 255 · 64 does not, 2 · 255 · 127 would. So the numbers are the same everywhere.
 */
const STEPS = 64

/** For a column that is zero, or so small that its step would be subnormal, any scale will do. */
const NOTHING = STEPS * 2 ** -126

/** Added to a small number and taken away again, it leaves the nearest integer, ties to even: 1.5 · 2^52. */
const ROUND = 1.5 * 2 ** 52

/** Matrices `[…, rows, columns]` → `[…, columns, rows]`. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length)
  let at = 0
  for (let matrix = 0; matrix < values.length; matrix += rows * columns)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) result[matrix + column * rows + row] = values[at++] as number
  return result
}

/** A tensor in integers: value = step · (integer - zero). */
export interface Quantized {
  readonly values: Tensor
  readonly step: Tensor
  readonly zero: Tensor
}

/** Activations `[…, C]` as uint8; the range is that of the whole tensor, found at every run. */
export function quantize(x: Tensor): Quantized {
  const [values, step, zero] = applyAll(quantizeOp, [x], null) as [Tensor, Tensor, Tensor]
  return { values, step, zero }
}

/** Constant weights as int8 columns: `[in, out]` with steps `[out]`, or by head `[H, in, out]` with steps `[H, 1, out]`. */
export interface QuantizedWeight {
  readonly matrix: Tensor
  readonly steps: Tensor
}

/**
 * Quantises constant weights `[out, in]` or `[in, out]`, by head or not.
 *
 * @throws Error when they are not constant or not float32
 */
export function quantizeWeight(weight: Tensor, layout: WeightLayout): QuantizedWeight {
  const { graph, name, data } = weight
  const shape = weight.shape as readonly number[]
  if (!(data instanceof Float32Array)) throw new Error(`${name}: wanted constant float32 weights`)
  const { values, scales } = quantizeColumns(data, shape, layout)
  const [heads, [rows, columns]] = [shape.slice(0, -2), shape.slice(-2) as [number, number]]
  const integers = layout === 'out-in' ? [...heads, columns, rows] : shape // […, in, out]
  const matrix = constant(graph, values, integers, `${name}.int8`)
  const out = integers.at(-1) as number
  const steps = heads.length === 0 ? [out] : [...heads, 1, out]
  return { matrix, steps: constant(graph, scales, steps, `${name}.scale`) }
}

/** A product computed in integers: x `[…, in]` → float32 `[…, out]`. */
export const quantizedProduct = (x: Quantized, { matrix, steps }: QuantizedWeight, bias?: Tensor): Tensor =>
  apply(quantizedProductOp, [x.values, x.step, x.zero, matrix, steps, ...(bias ? [bias] : [])], null)

/** A product computed in integers that quantises x `[…, in]` for itself → float32 `[…, out]`. */
export const dynamicProduct = (x: Tensor, { matrix, steps }: QuantizedWeight, bias?: Tensor): Tensor =>
  apply(dynamicProductOp, [x, matrix, steps, ...(bias ? [bias] : [])], null)
