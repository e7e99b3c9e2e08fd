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

/**
 * Resizes the grid part of a position embedding.
 *
 * @param positions - [prefix + from · from, width], row-major
 * @param prefix - rows before the grid, copied as they are
 * @param from - side of the present grid
 * @param to - side of the wanted grid
 * @param width - numbers per row
 * @returns [prefix + to · to, width]
 * @throws InputError when the sizes do not fit `positions`.
 */
export function resizePositions(
  positions: Float32Array,
  prefix: number,
  from: number,
  to: number,
  width: number,
): Float32Array {
  if (positions.length !== (prefix + from * from) * width)
    fail(`${positions.length} position values are not (${prefix} + ${from} x ${from}) rows of ${width}`)
  if (from === to) return positions
  const axis = taps(from, to)
  const grid = positions.subarray(prefix * width) // [from, from, C]

  const rows = new Float64Array(from * to * width) // [from, to, C]: columns first, then rows
  for (let y = 0; y < from; y++)
    for (const [x, columns] of axis.entries())
      for (const { index, weight } of columns)
        for (let c = 0; c < width; c++) {
          const at = (y * to + x) * width + c
          rows[at] = (rows[at] as number) + weight * (grid[(y * from + index) * width + c] as number)
        }

  const resized = new Float64Array(to * to * width) // [to, to, C]
  for (const [y, lines] of axis.entries())
    for (const { index, weight } of lines)
      for (let i = 0; i < to * width; i++) {
        const at = y * to * width + i
        resized[at] = (resized[at] as number) + weight * (rows[index * to * width + i] as number)
      }

  const result = new Float32Array((prefix + to * to) * width)
  result.set(positions.subarray(0, prefix * width))
  result.set(resized, prefix * width)
  return result
}
