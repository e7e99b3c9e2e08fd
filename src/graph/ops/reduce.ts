/** Reductions, and their reverse. */

import { type Dim, type Shape, sameShape } from '../dims.js'
import { apply, type Op, scalar, type Tensor } from '../graph.js'
import { int64s } from '../onnx.js'
import { cast, div, equal, mul, scale } from './elementwise.js'
import { reshape } from './shape.js'

interface ReduceAttributes {
  readonly axes: readonly number[]
  readonly keepDims: boolean
}

/** The gradient of a reduction's input; g and y are shaped to broadcast against x. */
type ReduceRule = (g: Tensor, x: Tensor, y: Tensor, axes: readonly number[]) => Tensor

function reduceOp(name: string, onnxType: string, rule: ReduceRule): Op<ReduceAttributes> {
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

const meanOp = reduceOp('reduceMean', 'ReduceMean', (g, x, _, axes) => {
  const sizes = axes.map((axis) => x.shape[axis] as Dim)
  const known = sizes.every((size) => typeof size === 'number')
  if (known) return expandLike(scale(g, 1 / product(sizes as number[])), x)
  return expandLike(div(g, countOf(x, axes)), x)
})

/** Equal largest entries share the gradient. */
const maxOp = reduceOp('reduceMax', 'ReduceMax', (g, x, y, axes) => {
  const largest = cast(equal(x, y), x.dtype)
  return mul(largest, div(g, reduceSum(largest, axes, true)))
})

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1)

export const reduceSum = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(sumOp, [x], { axes, keepDims })
export const reduceMean = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(meanOp, [x], { axes, keepDims })
export const reduceMax = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(maxOp, [x], { axes, keepDims })

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

const countOp: Op<{ axes: readonly number[] }> = {
  name: 'count',
  infer: () => [{ dtype: 'float32', shape: [] }],
  emit({ inputs: [x], outputs: [y], attrs: { axes } }, onnx) {
    const [shape] = onnx.node('Shape', [(x as Tensor).name], 1) as [string]
    const [sizes] = onnx.node('Gather', [shape, onnx.constant(int64s(axes), [axes.length])], 1) as [string]
    const [count] = onnx.node('ReduceProd', [sizes], 1, { keepdims: 0 }) as [string]
    onnx.node('Cast', [count], [(y as Tensor).name], { to: 1 })
  },
  gradient: () => [undefined],
}

/** The number of entries along `axes`, as a float scalar known when the graph runs. */
export const countOf = (x: Tensor, axes: readonly number[]): Tensor => {
  const sizes = axes.map((axis) => x.shape[axis] as Dim)
  if (sizes.every((size) => typeof size === 'number')) return scalar(x.graph, product(sizes as number[]))
  return apply(countOp, [x], { axes })
}

/** `x` summed over whatever was broadcast to get from `shape` to its own. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x
  const extra = x.shape.length - shape.length
  const axes = x.shape.flatMap((dim, i) => (i < extra || (shape[i - extra] === 1 && dim !== 1) ? [i] : []))
  return reshape(axes.length > 0 ? reduceSum(x, axes, true) : x, shape)
}
