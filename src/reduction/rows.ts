/**
 * The rows that travel from block to block, and what is known of them: which image token is where, how many tokens a
 * row stands for, which rows are padding. Methods change rows through these functions, so that all of it stays in step.
 *
 * Whatever nobody reads is never computed, so everything may be carried along.
 */

import { addDims, type Dim } from '../graph/dims.js'
import { constant, type Graph, scalar, type Tensor } from '../graph/graph.js'
import { expandBatch } from '../graph/ops/broadcast.js'
import { add, cast, less, mul, where } from '../graph/ops/elementwise.js'
import { countOf } from '../graph/ops/reduce.js'
import { cumulate, gatherLast, gatherRows, scatterLast, selectRows } from '../graph/ops/rows.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'

/**
 * Rows between two blocks. B pictures, P prefix rows, m image rows, n = P + m, N0 image tokens.
 *
 * Absent is what the model began with: every token in its own row, in raster order.
 */
export interface Rows {
  /** `[B, n, C]`: prefix rows, then image rows. */
  readonly x: Tensor
  /** P: the class token, and the distillation token where there is one. */
  readonly prefix: number
  /** int64 `[B, m + w]`: the image token that a row began as; -1 for rows that began as none, or are padding. */
  readonly places?: Tensor
  /** int64 `[B, N0]`: the image row that carries token j, counted on through `waiting`; -1 where it is gone. */
  readonly home?: Tensor
  /** `[B, n]`: how many rows of the first block a row stands for; absent: one. */
  readonly size?: Tensor
  /** `[B, n]`: 1, or 0 for padding and for what a policy dropped; absent: all rows are there. */
  readonly present?: Tensor
  /** `[B, w, C]`: image rows that sit out until they are put back. */
  readonly waiting?: Tensor
}

/** The numbers from `first` on, for every picture of `like`: int64 `[B, count]`. */
export function numbers(like: Tensor, count: number, first = 0): Tensor {
  const values = BigInt64Array.from({ length: count }, (_, i) => BigInt(first + i))
  return expandBatch(constant(like.graph, values, [1, count]), like)
}

/** An int64 scalar. */
export const int64 = (graph: Graph, value: number): Tensor => constant(graph, BigInt64Array.of(BigInt(value)), [])

/** m, the number of image rows. */
export const imageRows = ({ x, prefix }: Rows): Dim => addDims(x.shape[1] as Dim, -prefix)

/** m as an int64 scalar, also where it is known only when the graph runs. */
export function rowCount(rows: Rows): Tensor {
  const { x, prefix } = rows
  const m = imageRows(rows)
  if (typeof m === 'number') return int64(x.graph, m)
  return add(cast(countOf(x, [1]), 'int64'), int64(x.graph, -prefix)) // []
}

/** `places`, also where it is absent. */
export const placesOf = (rows: Rows): Tensor => rows.places ?? numbers(rows.x, imageRows(rows) as number)

/** `home`, also where it is absent. */
export const homeOf = (rows: Rows): Tensor => rows.home ?? numbers(rows.x, imageRows(rows) as number)

/** Image rows int64 `[B, K]` as rows of x, behind the prefix rows: `[B, P + K]`. */
export function withPrefix({ prefix }: Pick<Rows, 'prefix'>, chosen: Tensor): Tensor {
  const behind = prefix === 0 ? chosen : add(chosen, int64(chosen.graph, prefix))
  return prefix === 0 ? behind : concat([numbers(chosen, prefix), behind], 1)
}

/**
 * Rows of any tensor that has one for every row: `[B, n, C]` at int64 `[B, k]` → `[B, k, C]`.
 *
 * @param repeats - whether a row may be picked more than once; default false
 */
export function pickRows(x: Tensor, at: Tensor, repeats = false): Tensor {
  const n = x.shape[1] as Dim
  return gatherRows(x, selectRows(at, typeof n === 'number' ? n : x), repeats)
}

/**
 * The prefix rows and some of the image rows; tokens of the others are gone.
 *
 * @param chosen - int64 `[B, K]`: image rows, each at most once, in the order they will stand in
 */
export function keepRows(rows: Rows, chosen: Tensor): Rows {
  const at = withPrefix(rows, chosen) // [B, P + K]
  const { size, present } = rows
  return {
    ...rows,
    x: pickRows(rows.x, at), // [B, P + K, C]
    places: gatherLast(placesOf(rows), chosen), // [B, K]
    home: movedTo(rows, positionsOf(rows, chosen)), // [B, N0]
    ...(size && { size: gatherLast(size, at) }), // [B, P + K]
    ...(present && { present: gatherLast(present, at) }), // [B, P + K]
  }
}

/**
 * Rows of which some are padding from now on, so that pictures of different length fit into one tensor.
 *
 * @param real - `[B, m]`: 1, or 0 for padding
 */
export function padRows(rows: Rows, real: Tensor): Rows {
  const { graph } = real
  const isReal = less(scalar(graph, 0), real) // [B, m]
  const gone = int64(graph, -1)
  const places = where(isReal, placesOf(rows), gone) // [B, m]
  const home = movedTo(rows, where(isReal, countedAlong(places), gone)) // [B, N0]
  const prefix = expandBatch(constant(graph, new Float32Array(rows.prefix).fill(1), [1, rows.prefix]), real)
  return { ...rows, places, home, present: concat([prefix, real], 1) }
}

