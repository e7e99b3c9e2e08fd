/**
 * Windows of a map of tokens (Swin, arXiv 2103.14030, section 3.2): which tokens share one, before and after the cyclic
 * shift; the bias of their relative positions; and the mask between regions that the shift brought together.
 *
 * Shifting and cutting into windows is one permutation of the rows, and so is what patch merging does before its norm.
 */

import { type Dim, multiplyDims } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { expandBatch } from '../graph/ops/broadcast.js'
import { add, equal, sub, where } from '../graph/ops/elementwise.js'
import { gatherLast, gatherRows, reorderRows } from '../graph/ops/rows.js'
import { reshape, transpose } from '../graph/ops/shape.js'
import type { Windows } from '../reduction/block.js'
import { lazy } from './lazy.js'

/** The windows of a map. */
export interface WindowSizes {
  /** Rows and columns of the map. */
  readonly map: readonly [number, number]
  /** Side of a window; it divides both. */
  readonly window: number
  /** By how many tokens the map is rolled up and to the left before it is cut. */
  readonly shift: number
}

/** Keeps pairs of different regions apart; the official code's value. */
const APART = -100

/** The tokens of every window, window by window in raster order, and within each in raster order. */
export function windowOrder({ map: [rows, columns], window, shift }: WindowSizes): number[] {
  const order: number[] = []
  for (let top = 0; top < rows; top += window)
    for (let left = 0; left < columns; left += window)
      for (let row = top; row < top + window; row++)
        for (let column = left; column < left + window; column++)
          order.push(((row + shift) % rows) * columns + ((column + shift) % columns))
  return order
}

/** The tokens of every 2 x 2 cell, cell by cell: upper left, lower left, upper right, lower right. */
export function mergeOrder([rows, columns]: readonly [number, number]): number[] {
  const order: number[] = []
  for (let row = 0; row < rows; row += 2)
    for (let column = 0; column < columns; column += 2)
      for (const [down, right] of [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
      ] as const)
        order.push((row + down) * columns + column + right)
  return order
}

/**
 * Which region of the picture every token of the shifted map is from, in the order of {@link windowOrder}: tokens that the
 * roll brought into one window from opposite borders are from different ones.
 */
export function shiftRegions({ map: [rows, columns], window, shift }: WindowSizes): number[] {
  const band = (at: number, length: number) => (at < length - window ? 0 : at < length - shift ? 1 : 2)
  const unshifted = windowOrder({ map: [rows, columns], window, shift: 0 })
  return unshifted.map((token) => 3 * band(Math.floor(token / columns), rows) + band(token % columns, columns))
}

/** For a place in a window of side w, in raster order, a number whose difference tells two places' relative position. */
const placeCode = (place: number, w: number): number => Math.floor(place / w) * (2 * w - 1) + (place % w)

/** The row of the bias table for two places of the same number. */
const centreRow = (w: number): number => 2 * w * (w - 1)

/** For every pair of places of a window, the row of the bias table: w² x w², rows are queries. */
export function relativePositionIndex(w: number): number[] {
  const places = Array.from({ length: w * w }, (_, place) => placeCode(place, w))
  return places.flatMap((query) => places.map((key) => query - key + centreRow(w)))
}

const int64s = (values: readonly number[]) => BigInt64Array.from(values, BigInt)

/** The bias of all pairs of a window, of a table `[(2w - 1)², H]`: `[1, H, w², w²]`; of a constant a constant. */
export function relativeBias(table: Tensor, w: number): Tensor {
  const [, H] = table.shape as [number, number]
  const n = w * w
  const index = relativePositionIndex(w)
  if (table.data) {
    const values = new Float32Array(H * n * n)
    for (const [pair, row] of index.entries())
      for (let h = 0; h < H; h++) values[h * n * n + pair] = Number(table.data[row * H + h])
    return constant(table.graph, values, [1, H, n, n], `${table.name}.pairs`)
  }
  const flat = constant(table.graph, int64s(index), [1, n * n])
  const pairs = gatherRows(reshape(table, [1, ...table.shape]), { flat }, true) // [1, w⁴, H]
  return transpose(reshape(pairs, [1, n, n, H]), [0, 3, 1, 2])
}

/** 0 for pairs of one region, -100 for others: `[nW, 1, w², w²]`. */
function shiftMask(like: Tensor, sizes: WindowSizes): Tensor {
  const n = sizes.window ** 2
  const regions = shiftRegions(sizes)
  const windows = regions.length / n
  const mask = new Float32Array(windows * n * n)
  for (let window = 0; window < windows; window++)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++)
        if (regions[window * n + i] !== regions[window * n + j]) mask[(window * n + i) * n + j] = APART
  return constant(like.graph, mask, [windows, 1, n, n], 'shift_mask')
}

