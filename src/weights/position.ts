/**
 * Position embeddings for another picture size.
 *
 * The grid is resized as torch.nn.functional.interpolate(mode="bicubic", align_corners=False) does it: cubic convolution
 * with a = -0.75, half-pixel centres, borders repeated, no antialiasing. This is what DeiT, LV-ViT and EViT use; image
 * resizing is another kernel. The rows before the grid (class and distillation token) are kept. Safe in browsers.
 */
import { fail } from '../errors.js'

const a = -0.75

/** Keys' cubic convolution kernel at distance x (Keys, IEEE TASSP 29, 1981). */
function kernel(x: number): number {
  const t = Math.abs(x)
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1
  if (t < 2) return a * (t ** 3 - 5 * t ** 2 + 8 * t - 4)
  return 0
}

/** For every output index the four input indices and their weights, along one axis. */
function taps(from: number, to: number): { readonly index: number; readonly weight: number }[][] {
  return Array.from({ length: to }, (_, i) => {
    const centre = ((i + 0.5) * from) / to - 0.5
    const left = Math.floor(centre)
    return [-1, 0, 1, 2].map((offset) => ({
      index: Math.min(Math.max(left + offset, 0), from - 1),
      weight: kernel(centre - left - offset),
    }))
  })
}

/** Rows and columns of a grid; a number is the side of a square one. */
export type Grid = number | readonly [number, number]

const sides = (grid: Grid): readonly [number, number] => (typeof grid === 'number' ? [grid, grid] : grid)

/**
 * Resizes the grid part of a position embedding.
 *
 * @param positions - [prefix + rows · columns, width], row-major
 * @param prefix - rows before the grid, copied as they are
 * @param from - the present grid
 * @param to - the wanted grid
 * @param width - numbers per row
 * @returns [prefix + rows · columns of `to`, width]
 * @throws InputError when the sizes do not fit `positions`.
 */
export function resizePositions(
  positions: Float32Array,
  prefix: number,
  from: Grid,
  to: Grid,
  width: number,
): Float32Array {
  const [height, columns] = sides(from)
  const [newHeight, newColumns] = sides(to)
  if (positions.length !== (prefix + height * columns) * width)
    fail(`${positions.length} position values are not (${prefix} + ${height} x ${columns}) rows of ${width}`)
  if (height === newHeight && columns === newColumns) return positions
  const grid = positions.subarray(prefix * width) // [height, columns, C]

  const lines = new Float64Array(height * newColumns * width) // [height, newColumns, C]: columns first, then rows
  for (let y = 0; y < height; y++)
    for (const [x, taken] of taps(columns, newColumns).entries())
      for (const { index, weight } of taken)
        for (let c = 0; c < width; c++) {
          const at = (y * newColumns + x) * width + c
          lines[at] = (lines[at] as number) + weight * (grid[(y * columns + index) * width + c] as number)
        }

  const resized = new Float64Array(newHeight * newColumns * width) // [newHeight, newColumns, C]
  const line = newColumns * width
  for (const [y, taken] of taps(height, newHeight).entries())
    for (const { index, weight } of taken)
      for (let i = 0; i < line; i++)
        resized[y * line + i] = (resized[y * line + i] as number) + weight * (lines[index * line + i] as number)

  const result = new Float32Array((prefix + newHeight * newColumns) * width)
  result.set(positions.subarray(0, prefix * width))
  result.set(resized, prefix * width)
  return result
}
