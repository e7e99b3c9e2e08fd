/** Selecting rows: top-k, gather and scatter along the token axis, one selection per picture. */

import type { Dim } from '../dims.js'
import { apply, applyAll, type Op, type Tensor } from '../graph.js'
import { int64s } from '../onnx.js'
import { zerosLike } from './shape.js'

const topKOp: Op<{ k: Dim }> = {
  name: 'topK',
  infer([x, count], { k }) {
    const { dtype, shape } = x as Tensor
    const size = shape.at(-1)
    if (!count && typeof k === 'number' && typeof size === 'number' && k > size) throw new Error(`top ${k} of ${size}`)
    const kept = [...shape.slice(0, -1), k]
    return [
      { dtype, shape: kept },
      { dtype: 'int64', shape: kept },
    ]
  },
  emit({ inputs: [x, count], outputs, attrs: { k } }, onnx) {
    const wanted = count?.name ?? onnx.constant(int64s([k as number]), [1])
    onnx.node(
      'TopK',
      [(x as Tensor).name, wanted],
      outputs.map((t) => t.name),
      { axis: -1, largest: 1, sorted: 1 },
    )
  },
  // The indices are integers: nothing flows through a selection, only through the values.
  gradient: ({ inputs: [x], outputs: [, indices] }, [g]) => [
    g && scatterLast(zerosLike(x as Tensor), indices as Tensor, g),
  ],
}

const scatterLastOp: Op<null> = {
  name: 'scatterLast',
  infer: ([x]) => [x as Tensor],
  emit({ inputs, outputs }, onnx) {
    onnx.node(
      'ScatterElements',
      inputs.map((t) => t.name),
      outputs.map((t) => t.name),
      { axis: -1 },
    )
  },
}

/** x with the entries at `indices` along the last axis replaced by `update`. */
const scatterLast = (x: Tensor, indices: Tensor, update: Tensor): Tensor =>
  apply(scatterLastOp, [x, indices, update], null)

/**
 * The `k` largest entries along the last axis, descending; of equal entries the lower index comes first.
 *
 * @param count - int64 `[1]` that holds the number at run time; `k` is then its symbol
 * @returns values and int64 indices, both `[…, k]`
 */
export function topK(x: Tensor, k: Dim, count?: Tensor): { values: Tensor; indices: Tensor } {
  const [values, indices] = applyAll(topKOp, count ? [x, count] : [x], { k }) as [Tensor, Tensor]
  return { values, indices }
}

/** Row numbers in the flattened `[B·N, …]` view, from row numbers inside each picture. */
const flatRowsOp: Op<{ rows: Dim }> = {
  name: 'flatRows',
  infer: ([indices]) => [indices as Tensor],
  emit({ inputs: [indices], outputs, attrs: { rows } }, onnx) {
    const { name, graph, shape } = indices as Tensor
    const value = (v: number) => onnx.constant(int64s([v]), [])
    // Read off an input, the runtime sees that every selection computes the same and does it once.
    const like = graph.inputs.find((input) => input.shape[0] === shape[0]) ?? { name }
    const size = onnx.node('Shape', [like.name], 1, { start: 0, end: 1 })[0] as string
    const [batch] = onnx.node('Squeeze', [size], 1) as [string]
    const [pictures] = onnx.node('Range', [value(0), batch, value(1)], 1) as [string]
    const [first] = onnx.node('Mul', [pictures, value(rows as number)], 1) as [string]
    const [column] = onnx.node('Unsqueeze', [first, onnx.constant(int64s([1]), [1])], 1) as [string]
    onnx.node(
      'Add',
      [name, column],
      outputs.map((t) => t.name),
    )
  },
}

/** A selection of rows in every picture, ready for gather and scatter. */
export interface Rows {
  /** int64 `[B, n]`, row numbers in the flattened `[B·N, C]` view. */
  readonly flat: Tensor
}

