/**
 * Linear layers in 8-bit integers: weights are quantised once, activations at every run.
 *
 * Scheme: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
 * Inference", arXiv 1712.05877, with weights symmetric per output channel and activations affine per tensor, as ONNX's
 * DynamicQuantizeLinear defines them.
 */

import { elements, evaluateDim } from '../dims.js'
import { apply, constant, type Op, type Tensor } from '../graph.js'

/** Inputs: x, weight int8 `[in, out]`, scales `[out]`, bias `[out]` if any. */
const quantizedLinearOp: Op<null> = {
  name: 'quantizedLinear',
  infer([x, w]) {
    const [inner, out] = (w as Tensor).shape as [number, number]
    if (x?.shape.at(-1) !== inner) throw new Error(`input width ${x?.shape.at(-1)} is not ${inner}`)
    return [{ dtype: 'float32', shape: [...x.shape.slice(0, -1), out] }]
  },
  emit({ inputs, outputs }, onnx) {
    const [x, w, scales, bias] = inputs.map((t) => t.name) as [string, string, string, string | undefined]
    const y = outputs.map((t) => t.name)
    if (onnx.contrib) {
      const optional = bias === undefined ? [] : ['', bias] // '' is the zero point of the weights
      onnx.node('DynamicQuantizeMatMul', [x, w, scales, ...optional], y, {}, 'com.microsoft')
      return
    }
    const [q, scale, zero] = onnx.node('DynamicQuantizeLinear', [x], 3) as [string, string, string]
    const products = onnx.node('MatMulInteger', [q, w, zero], 1)
    const sums = onnx.node('Cast', products, 1, { to: 1 })
    const factors = onnx.node('Mul', [scale, scales], 1)
    const scaled = onnx.node('Mul', [...sums, ...factors], bias === undefined ? y : 1)
    if (bias !== undefined) onnx.node('Add', [...scaled, bias], y)
  },
  macs: ({ inputs: [, w], outputs: [y] }, size) =>
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

/**
 * A linear layer whose product is computed in integers.
 *
 * @param weight - constant `[out, in]`, quantised here
 */
export function quantizedLinear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const [out, inner] = weight.shape as [number, number]
  if (!(weight.data instanceof Float32Array)) throw new Error(`${weight.name}: wanted constant float32 weights`)
  const { values, scales } = quantizeColumns(weight.data, out, inner)
  const { graph } = x
  const matrix = constant(graph, values, [inner, out], `${weight.name}.int8`)
  const steps = constant(graph, scales, [out], `${weight.name}.scale`)
  return apply(quantizedLinearOp, bias ? [x, matrix, steps, bias] : [x, matrix, steps], null)
}
