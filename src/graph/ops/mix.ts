/** A fixed linear map along one axis, such as a resize: no weights, so it stays in floating point and learns nothing. */

import { type Dim, multiplyDims } from '../dims.js'
import { apply, namesOf, type Op, type Tensor } from '../graph.js'

/** A matrix `[rows, columns]`, row-major. */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly data: Float32Array
}

interface MixAttributes {
  readonly matrix: Matrix
  /** The last axis, or the one before it. */
  readonly last: boolean
}

const mixOp: Op<MixAttributes> = {
  name: 'mix',
  infer([x], { matrix, last }) {
    const { dtype, shape } = x as Tensor
    const at = shape.length - (last ? 1 : 2)
    if (shape[at] !== matrix.columns) throw new Error(`wanted ${matrix.columns} entries to mix, found ${shape[at]}`)
    return [{ dtype, shape: shape.map((dim, i) => (i === at ? matrix.rows : dim)) }]
  },
  emit({ inputs, outputs, attrs: { matrix, last } }, onnx) {
    const { rows, columns, data } = last ? transposed(matrix) : matrix
    const factor = onnx.constant(data, [rows, columns])
    const [x] = namesOf(inputs) as [string]
    onnx.node('MatMul', last ? [x, factor] : [factor, x], namesOf(outputs))
  },
  gradient: ({ attrs: { matrix, last } }, [g]) => [apply(mixOp, [g as Tensor], { matrix: transposed(matrix), last })],
  macs({ outputs: [y], attrs: { matrix } }, size) {
    const count = (y as Tensor).shape.reduce<Dim>(multiplyDims, matrix.columns)
    return size([count])[0] as number
  },
}

const transposed = ({ rows, columns, data }: Matrix): Matrix => ({
  rows: columns,
  columns: rows,
  data: Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number),
})

/**
 * Entries along the last axis, or the one before it, as fixed sums of the old ones: y_i = Σ_j m_ij x_j.
 *
 * @param x - `[…, n]`, or `[…, n, m]`
 * @param matrix - `[k, n]`
 * @returns `[…, k]`, or `[…, k, m]`
 */
export const mix = (x: Tensor, axis: 'last' | 'before last', matrix: Matrix): Tensor =>
  apply(mixOp, [x], { matrix, last: axis === 'last' })
