/** Matrix products. */

import { broadcast, type Dim, elements } from '../dims.js'
import { apply, type Emitter, type Op, type Tensor } from '../graph.js'
import { int64s, reshapeTarget } from '../onnx.js'
import { reduceSum, sumTo } from './broadcast.js'
import { reshape } from './shape.js'

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1)

interface MatmulAttributes {
  readonly transA: boolean
  readonly transB: boolean
  /** Factor of the product, applied inside it. */
  readonly alpha: number
}

const matmulOp: Op<MatmulAttributes> = {
  name: 'matmul',
  infer([a, b], { transA, transB }) {
    if (!a || !b || a.shape.length < 2 || b.shape.length < 2) throw new Error('matmul wants two matrices')
    const [m, k] = lastTwo(a, transA)
    const [k2, n] = lastTwo(b, transB)
    if (k !== k2) throw new Error(`inner dimensions ${k} and ${k2} differ`)
    return [{ dtype: a.dtype, shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n] }]
  },
  emit({ inputs: [a, b], outputs: [y], attrs: { transA, transB, alpha } }, onnx) {
    const [x, w] = [a as Tensor, b as Tensor]
    const attributes = { transA: Number(transA), transB: Number(transB), alpha: { float: alpha } }
    if (!transA && !transB && alpha === 1) {
      onnx.node('MatMul', [x.name, w.name], [(y as Tensor).name])
    } else if (x.shape.length === 2 && w.shape.length === 2) {
      onnx.node('Gemm', [x.name, w.name], [(y as Tensor).name], attributes)
    } else if (onnx.contrib) {
      onnx.node('FusedMatMul', [x.name, w.name], [(y as Tensor).name], attributes, 'com.microsoft')
    } else {
      const swap = (t: Tensor) => {
        const perm = t.shape.map((_, i) => i)
        perm.push(...(perm.splice(-2).reverse() as [number, number]))
        return onnx.node('Transpose', [t.name], 1, { perm })[0] as string
      }
      const factors = [transA ? swap(x) : x.name, transB ? swap(w) : w.name]
      const product = onnx.node('MatMul', factors, alpha === 1 ? [(y as Tensor).name] : 1)
      if (alpha !== 1) onnx.node('Mul', [...product, onnx.constant(Float32Array.of(alpha), [])], [(y as Tensor).name])
    }
  },
  // dA = dY Bᵀ and dB = Aᵀ dY; the operands trade places where one of them was transposed.
  gradient({ inputs: [a, b], attrs: { transA, transB, alpha } }, [dy]) {
    const [x, w, g] = [a as Tensor, b as Tensor, dy as Tensor]
    const da = transA ? matmul(w, g, { transA: transB, transB: true, alpha }) : matmul(g, w, { transB: !transB, alpha })
    const db = transB ? matmul(g, x, { transA: true, transB: transA, alpha }) : matmul(x, g, { transA: !transA, alpha })
    return [sumTo(da, x.shape), sumTo(db, w.shape)]
  },
  macs({ inputs: [a], outputs: [y], attrs: { transA } }, size) {
    const [, inner] = lastTwo(a as Tensor, transA)
    return product(size((y as Tensor).shape)) * (size([inner])[0] as number)
  },
}

function lastTwo(x: Tensor, transposed: boolean): [Dim, Dim] {
  const [rows, columns] = x.shape.slice(-2) as [Dim, Dim]
  return transposed ? [columns, rows] : [rows, columns]
}

/** Batched matrix product over the last two dimensions: `[…, m, k] × […, k, n] → […, m, n]`. */
export const matmul = (a: Tensor, b: Tensor, options: Partial<MatmulAttributes> = {}): Tensor =>
  apply(matmulOp, [a, b], { transA: false, transB: false, alpha: 1, ...options })