/** Where each image row went: its position among the chosen, -1 for the others: int64 `[B, m]`. */
function positionsOf(rows: Rows, chosen: Tensor): Tensor {
  const nowhere = mul(placesOf(rows), int64(chosen.graph, 0)) // [B, m], 0
  const gone = add(nowhere, int64(chosen.graph, -1)) // [B, m], -1
  return scatterLast(gone, chosen, countedAlong(chosen)) // [B, m]
}

/** 0, 1, 2, … along the last axis of int64 `[B, K]`. */
function countedAlong(x: Tensor): Tensor {
  const K = x.shape[1] as Dim
  if (typeof K === 'number') return numbers(x, K)
  const ones = add(mul(x, int64(x.graph, 0)), int64(x.graph, 1)) // [B, K], 1
  return add(cumulate(ones), int64(x.graph, -1)) // [B, K]
}

/** Homes after every image row has moved: `to` int64 `[B, m]` is where to, -1 for away. */
function movedTo(rows: Rows, to: Tensor): Tensor {
  const { graph } = to
  const table = concat([add(numbers(to, 1), int64(graph, -1)), to], 1) // [B, 1 + m]: what is gone stays gone
  return gatherLast(table, add(homeOf(rows), int64(graph, 1))) // [B, N0]
}

/**
 * Rows with one more behind them that carries every token which `before` had and `rows` lost.
 *
 * @param row - `[B, 1, C]`
 */
export function appendRow(rows: Rows, row: Tensor, before: Rows): Rows {
  const { graph } = row
  const last = rowCount(rows) // []
  const lost = less(homeOf(rows), int64(graph, 0)) // [B, N0]
  const wasThere = less(int64(graph, -1), homeOf(before)) // [B, N0]
  const home = homeOf(rows)
  const always = rows.present && expandBatch(constant(graph, Float32Array.of(1), [1, 1]), row) // [B, 1]
  return {
    ...rows,
    ...(rows.present && always && { present: concat([rows.present, always], 1) }), // [B, n + 1]
    x: concat([rows.x, row], 1), // [B, n + 1, C]
    places: concat([placesOf(rows), add(numbers(row, 1), int64(graph, -1))], 1), // [B, m + 1]
    home: where(lost, where(wasThere, last, home), home), // [B, N0]
  }
}

/**
 * Rows after image rows were joined.
 *
 * @param joined - the new rows `[B, n', C]`, and their sizes `[B, n']`
 * @param to - int64 `[B, m]`: the image row that every old one is now part of
 * @param from - int64 `[B, m']`: the old image row that gave a new one its place
 */
export function mergeRows(
  rows: Rows,
  joined: { readonly x: Tensor; readonly size: Tensor },
  to: Tensor,
  from: Tensor,
): Rows {
  return { ...rows, ...joined, places: gatherLast(placesOf(rows), from), home: movedTo(rows, to) }
}

/** Lets every image row from `first` on sit out. */
export function setAside(rows: Rows, first: number): Rows {
  const end = rows.prefix + first
  return { ...rows, x: slice(rows.x, 1, 0, end), waiting: slice(rows.x, 1, end) }
}

/** Puts the rows that sat out back, behind the others. */
export function putBack({ waiting, ...rows }: Rows): Rows {
  return waiting ? { ...rows, x: concat([rows.x, waiting], 1) } : rows
}

/** Rows without those that sit out, where nobody will read them. */
export const forget = ({ waiting: _, ...rows }: Rows): Rows => rows

/**
 * Rows by token: the prefix rows, then for every image token in raster order the row that carries it, or zeros where it
 * is gone: `[B, P + N0, C]`.
 */
export function byToken(rows: Rows): Tensor {
  const { prefix } = rows
  if (!rows.home) return rows.x
  const { x } = putBack(rows)
  const C = x.shape[2] as number
  const zero = reshape(constant(x.graph, new Float32Array(C), [C]), [1, 1, C])
  const all = concat([expandBatch(zero, x), x], 1) // [B, 1 + n, C]
  const image = add(rows.home, int64(x.graph, prefix + 1)) // [B, N0]
  const image0 = where(less(rows.home, int64(x.graph, 0)), int64(x.graph, 0), image) // [B, N0]
  return pickRows(all, concat([numbers(x, prefix, 1), image0], 1), true) // [B, P + N0, C]
}

/** Which rows of {@link byToken} there are: 1, or 0 for tokens that are gone: `[B, P + N0, 1]`; `undefined` where none is. */
export function carriedTokens({ home, x, prefix }: Rows): Tensor | undefined {
  if (!home) return undefined
  const carried = cast(less(int64(x.graph, -1), home), 'float32') // [B, N0]
  const always = expandBatch(constant(x.graph, new Float32Array(prefix).fill(1), [1, prefix]), carried) // [B, P]
  const all = concat([always, carried], 1) // [B, P + N0]
  return reshape(all, [...all.shape, 1])
}

/** A number of every image row by token: `[B, m]` → `[B, N0]`, 0 where the token is gone. */
export function valuesByToken(rows: Rows, values: Tensor): Tensor {
  if (!rows.home) return values
  const zero = expandBatch(constant(values.graph, Float32Array.of(0), [1, 1]), values)
  return gatherLast(concat([zero, values], 1), add(rows.home, int64(values.graph, 1))) // [B, N0]
}
