/**
 * Rotary positions on a grid of patches: pairs of channels of every query and key are turned by angles that follow from
 * the row's place, so that their products depend on distances alone (Su et al., arXiv 2104.09864).
 *
 * Two ways to say where a patch is and which channels make a pair:
 * - `dinov3` (arXiv 2508.10104): centres of patches on [-1, 1] along both axes, whatever the size of the picture; channel c
 *   is turned with channel c + d/2.
 * - `eva` (EVA-02, arXiv 2303.11331): patches counted from 0, on the scale of the grid of training; channels 2c and 2c + 1.
 *
 * Row angles fill the first half of the pairs, column angles the second.
 */

import type { Dim } from '../graph/dims.js'
import { constant, type Graph, type Tensor } from '../graph/graph.js'
import { expandBatch } from '../graph/ops/broadcast.js'
import { add, mul } from '../graph/ops/elementwise.js'
import { gatherRows, selectRows } from '../graph/ops/rows.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'

export interface Rotary {
  readonly kind: 'dinov3' | 'eva'
  /** The longest period over the shortest: 100 in DINOv3, 10,000 in EVA-02. */
  readonly temperature: number
  /** Rows and columns of the grid that an `eva` model was trained on; other grids are stretched to it. */
  readonly trainedGrid?: readonly [number, number]
}

/** Angles of every patch in raster order, one for each pair of channels: `[rows · columns, d/2]`. */
export function rotaryAngles(rotary: Rotary, grid: readonly [number, number], headWidth: number): Float64Array {
  const { kind, temperature, trainedGrid = grid } = rotary
  const bands = headWidth / 4
  if (!Number.isInteger(bands)) throw new Error(`rotary positions want heads of a multiple of 4, found ${headWidth}`)
  const coordinate = (axis: 0 | 1, i: number) =>
    kind === 'dinov3' ? 2 * Math.PI * ((2 * (i + 0.5)) / grid[axis] - 1) : (i * trainedGrid[axis]) / grid[axis]
  const [rows, columns] = grid
  const angles = new Float64Array(rows * columns * 2 * bands)
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++)
      for (let band = 0; band < bands; band++) {
        const frequency = temperature ** (-band / bands)
        const at = (y * columns + x) * 2 * bands + band
        angles[at] = coordinate(0, y) * frequency
        angles[at + bands] = coordinate(1, x) * frequency
      }
  return angles
}

/**
 * The turning of queries and keys.
 *
 * @param x - `[B, n, C]`, heads side by side in C
 * @param at - int64 `[B, n]`: which of the N rows they are; absent: all N, or leading ones of the prefix
 */
export type Turn = (x: Tensor, at?: Tensor) => Tensor

/** Cosines and sines of all rows, the prefix among them, which is not turned: `[1, N, d]` each. */
function tables(graph: Graph, rotary: Rotary, grid: readonly [number, number], prefix: number, d: number) {
  const angles = rotaryAngles(rotary, grid, d)
  const pairs = d / 2
  const N = prefix + angles.length / pairs
  const cosines = new Float32Array(N * d).fill(1, 0, prefix * d)
  const sines = new Float32Array(N * d)
  for (let row = prefix; row < N; row++)
    for (let pair = 0; pair < pairs; pair++) {
      const angle = angles[(row - prefix) * pairs + pair] as number
      const [first, second] = rotary.kind === 'dinov3' ? [pair, pair + pairs] : [2 * pair, 2 * pair + 1]
      cosines[row * d + first] = cosines[row * d + second] = Math.cos(angle)
      sines[row * d + first] = -Math.sin(angle)
      sines[row * d + second] = Math.sin(angle)
    }
  return { cosines: constant(graph, cosines, [1, N, d], 'cosines'), sines: constant(graph, sines, [1, N, d], 'sines') }
}

/**
 * Turns (a, b) of every pair into (a cos θ - b sin θ, b cos θ + a sin θ): x cos θ, and its pairs swapped times ± sin θ.
 *
 * @param grid - rows and columns of patches
 * @param prefix - rows before the image tokens, which have no place
 */
export function rotation(
  graph: Graph,
  rotary: Rotary,
  grid: readonly [number, number],
  prefix: number,
  heads: number,
  width: number,
): Turn {
  const d = width / heads
  const { cosines, sines } = tables(graph, rotary, grid, prefix, d)
  const N = cosines.shape[1] as number
  return (x, at) => {
    const [B, n] = x.shape as [Dim, Dim]
    if (!at && n !== N) {
      if (typeof n === 'number' && n <= prefix) return x
      throw new Error(`rows of unknown place cannot be turned: ${n} of ${N}`)
    }
    const of = (table: Tensor) => {
      const rows = at ? gatherRows(expandBatch(table, x), selectRows(at, N)) : table // [B or 1, n, d]
      return reshape(rows, [rows.shape[0] as Dim, n, 1, d])
    }
    const byHead = reshape(x, [B, n, heads, d])
    const turned = add(mul(byHead, of(cosines)), mul(swapPairs(byHead, rotary.kind), of(sines))) // [B, n, H, d]
    return reshape(turned, [B, n, width])
  }
}

/** x `[B, n, H, d]` with the two channels of every pair in each other's place. */
function swapPairs(x: Tensor, kind: Rotary['kind']): Tensor {
  const [B, n, H, d] = x.shape as [Dim, Dim, number, number]
  const pairs = kind === 'dinov3' ? [2, d / 2] : [d / 2, 2]
  const axis = kind === 'dinov3' ? 3 : 4
  const split = reshape(x, [B, n, H, ...pairs])
  const swapped = concat([slice(split, axis, 1, 2), slice(split, axis, 0, 1)], axis)
  return reshape(swapped, [B, n, H, d])
}
