/**
 * Linear layers in 8-bit integers: weights are quantised once, activations at every run.
 *
 * Scheme: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
 * Inference", arXiv 1712.05877, with weights symmetric per output channel and activations affine per tensor, as ONNX's
 * DynamicQuantizeLinear defines them.
 */

import { elements, evaluateDim } from '../dims.js'
import { apply, applyAll, constant, type Op, type Tensor } from '../graph.js'

/** x as uint8 of the same shape, what one step means, and the zero point: scalars for the whole tensor. */
const quantizeOp: Op<null> = {
  name: 'quantize',
  infer: ([x]) => [
    { dtype: 'uint8', shape: (x as Tensor).shape },
    { dtype: 'float32', shape: [] },
    { dtype: 'uint8', shape: [] },
  ],
  emit({ inputs, outputs }, onnx) {
    onnx.node(
      'DynamicQuantizeLinear',
      inputs.map((t) => t.name),
      outputs.map((t) => t.name),
    )
  },
}

/** Inputs: quantised x, its step and zero point, weight int8 `[in, out]`, scales `[out]`, bias `[out]` if any. */
const quantizedLinearOp: Op<null> = {
  name: 'quantizedLinear',
  infer([x, , , w]) {
    const [inner, out] = (w as Tensor).shape as [number, number]
    if (x?.shape.at(-1) !== inner) throw new Error(`input width ${x?.shape.at(-1)} is not ${inner}`)
    return [{ dtype: 'float32', shape: [...x.shape.slice(0, -1), out] }]
  },
  emit({ inputs, outputs }, onnx) {
    const [x, step, zero, w, scales, ...bias] = inputs.map((t) => t.name) as [string, string, string, string, string]
    const y = outputs.map((t) => t.name)
    if (onnx.contrib) {
      const optional = bias.length === 0 ? [] : ['', ...bias] // '' is the zero point of the weights
      onnx.node('MatMulIntegerToFloat', [x, w, step, scales, zero, ...optional], y, {}, 'com.microsoft')
      return
    }
    const products = onnx.node('MatMulInteger', [x, w, zero], 1)
    const sums = onnx.node('Cast', products, 1, { to: 1 })
    const factors = onnx.node('Mul', [step, scales], 1)
    const scaled = onnx.node('Mul', [...sums, ...factors], bias.length === 0 ? y : 1)
    if (bias.length > 0) onnx.node('Add', [...scaled, ...bias], y)
  },
  macs: ({ inputs: [, , , w], outputs: [y] }, size) =>
    (size([elements((y as Tensor).shape)])[0] as number) * evaluateDim((w as Tensor).shape[0] as number),
}

/** A matrix in PyTorch's layout `[out, in]` as int8 in the layout `[in, out]`, and what one step means per column. */
export function quantizeColumns(
  weight: Float32Array,
  out: number,
  inner: number,
): { readonly values: Int8Array; readonly scales: Float32Array } {
  const values = new Int8Array(inner * out) // [in, out]
  const scales = new Float32Array(out)
  for (let o = 0; o < out; o++) {
    const row = weight.subarray(o * inner, (o + 1) * inner)
    let largest = 0
    for (const w of row) largest = Math.max(largest, Math.abs(w))
    const scale = Math.fround(largest / 127) || 1 // of a row of zeros any scale will do
    scales[o] = scale
    for (let i = 0; i < inner; i++)
      values[i * out + o] = Math.max(-127, Math.min(127, roundHalfEven((row[i] as number) / scale)))
  }
  return { values, scales }
}

const roundHalfEven = (x: number): number => {
  const rounded = Math.round(x)
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
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

/** Constant weights in PyTorch's layout, as int8 columns: matrix `[in, out]` and steps `[out]`. */
export interface QuantizedWeight {
  readonly matrix: Tensor
  readonly steps: Tensor
}

/** Quantises the weights `[out, in]` of a linear layer. */
export function quantizeWeight(weight: Tensor): QuantizedWeight {
  const [out, inner] = weight.shape as [number, number]
  const { graph, name, data } = weight
  if (!(data instanceof Float32Array)) throw new Error(`${name}: wanted constant float32 weights`)
  const { values, scales } = quantizeColumns(data, out, inner)
  const matrix = constant(graph, values, [inner, out], `${name}.int8`)
  return { matrix, steps: constant(graph, scales, [out], `${name}.scale`) }
}

/** A linear layer whose product is computed in integers: x `[…, in]` → float32 `[…, out]`. */
export const quantizedLinear = (x: Quantized, { matrix, steps }: QuantizedWeight, bias?: Tensor): Tensor =>
  apply(quantizedLinearOp, [x.values, x.step, x.zero, matrix, steps, ...(bias ? [bias] : [])], null)