/** Prepares a selection: `indices` int64 `[B, n]` are rows of a `[B, N, …]` tensor. */
export const selectRows = (indices: Tensor, rows: number): Rows => ({ flat: apply(flatRowsOp, [indices], { rows }) })

const gatherOp: Op<null> = {
  name: 'gatherRows',
  infer([x, flat]) {
    const { dtype, shape } = x as Tensor
    return [{ dtype, shape: [...(flat as Tensor).shape, shape[2] as Dim] }]
  },
  emit({ inputs: [x, flat], outputs }, onnx) {
    const { name, shape } = x as Tensor
    const [table] = onnx.node('Reshape', [name, onnx.constant(int64s([-1, shape[2] as number]), [2])], 1) as [string]
    onnx.node(
      'Gather',
      [table, (flat as Tensor).name],
      outputs.map((t) => t.name),
      { axis: 0 },
    )
  },
  // A row is selected at most once, so writing is adding.
  gradient: ({ inputs: [x, flat] }, [g]) => [
    scatterRows(zerosLike(x as Tensor), { flat: flat as Tensor }, g as Tensor),
  ],
}

/** Selected rows: x `[B, N, C]` → `[B, n, C]`. */
export const gatherRows = (x: Tensor, rows: Rows): Tensor => apply(gatherOp, [x, rows.flat], null)

const scatterOp: Op<null> = {
  name: 'scatterRows',
  infer: ([x]) => [x as Tensor],
  emit({ inputs: [x, flat, update], outputs }, onnx) {
    const { name, shape } = x as Tensor
    const [, N, C] = shape as [Dim, number, number]
    const [table] = onnx.node('Reshape', [name, onnx.constant(int64s([-1, C]), [2])], 1) as [string]
    const index = onnx.node('Unsqueeze', [(flat as Tensor).name, onnx.constant(int64s([-1]), [1])], 1)[0] as string
    const [written] = onnx.node('ScatterND', [table, index, (update as Tensor).name], 1) as [string]
    const target = onnx.constant(int64s([-1, N, C]), [3])
    onnx.node(
      'Reshape',
      [written, target],
      outputs.map((t) => t.name),
    )
  },
  gradient({ inputs: [, flat, update] }, [g]) {
    const rows = { flat: flat as Tensor }
    return [scatterRows(g as Tensor, rows, zerosLike(update as Tensor)), undefined, gatherRows(g as Tensor, rows)]
  },
}

/** x `[B, N, C]` with the selected rows replaced by `update` `[B, n, C]`; the others are the same bits. */
export const scatterRows = (x: Tensor, rows: Rows, update: Tensor): Tensor =>
  apply(scatterOp, [x, rows.flat, update], null)

const maskOp: Op<{ rows: number }> = {
  name: 'rowMask',
  infer: ([indices], { rows }) => [{ dtype: 'float32', shape: [(indices as Tensor).shape[0] as Dim, rows] }],
  emit({ inputs: [indices], outputs, attrs: { rows } }, onnx) {
    const { name } = indices as Tensor
    const batch = onnx.node('Shape', [name], 1, { start: 0, end: 1 })[0] as string
    const [target] = onnx.node('Concat', [batch, onnx.constant(int64s([rows]), [1])], 1, { axis: 0 }) as [string]
    const zero = onnx.constant(Float32Array.of(0), [])
    const [zeros] = onnx.node('Expand', [zero, target], 1) as [string]
    const like = onnx.node('Shape', [name], 1)[0] as string
    const [ones] = onnx.node('Expand', [onnx.constant(Float32Array.of(1), []), like], 1) as [string]
    onnx.node(
      'ScatterElements',
      [zeros, name, ones],
      outputs.map((t) => t.name),
      { axis: 1 },
    )
  },
}

/** 1 on the selected rows, 0 elsewhere: int64 `[B, n]` → float32 `[B, N]`. No gradient flows. */
export const rowMask = (indices: Tensor, rows: number): Tensor => apply(maskOp, [indices], { rows })
