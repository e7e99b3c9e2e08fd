/**
 * Position embeddings for another picture size.
 *
 * The grid is resized as torch.nn.functional.interpolate(mode="bicubic", align_corners=False) does it, in one of three ways,
 * which one being the choice of the code that the weights were published with:
 *
 * - `bicubic`: cubic convolution with a = -0.75, half-pixel centres, borders repeated. DeiT, DeiT III, MAE, LV-ViT (main.py
 *   and its like) and most of Hugging Face's transformers (interpolate_pos_encoding).
 * - `antialias`: a = -0.5, the kernel as wide as the grid shrinks, weights that leave the grid dropped and the others made to
 *   sum to 1 (antialias=True, Pillow's bicubic). timm (resample_abs_pos_embed), OpenCLIP, DINOv2 with registers.
 * - `offset`: `bicubic`, but by a scale factor of (new + 0.1) / old, so that rounding never loses a row: the first DINOv2
 *   (dinov2/models/vision_transformer.py, interpolate_offset).
 *
 * The rows before the grid (class and distillation token) are kept. Safe in browsers.
 */
import { fail } from '../errors.js'
import type { PositionResizing } from '../models/config.js'

/** Keys' cubic convolution kernel at distance x (Keys, IEEE TASSP 29, 1981). */
function kernel(x: number, a: number): number {
  const t = Math.abs(x)
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1
  if (t < 2) return a * (t ** 3 - 5 * t ** 2 + 8 * t - 4)
  return 0
}

interface Tap {
  readonly index: number
  readonly weight: number
}

/** For every output index the input indices and their weights, along one axis. */
function taps(from: number, to: number, how: PositionResizing): Tap[][] {
  const scale = from / (how === 'offset' ? to + 0.1 : to)
  return Array.from({ length: to }, (_, i) =>
    how === 'antialias' ? wideTaps(i, scale, from) : fourTaps(i, scale, from),
  )
}

/** Four neighbours; the border is repeated. */
function fourTaps(i: number, scale: number, from: number): Tap[] {
  const centre = (i + 0.5) * scale - 0.5
  const left = Math.floor(centre)
  return [-1, 0, 1, 2].map((offset) => ({
    index: Math.min(Math.max(left + offset, 0), from - 1),
    weight: kernel(centre - left - offset, -0.75),
  }))
}

/** As many as the kernel covers, which widens where the grid shrinks. */
function wideTaps(i: number, scale: number, from: number): Tap[] {
  const stretch = Math.max(scale, 1)
  const centre = (i + 0.5) * scale
  const first = Math.max(0, Math.trunc(centre - 2 * stretch + 0.5))
  const last = Math.min(from, Math.trunc(centre + 2 * stretch + 0.5))
  const weights = Array.from({ length: last - first }, (_, t) => kernel((first + t - centre + 0.5) / stretch, -0.5))
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight, t) => ({ index: first + t, weight: weight / sum }))
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
 * @param how - default `bicubic`
 * @returns [prefix + rows · columns of `to`, width]
 * @throws InputError when the sizes do not fit `positions`.
 */
export function resizePositions(
  positions: Float32Array,
  prefix: number,
  from: Grid,
  to: Grid,
  width: number,
  how: PositionResizing = 'bicubic',
): Float32Array {
  const [height, columns] = sides(from)
  const [newHeight, newColumns] = sides(to)
  if (positions.length !== (prefix + height * columns) * width)
    fail(`${positions.length} position values are not (${prefix} + ${height} x ${columns}) rows of ${width}`)
  if (height === newHeight && columns === newColumns) return positions
  const grid = positions.subarray(prefix * width) // [height, columns, C]

  const lines = new Float64Array(height * newColumns * width) // [height, newColumns, C]: columns first, then rows
  for (let y = 0; y < height; y++)
    for (const [x, taken] of taps(columns, newColumns, how).entries())
      for (const { index, weight } of taken)
        for (let c = 0; c < width; c++) {
          const at = (y * newColumns + x) * width + c
          lines[at] = (lines[at] as number) + weight * (grid[(y * columns + index) * width + c] as number)
        }

  const resized = new Float64Array(newHeight * newColumns * width) // [newHeight, newColumns, C]
  const line = newColumns * width
  for (const [y, taken] of taps(height, newHeight, how).entries())
    for (const { index, weight } of taken)
      for (let i = 0; i < line; i++)
        resized[y * line + i] = (resized[y * line + i] as number) + weight * (lines[index * line + i] as number)

  const result = new Float32Array((prefix + newHeight * newColumns) * width)
  result.set(positions.subarray(0, prefix * width))
  result.set(resized, prefix * width)
  return result
}
