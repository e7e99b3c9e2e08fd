/** Reductions. */

import { apply, type Op, type Tensor } from '../graph.js'
import { int64s } from '../onnx.js'

interface ReduceAttributes {
  readonly axes: readonly number[]
  readonly keepDims: boolean
}

function reduceOp(name: string, onnxType: string): Op<ReduceAttributes> {
  return {
    name,
    infer([x], { axes, keepDims }) {
      const { dtype, shape } = x as Tensor
      if (axes.some((axis) => axis < 0 || axis >= shape.length)) throw new Error(`no axes [${axes}]`)
      const reduced = shape.flatMap((dim, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [dim]))
      return [{ dtype, shape: reduced }]
    },
    emit({ inputs, outputs, attrs: { axes, keepDims } }, onnx) {
      const x = (inputs[0] as Tensor).name
      const y = outputs.map((t) => t.name)
      const keepdims = Number(keepDims)
      // Opset 17 takes the axes of ReduceSum as an input, those of the others as an attribute.
      if (onnxType === 'ReduceSum')
        onnx.node(onnxType, [x, onnx.constant(int64s(axes), [axes.length])], y, { keepdims })
      else onnx.node(onnxType, [x], y, { axes, keepdims })
    },
  }
}

const sumOp = reduceOp('reduceSum', 'ReduceSum')
const meanOp = reduceOp('reduceMean', 'ReduceMean')
const maxOp = reduceOp('reduceMax', 'ReduceMax')

export const reduceSum = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(sumOp, [x], { axes, keepDims })
export const reduceMean = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(meanOp, [x], { axes, keepDims })
export const reduceMax = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(maxOp, [x], { axes, keepDims })