/**
 * The windows of a block.
 *
 * @param table - bias of relative positions `[(2w - 1)², H]`
 */
export function windowsOf(sizes: WindowSizes, table: Tensor): Windows {
  const { window: w, shift } = sizes
  const rows = w * w
  const order = windowOrder(sizes)
  const count = order.length / rows
  const back = invert(order)
  const bias = lazy(() => relativeBias(table, w)) // [1, H, w², w²]

  /** `[B·nW, n]` of a number for every place of every window `[nW, w²]`, at the places int64 `[B·nW, n]`. */
  const valuesAt = (values: readonly number[], at: Tensor) => {
    const perWindow = values.length === rows
    const table = constant(at.graph, int64s(values), perWindow ? [1, rows] : [1, count, rows])
    const [BnW] = at.shape as [Dim]
    if (perWindow) return gatherLast(expandBatch(table, at), at)
    const B = picturesOf(at) // [B, nW, n]
    return gatherLast(reshape(expandBatch(table, B), [BnW, rows]), at)
  }
  /** The same rows with the pictures as an axis of their own: `[B·nW, …]` → `[B, nW, …]`. */
  const picturesOf = (x: Tensor) => reshape(x, [divide(x.shape[0] as Dim, count), count, ...x.shape.slice(1)])

  function biasAt(at: Tensor): Tensor {
    const [BnW, n] = at.shape as [Dim, number]
    const pairs = (t: Tensor) => [reshape(t, [BnW, n, 1]), reshape(t, [BnW, 1, n])] as const
    const places = Array.from({ length: rows }, (_, place) => placeCode(place, w))
    const [query, key] = pairs(valuesAt(places, at))
    const centre = constant(at.graph, int64s([centreRow(w)]), [])
    const flat = reshape(add(sub(query, key), centre), [BnW, n * n]) // [B·nW, n²]
    const found = gatherRows(reshape(table, [1, ...table.shape]), { flat }, true) // [B·nW, n², H]
    return transpose(reshape(found, [BnW, n, n, table.shape[1] as number]), [0, 3, 1, 2]) // [B·nW, H, n, n]
  }
  function maskAt(at: Tensor): Tensor {
    const [BnW, n] = at.shape as [Dim, number]
    const region = valuesAt(shiftRegions(sizes), at) // [B·nW, n]
    const same = equal(reshape(region, [BnW, 1, n, 1]), reshape(region, [BnW, 1, 1, n])) // [B·nW, 1, n, n]
    return where(same, scalar(at.graph, 0), scalar(at.graph, APART))
  }
  return {
    rows,
    count,
    enter(x) {
      const [B, , ...rest] = x.shape as [Dim, Dim, ...Dim[]]
      return reshape(reorderRows(x, order), [multiplyDims(B, count), rows, ...rest])
    },
    leave(x) {
      const [BnW, , ...rest] = x.shape as [Dim, Dim, ...Dim[]]
      return reorderRows(reshape(x, [divide(BnW, count), order.length, ...rest]), back)
    },
    tokensAt(at) {
      const [BnW, n] = at.shape as [Dim, number]
      const tokens = valuesAt(order, at) // [B·nW, n]
      return reshape(tokens, [divide(BnW, count), count * n])
    },
    biased(logits, at) {
      if (at) {
        const positioned = add(logits, biasAt(at)) // [B·nW, H, n, n]
        return shift === 0 ? positioned : add(positioned, maskAt(at))
      }
      const positioned = add(logits, bias()) // [B·nW, H, w², w²]
      if (shift === 0) return positioned
      return reshape(add(picturesOf(positioned), shiftMask(logits, sizes)), logits.shape) // [B, nW, H, w², w²] and back
    },
  }
}

/** B of B·n. */
function divide(dim: Dim, n: number): Dim {
  if (typeof dim === 'number') return dim / n
  if (n === 1) return dim
  const [factor, ...symbols] = dim.split('*')
  const left = Number(factor) / n
  if (!Number.isInteger(left) || dim.includes('+')) throw new Error(`${dim} rows are no ${n} windows a picture`)
  return left === 1 ? symbols.join('*') : multiplyDims(left, symbols.join('*'))
}

/** The order that undoes another one. */
export function invert(order: readonly number[]): number[] {
  const back = new Array<number>(order.length)
  for (const [to, from] of order.entries()) back[from] = to
  return back
}
