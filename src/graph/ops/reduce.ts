/** Means and maxima along axes. */

import type { Dim } from '../dims.js'
import { apply, type Op, scalar, type Tensor } from '../graph.js'
import { int64s } from '../onnx.js'
import { expandLike, reduceOp, reduceSum } from './broadcast.js'
import { cast, div, equal, mul, scale } from './elementwise.js'

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

export const reduceMean = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(meanOp, [x], { axes, keepDims })
export const reduceMax = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply(maxOp, [x], { axes, keepDims })

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
