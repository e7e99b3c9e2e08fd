/** Selecting rows: top-k, gather and scatter along the token axis, one selection per picture. */

import { type Dim, multiplyDims } from '../dims.js'
import { apply, applyAll, type Emitter, type Node, namesOf, type Op, type Tensor } from '../graph.js'
import { int64s, reshapeTarget } from '../onnx.js'
import { add } from './elementwise.js'
import { reshape, zerosLike } from './shape.js'

const topKOp: Op<{ k: Dim; smallest: boolean }> = {
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
  emit({ inputs: [x, count], outputs, attrs: { k, smallest } }, onnx) {
    const { name, shape } = x as Tensor
    const all = () => onnx.node('Shape', [name], 1, { start: shape.length - 1 })[0] as string // a symbol: all there are
    const wanted = count?.name ?? (typeof k === 'number' ? onnx.constant(int64s([k]), [1]) : all())
    onnx.node(
      'TopK',
      [name, wanted],
      outputs.map((t) => t.name),
      { axis: -1, largest: Number(!smallest), sorted: 1 },
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

/** x with the entries at `indices` along the last axis replaced by `update`; no gradient flows. */
export const scatterLast = (x: Tensor, indices: Tensor, update: Tensor): Tensor =>
  apply(scatterLastOp, [x, indices, update], null)

/**
 * The `k` largest entries along the last axis, descending; of equal entries the lower index comes first.
 *
 * @param count - int64 `[1]` that holds the number at run time; `k` is then its symbol
 * @returns values and int64 indices, both `[…, k]`
 */
export function topK(x: Tensor, k: Dim, count?: Tensor): { values: Tensor; indices: Tensor } {
  const [values, indices] = applyAll(topKOp, count ? [x, count] : [x], { k, smallest: false }) as [Tensor, Tensor]
  return { values, indices }
}

/** The `k` smallest entries along the last axis, ascending, like {@link topK}. */
export function bottomK(x: Tensor, k: Dim): { values: Tensor; indices: Tensor } {
  const [values, indices] = applyAll(topKOp, [x], { k, smallest: true }) as [Tensor, Tensor]
  return { values, indices }
}

const gatherLastOp: Op<null> = {
  name: 'gatherLast',
  infer([x, indices]) {
    const [from, at] = [x as Tensor, indices as Tensor]
    if (from.shape.length !== at.shape.length) throw new Error('as many axes of indices as of values are wanted')
    return [{ dtype: from.dtype, shape: at.shape }]
  },
  emit({ inputs, outputs }, onnx) {
    onnx.node('GatherElements', namesOf(inputs), namesOf(outputs), { axis: -1 })
  },
  gradient: ({ inputs: [x, indices] }, [g]) => [addLast(zerosLike(x as Tensor), indices as Tensor, g as Tensor)],
}

/** Entries along the last axis: x `[…, n]` at int64 indices `[…, k]` → `[…, k]`. */
export const gatherLast = (x: Tensor, indices: Tensor): Tensor => apply(gatherLastOp, [x, indices], null)

const takeOp: Op<{ axis: number }> = {
  name: 'take',
  infer([x, indices], { axis }) {
    const { dtype, shape } = x as Tensor
    const at = indices as Tensor
    if (at.dtype !== 'int64' || at.shape.length !== 1) throw new Error(`indices are int64 [k], found [${at.shape}]`)
    return [{ dtype, shape: shape.map((dim, i) => (i === axis ? (at.shape[0] as Dim) : dim)) }]
  },
  emit({ inputs, outputs, attrs: { axis } }, onnx) {
    onnx.node('Gather', namesOf(inputs), namesOf(outputs), { axis })
  },
}

/** Entries along an axis, the same everywhere: x `[…, n, …]` at int64 `[k]` → `[…, k, …]`; for passes without a gradient. */
export const take = (x: Tensor, indices: Tensor, axis: number): Tensor => apply(takeOp, [x, indices], { axis })

const takePartsOp: Op<{ axis: number }> = {
  name: 'takeParts',
  infer([x, indices], { axis }) {
    const { dtype, shape } = x as Tensor
    const each = shape[axis + 1] as number
    const taken = multiplyDims((indices as Tensor).shape[0] as Dim, each)
    return [{ dtype, shape: [...shape.slice(0, axis), taken, ...shape.slice(axis + 2)] }]
  },
  emit({ inputs: [x, indices], outputs: [y], attrs: { axis } }, onnx) {
    const [parts, at, { name, shape }] = [x as Tensor, indices as Tensor, y as Tensor]
    const taken = parts.shape.map((dim, i) => (i === axis ? (at.shape[0] as Dim) : dim))
    const gathered = onnx.node('Gather', [parts.name, at.name], 1, { axis })
    onnx.node('Reshape', [...gathered, onnx.constant(int64s(reshapeTarget(taken, shape)), [shape.length])], [name])
  },
}

/**
 * Of the equal parts that an axis is made of, some: x `[…, p·d, …]` at int64 `[k]` → `[…, k·d, …]`; for passes without a
 * gradient.
 */
export function takeParts(x: Tensor, indices: Tensor, axis: number, parts: number): Tensor {
  const size = x.shape[axis] as number
  const view = reshape(x, [...x.shape.slice(0, axis), parts, size / parts, ...x.shape.slice(axis + 1)])
  return apply(takePartsOp, [view, indices], { axis })
}

const addLastOp: Op<null> = {
  name: 'addLast',
  infer: ([x]) => [x as Tensor],
  emit({ inputs, outputs }, onnx) {
    onnx.node('ScatterElements', namesOf(inputs), namesOf(outputs), { axis: -1, reduction: 'add' })
  },
  gradient: ({ inputs: [, indices] }, [g]) => [g, undefined, gatherLast(g as Tensor, indices as Tensor)],
}

/** x `[…, n]` with `update` `[…, k]` added at `indices` along the last axis; an index may come more than once. */
export function addLast(x: Tensor, indices: Tensor, update: Tensor): Tensor {
  return apply(addLastOp, [x, indices, update], null)
}

const cumulateOp: Op<{ reverse: boolean }> = {
  name: 'cumulate',
  infer: ([x]) => [x as Tensor],
  emit({ inputs: [x], outputs, attrs: { reverse } }, onnx) {
    const axis = onnx.constant(int64s([(x as Tensor).shape.length - 1]), [])
    onnx.node('CumSum', [(x as Tensor).name, axis], namesOf(outputs), { reverse: Number(reverse) })
  },
  gradient: ({ attrs: { reverse } }, [g]) => [apply(cumulateOp, [g as Tensor], { reverse: !reverse })],
}

/** Running sums along the last axis: entry i is the sum of entries 0 … i. */
export const cumulate = (x: Tensor): Tensor => apply(cumulateOp, [x], { reverse: false })

const positionsOp: Op<null> = {
  name: 'positions',
  infer: ([like]) => [{ dtype: 'int64', shape: (like as Tensor).shape }],
  emit({ inputs: [like], outputs }, onnx) {
    const { name, shape } = like as Tensor
    const value = (v: number) => onnx.constant(int64s([v]), [])
    const [all] = onnx.node('Shape', [name], 1) as [string]
    const length = sizeOf(like as Tensor, shape.length - 1, onnx)
    const counted = onnx.node('Range', [value(0), length, value(1)], 1)
    onnx.node('Expand', [...counted, all], namesOf(outputs))
  },
  gradient: () => [undefined],
}

/** 0, 1, 2, … along the last axis of a tensor `[…, n]`: int64 in its shape. */
export const positions = (like: Tensor): Tensor => apply(positionsOp, [like], null)

/**
 * Where every picture begins in the flattened `[B·N, …]` view: int64 `[B, 1]`; B is read off the first axis of the
 * input, and N, where it is a symbol, off its second.
 */
const firstRowsOp: Op<{ rows: Dim }> = {
  name: 'firstRows',
  infer: ([like]) => [{ dtype: 'int64', shape: [(like as Tensor).shape[0] as Dim, 1] }],
  emit({ inputs: [like], outputs: [first], attrs: { rows } }, onnx) {
    const value = (v: number) => onnx.constant(int64s([v]), [])
    const count = typeof rows === 'number' ? value(rows) : sizeOf(like as Tensor, 1, onnx)
    const size = onnx.node('Shape', [(like as Tensor).name], 1, { start: 0, end: 1 })[0] as string
    const [batch] = onnx.node('Squeeze', [size], 1) as [string]
    const [pictures] = onnx.node('Range', [value(0), batch, value(1)], 1) as [string]
    const [row] = onnx.node('Mul', [pictures, count], 1) as [string]
    onnx.node('Unsqueeze', [row, onnx.constant(int64s([1]), [1])], [(first as Tensor).name])
  },
}

/** A size that is known when the graph runs, as a scalar. */
const sizeOf = ({ name }: Tensor, axis: number, onnx: Emitter): string =>
  onnx.node('Squeeze', onnx.node('Shape', [name], 1, { start: axis, end: axis + 1 }), 1)[0] as string

/** First rows of pictures of so many rows, for as many as `indices` is about; all selections of a graph share them. */
function firstRows(indices: Tensor, rows: Dim, of: Tensor | undefined): Tensor {
  const { inputs, nodes } = indices.graph
  if (typeof rows === 'string') return apply(firstRowsOp, [of as Tensor], { rows })
  const like = inputs.find(({ shape }) => shape[0] === indices.shape[0]) ?? indices
  const isSame = ({ op, attrs, inputs: [x] }: Node) =>
    op === (firstRowsOp as Op) && x === like && (attrs as { rows: number }).rows === rows
  return nodes.find(isSame)?.outputs[0] ?? apply(firstRowsOp, [like], { rows })
}

/** A selection of rows in every picture, ready for gather and scatter. */
export interface Rows {
  /** int64 `[B, n]`, row numbers in the flattened `[B·N, C]` view. */
  readonly flat: Tensor
}

/**
 * Prepares a selection: `indices` int64 `[B, n]` are rows of a `[B, N, …]` tensor.
 *
 * @param rows - N, or a tensor `[B, N, …]` where N is a symbol
 */
export function selectRows(indices: Tensor, rows: number | Tensor): Rows {
  const [count, of] = typeof rows === 'number' ? [rows, undefined] : [rows.shape[1] as Dim, rows]
  return { flat: add(indices, firstRows(indices, count, of)) }
}

const gatherOp: Op<{ repeats: boolean }> = {
  name: 'gatherRows',
  infer([x, flat]) {
    const { dtype, shape } = x as Tensor
    return [{ dtype, shape: [...(flat as Tensor).shape, shape.at(-1) as Dim] }]
  },
  emit({ inputs: [x, flat], outputs }, onnx) {
    onnx.node(
      'Gather',
      [tableOf(x as Tensor, onnx), (flat as Tensor).name],
      outputs.map((t) => t.name),
      { axis: 0 },
    )
  },
  // Where a row is selected at most once, writing is adding.
  gradient: ({ inputs: [x, flat], attrs: { repeats } }, [g]) => [
    (repeats ? addRows : scatterRows)(zerosLike(x as Tensor), { flat: flat as Tensor }, g as Tensor),
  ],
}

/** x `[B, N, C]`, or merged already, as the table `[B·N, C]`. */
function tableOf({ name, shape }: Tensor, onnx: Emitter): string {
  if (shape.length === 2) return name
  return onnx.node('Reshape', [name, onnx.constant(int64s([-1, shape.at(-1) as number]), [2])], 1)[0] as string
}

/**
 * Selected rows: x `[B, N, C]` → `[B, n, C]`.
 *
 * @param repeats - whether a row may be selected more than once; default false
 */
export const gatherRows = (x: Tensor, rows: Rows, repeats = false): Tensor =>
  apply(gatherOp, [x, rows.flat], { repeats })

const scatterOp: Op<null> = {
  name: 'scatterRows',
  infer: ([x]) => [x as Tensor],
  emit: (node, onnx) => emitScatter(node, onnx, {}),
  gradient({ inputs: [, flat, update] }, [g]) {
    const rows = { flat: flat as Tensor }
    return [scatterRows(g as Tensor, rows, zerosLike(update as Tensor)), undefined, gatherRows(g as Tensor, rows)]
  },
}

/** x `[B, N, C]` with the selected rows replaced by `update` `[B, n, C]`; the others are the same bits. */
export const scatterRows = (x: Tensor, rows: Rows, update: Tensor): Tensor =>
  apply(scatterOp, [x, rows.flat, update], null)

const zeroRowsOp: Op<{ rows: Dim }> = {
  name: 'zeroRows',
  infer([like], { rows }) {
    const { shape } = like as Tensor
    return [{ dtype: 'float32', shape: shape.map((dim, axis) => (axis === 1 ? rows : dim)) }]
  },
  emit({ inputs: [like, count], outputs, attrs: { rows } }, onnx) {
    const { name, shape } = like as Tensor
    const batch = onnx.node('Shape', [name], 1, { start: 0, end: 1 })[0] as string
    const rest = shape.slice(2).map((dim) => onnx.constant(int64s([dim as number]), [1]))
    const wanted = count?.name ?? onnx.constant(int64s([rows as number]), [1])
    const size = onnx.node('Concat', [batch, wanted, ...rest], 1, { axis: 0 })
    onnx.node('ConstantOfShape', size, namesOf(outputs)) // float32 0 by default
  },
  gradient: () => [undefined],
}

/**
 * Zeros of another number of rows than `like`: `[B, n, …]` → `[B, rows, …]`.
 *
 * @param count - int64 `[1]` that holds the number at run time; `rows` is then its symbol
 */
export const zeroRows = (like: Tensor, rows: Dim, count?: Tensor): Tensor =>
  apply(zeroRowsOp, count ? [like, count] : [like], { rows })

/** Writes into, or with `reduction: 'add'` adds to, rows of x. */
function emitScatter({ inputs: [x, flat, update], outputs }: Node<null>, onnx: Emitter, how: { reduction?: string }) {
  const { shape } = x as Tensor
  const names = outputs.map((t) => t.name)
  const index = onnx.node('Unsqueeze', [(flat as Tensor).name, onnx.constant(int64s([-1]), [1])], 1)[0] as string
  const factors = [tableOf(x as Tensor, onnx), index, (update as Tensor).name]
  const written = onnx.node('ScatterND', factors, shape.length === 2 ? names : 1, how)
  if (shape.length === 2) return
  const target = shape.slice(1).every((size) => typeof size === 'number')
    ? onnx.constant(int64s([-1, ...(shape.slice(1) as number[])]), [shape.length])
    : (onnx.node('Shape', [(x as Tensor).name], 1)[0] as string)
  onnx.node('Reshape', [...written, target], names)
}

const addRowsOp: Op<null> = {
  name: 'addRows',
  infer: ([x]) => [x as Tensor],
  emit: (node, onnx) => emitScatter(node, onnx, { reduction: 'add' }),
  gradient: ({ inputs: [, flat] }, [g]) => [g, undefined, gatherRows(g as Tensor, { flat: flat as Tensor })],
}

/** x `[B, N, C]` with `update` `[B, n, C]` added to the selected rows, of which one may be selected more than once. */
export const addRows = (x: Tensor, rows: Rows, update: Tensor): Tensor => apply(addRowsOp, [x, rows.flat, update], null)

const reorderOp: Op<{ order: readonly number[] }> = {
  name: 'reorderRows',
  infer([x], { order }) {
    const { dtype, shape } = x as Tensor
    if (shape[1] !== order.length) throw new Error(`an order of ${order.length} rows does not fit`)
    return [{ dtype, shape }]
  },
  emit({ inputs, outputs, attrs: { order } }, onnx) {
    onnx.node('Gather', [...namesOf(inputs), onnx.constant(int64s(order), [order.length])], namesOf(outputs), {
      axis: 1,
    })
  },
  gradient({ attrs: { order } }, [g]) {
    const back = new Array<number>(order.length)
    for (const [to, from] of order.entries()) back[from] = to
    return [reorderRows(g as Tensor, back)]
  },
}

/** Rows of every picture in another order, the same for all: row i of the result is row `order[i]` of x `[B, N, …]`. */
export const reorderRows = (x: Tensor, order: readonly number[]): Tensor =>
  order.every((from, to) => from === to) ? x : apply(reorderOp, [x], { order })

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
