/** Elementwise operators with broadcasting. */

import { broadcast } from '../dims.js'
import { apply, type DType, type Node, type Op, type Tensor } from '../graph.js'

function binaryOp(name: string, onnxType: string, result?: DType): Op<null> {
  return {
    name,
    infer([a, b]) {
      if (!a || !b || a.dtype !== b.dtype) throw new Error(`element types ${a?.dtype} and ${b?.dtype} differ`)
      return [{ dtype: result ?? a.dtype, shape: broadcast(a.shape, b.shape) }]
    },
    emit(node, onnx) {
      onnx.node(onnxType, names(node.inputs), names(node.outputs))
    },
  }
}

function unaryOp(name: string, onnxType: string): Op<null> {
  return {
    name,
    infer: ([x]) => [x as Tensor],
    emit(node, onnx) {
      onnx.node(onnxType, names(node.inputs), names(node.outputs))
    },
  }
}

const names = (tensors: Node['inputs']): string[] => tensors.map((t) => t.name)

const addOp = binaryOp('add', 'Add')
const subOp = binaryOp('sub', 'Sub')
const mulOp = binaryOp('mul', 'Mul')
const divOp = binaryOp('div', 'Div')
const sqrtOp = unaryOp('sqrt', 'Sqrt')

export const add = (a: Tensor, b: Tensor): Tensor => apply(addOp, [a, b], null)
export const sub = (a: Tensor, b: Tensor): Tensor => apply(subOp, [a, b], null)
export const mul = (a: Tensor, b: Tensor): Tensor => apply(mulOp, [a, b], null)
export const div = (a: Tensor, b: Tensor): Tensor => apply(divOp, [a, b], null)
export const sqrt = (x: Tensor): Tensor => apply(sqrtOp, [x], null)

const castOp: Op<{ to: DType }> = {
  name: 'cast',
  infer: ([x], { to }) => [{ dtype: to, shape: (x as Tensor).shape }],
  emit(node, onnx) {
    const codes: Record<DType, number> = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 }
    onnx.node('Cast', names(node.inputs), names(node.outputs), { to: codes[node.attrs.to] })
  },
}

export const cast = (x: Tensor, to: DType): Tensor => apply(castOp, [x], { to })

/** Exact GELU: x Φ(x) with the error function (Hendrycks & Gimpel, arXiv 1606.08415). */
const geluOp: Op<null> = {
  name: 'gelu',
  infer: ([x]) => [x as Tensor],
  emit(node, onnx) {
    const [x] = names(node.inputs) as [string]
    const y = names(node.outputs)
    if (onnx.contrib) {
      onnx.node('Gelu', [x], y, {}, 'com.microsoft')
      return
    }
    const value = (v: number) => onnx.constant(Float32Array.of(v), [])
    const [z] = onnx.node('Div', [x, value(Math.SQRT2)], 1) as [string]
    const [erf] = onnx.node('Erf', [z], 1) as [string]
    const [onePlus] = onnx.node('Add', [erf, value(1)], 1) as [string]
    const [product] = onnx.node('Mul', [x, onePlus], 1) as [string]
    onnx.node('Mul', [product, value(0.5)], y)
  },
}

export const gelu = (x: Tensor): Tensor => apply(geluOp, [x], null)