/** x `[…, C]` as a matrix `[rows, C]`. */
const flattenRows = (x: Tensor): Tensor => reshape(x, [elements(x.shape.slice(0, -1)), x.shape.at(-1) as Dim])

/**
 * y = x Wᵀ + b with W in PyTorch's layout `[out, in]`.
 *
 * One Gemm over all rows: the bias costs no pass of its own and the weights need no transpose.
 */
const linearOp: Op<null> = {
  name: 'linear',
  infer([x, w, b]) {
    if (!x || !w || w.shape.length !== 2) throw new Error('linear wants an [out, in] matrix')
    const [out, inner] = w.shape as [Dim, Dim]
    if (x.shape.at(-1) !== inner) throw new Error(`input width ${x.shape.at(-1)} is not ${inner}`)
    if (b && (b.shape.length !== 1 || b.shape[0] !== out)) throw new Error(`bias [${b.shape}] is not [${out}]`)
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, -1), out] }]
  },
  emit({ inputs, outputs: [y] }, onnx) {
    const [x, w, b] = inputs as [Tensor, Tensor, Tensor | undefined]
    const result = y as Tensor
    const weights = b ? [w.name, b.name] : [w.name]
    if (x.shape.length === 2) {
      onnx.node('Gemm', [x.name, ...weights], [result.name], { transB: 1 })
      return
    }
    const flat = flatShape(x, w, onnx)
    const [rows] = onnx.node('Reshape', [x.name, flat], 1) as [string]
    const [product] = onnx.node('Gemm', [rows, ...weights], 1, { transB: 1 }) as [string]
    onnx.node('Reshape', [product, restoredShape(x, w, result, onnx)], [result.name])
  },
  macs: ({ inputs: [, w], outputs: [y] }, size) =>
    product(size([...(y as Tensor).shape, (w as Tensor).shape[1] as Dim])),
  // dX = dY W, dW = dYᵀ X, db = Σ dY: the layout [out, in] needs no transposed copy in either direction.
  gradient({ inputs: [x, w] }, [g]) {
    const [dy, rows] = [flattenRows(g as Tensor), flattenRows(x as Tensor)] // [rows, out], [rows, in]
    return [matmul(g as Tensor, w as Tensor), matmul(dy, rows, { transA: true }), reduceSum(dy, [0])]
  },
}

/** Rows in one axis; of as many columns as the weights have, where that is known only when the graph runs. */
function flatShape(x: Tensor, w: Tensor, onnx: Emitter): string {
  const width = x.shape.at(-1) as Dim
  if (typeof width === 'number') return onnx.constant(int64s([-1, width]), [2])
  const [columns] = onnx.node('Shape', [w.name], 1, { start: 1, end: 2 }) as [string]
  return onnx.node('Concat', [onnx.constant(int64s([-1]), [1]), columns], 1, { axis: 0 })[0] as string
}

/** Where the flattened rows go back to: a constant unless more than one dimension is symbolic. */
function restoredShape(x: Tensor, w: Tensor, result: Tensor, onnx: Emitter): string {
  const width = result.shape.at(-1) as Dim
  if (result.shape.filter((dim) => typeof dim === 'string').length <= 1) {
    const target = reshapeTarget([], result.shape)
    return onnx.constant(int64s(target), [target.length])
  }
  const [leading] = onnx.node('Shape', [x.name], 1, { start: 0, end: -1 }) as [string]
  const [columns] =
    typeof width === 'number'
      ? [onnx.constant(int64s([width]), [1])]
      : onnx.node('Shape', [w.name], 1, { start: 0, end: 1 })
  return onnx.node('Concat', [leading, columns as string], 1, { axis: 0 })[0] as string
}

/** Linear layer: x `[…, in]`, weight `[out, in]`, bias `[out]` → `[…, out]`. */
export const linear = (x: Tensor, weight: Tensor, bias?: Tensor): Tensor =>
  apply(linearOp, bias ? [x, weight, bias] : [x, weight], null)
