/** Repeating along axes, and its reverse: sums. Each is the other's gradient. */

import { type Dim, type Shape, sameShape } from '../dims.js'
import { apply, namesOf, type Op, type Tensor } from '../graph.js'
import { int64s } from '../onnx.js'
import { reshape } from './shape.js'

interface ReduceAttributes {
  readonly axes: readonly number[]
  readonly keepDims: boolean
}

/** The gradient of a reduction's input; g and y are shaped to broadcast against x. */
type ReduceRule = (g: Tensor, x: Tensor, y: Tensor, axes: readonly number[]) => Tensor

export function reduceOp(name: string, onnxType: string, rule: ReduceRule): Op<ReduceAttributes> {
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
    gradient({ inputs: [input], outputs: [y], attrs: { axes } }, [g]) {
      const x = input as Tensor
      const kept = x.shape.map((dim, i) => (axes.includes(i) ? 1 : dim))
      return [rule(reshape(g as Tensor, kept), x, reshape(y as Tensor, kept), axes)]
    },
  }
}

const sumOp = reduceOp('reduceSum', 'ReduceSum', (g, x) => expandLike(g, x))

export const reduceSum = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(sumOp, [x], { axes, keepDims })

const expandOp: Op<null> = {
  name: 'expandLike',
  infer: ([x, like]) => [{ dtype: (x as Tensor).dtype, shape: (like as Tensor).shape }],
  emit({ inputs, outputs: [y] }, onnx) {
    const [x, like] = inputs as [Tensor, Tensor]
    const target = like.shape.every((dim) => typeof dim === 'number')
      ? onnx.constant(int64s(like.shape), [like.shape.length])
      : (onnx.node('Shape', [like.name], 1)[0] as string)
    onnx.node('Expand', [x.name, target], [(y as Tensor).name])
  },
  gradient: ({ inputs: [x] }, [g]) => [sumTo(g as Tensor, (x as Tensor).shape)],
}

/** `x` repeated to the shape of `like`, against which it broadcasts. */
export const expandLike = (x: Tensor, like: Tensor): Tensor =>
  sameShape(x.shape, like.shape) ? x : apply(expandOp, [x, like], null)

const expandBatchOp: Op<{ axis: number }> = {
  name: 'expandBatch',
  infer([x, like], { axis }) {
    const { dtype, shape } = x as Tensor
    return [{ dtype, shape: shape.map((dim, i) => (i === axis ? ((like as Tensor).shape[axis] as Dim) : dim)) }]
  },
  emit({ inputs: [x, like], outputs, attrs: { axis } }, onnx) {
    const from = x as Tensor
    const size = onnx.node('Shape', [(like as Tensor).name], 1, { start: axis, end: axis + 1 })[0] as string
    const ones = (n: number) => onnx.constant(int64s(Array.from({ length: n }, () => 1)), [n])
    const parts = [axis > 0 ? [ones(axis)] : [], [size], [ones(from.shape.length - axis - 1)]].flat()
    const [target] = onnx.node('Concat', parts, 1, { axis: 0 }) as [string]
    onnx.node('Expand', [from.name, target], namesOf(outputs))
  },
  gradient: ({ attrs: { axis } }, [g]) => [reduceSum(g as Tensor, [axis], true)],
}

/** Repeats `x` (size 1 in batch) for every picture of `like`: `[1, …] → [B, …]`. */
export const expandBatch = (x: Tensor, like: Tensor): Tensor => apply(expandBatchOp, [x, like], { axis: 0 })

/** `x` summed over whatever was broadcast to get from `shape` to its own. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x
  const extra = x.shape.length - shape.length
  const axes = x.shape.flatMap((dim, i) => (i < extra || (shape[i - extra] === 1 && dim !== 1) ? [i] : []))
  return reshape(axes.length > 0 ? reduceSum(x, axes, true) : x, shape)
}
