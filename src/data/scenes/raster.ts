/**
 * From outlines to pixels: exact-area anti-aliasing.
 *
 * The share of a pixel that lies inside a path is a signed sum over the path's edges. Every edge leaves, in each pixel it
 * crosses, the area between itself and the pixel's right side, and in the next pixel what is missing to its full height;
 * a running sum along the row then gives the coverage (Levien's "accumulation buffer"). Where rings overlap the sum
 * exceeds one and is cut off, which makes their union.
 */
import { bounds, clip, type Path } from './geometry.js'

/** Width and height of a scene in pixels. */
export const SCENE_SIDE = 96

/** How far a path covers the pixels of a rectangle of the picture. */
export interface Coverage {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
  readonly share: Float32Array // [height, width], each in [0, 1]
}

const nothing: Coverage = { left: 0, top: 0, width: 0, height: 0, share: new Float32Array(0) }

/** What `path` covers of the picture, in pixel coordinates: pixel (0, 0) is the square from (0, 0) to (1, 1). */
export function coverage(path: Path): Coverage {
  const inside = clipped(path)
  if (inside.length === 0) return nothing
  const around = bounds(inside)
  const left = Math.floor(around.left)
  const top = Math.floor(around.top)
  const width = Math.ceil(around.right) - left
  const height = Math.ceil(around.bottom) - top
  if (width === 0 || height === 0) return nothing
  const stride = width + 2 // an edge on the right side writes into the two columns after it
  const sums = new Float64Array(stride * height)
  for (const ring of inside) {
    let [x0, y0] = ring[ring.length - 1] ?? [0, 0]
    for (const [x, y] of ring) {
      if (y > y0) addEdge(sums, stride, x0 - left, y0 - top, x - left, y - top, 1)
      else if (y < y0) addEdge(sums, stride, x - left, y - top, x0 - left, y0 - top, -1)
      x0 = x
      y0 = y
    }
  }
  const share = new Float32Array(width * height)
  for (let y = 0, o = 0; y < height; y++) {
    let sum = 0
    for (let x = 0, i = y * stride; x < width; x++, i++, o++) {
      sum += sums[i] as number
      const area = sum < 0 ? -sum : sum
      share[o] = area > 1 ? 1 : area < 1e-9 ? 0 : area
    }
  }
  return { left, top, width, height, share }
}

function clipped(path: Path): Path {
  const { left, top, right, bottom } = bounds(path)
  let inside = path
  if (left < 0) inside = clip(inside, -1, 0, 0)
  if (top < 0) inside = clip(inside, 0, -1, 0)
  if (right > SCENE_SIDE) inside = clip(inside, 1, 0, SCENE_SIDE)
  if (bottom > SCENE_SIDE) inside = clip(inside, 0, 1, SCENE_SIDE)
  return inside
}

/** Adds a downward edge (y0 < y1), which counts `sign` times. */
function addEdge(sums: Float64Array, stride: number, x0: number, y0: number, x1: number, y1: number, sign: number) {
  const slope = (x1 - x0) / (y1 - y0)
  const low = Math.min(x0, x1)
  const high = Math.max(x0, x1)
  let x = x0
  for (let row = Math.floor(y0), y = y0; y < y1; row++) {
    const next = Math.min(row + 1, y1)
    // Rounding must not carry the edge beyond its ends, out of the buffer.
    const end = next === y1 ? x1 : Math.min(Math.max(x0 + (next - y0) * slope, low), high)
    addSpan(sums, row * stride, Math.min(x, end), Math.max(x, end), (next - y) * sign)
    x = end
    y = next
  }
}

/** Adds the piece of an edge inside one row: from `from` to `to`, over a signed height. */
function addSpan(sums: Float64Array, line: number, from: number, to: number, height: number) {
  let column = Math.floor(from)
  if (to <= column + 1) {
    deposit(sums, line + column, height, (from + to) / 2 - column)
    return
  }
  const steepness = height / (to - from)
  for (let x = from; x < to; column++) {
    const next = Math.min(column + 1, to)
    deposit(sums, line + column, (next - x) * steepness, (x + next) / 2 - column)
    x = next
  }
}

/** An edge of some height crosses a pixel, on average at `across` of its width. */
function deposit(sums: Float64Array, at: number, height: number, across: number) {
  sums[at] = (sums[at] as number) + height * (1 - across)
  sums[at + 1] = (sums[at + 1] as number) + height * across
}

/** What any of `coverages` covers, where several do, the most of them. */
export function union(coverages: readonly Coverage[]): Coverage {
  const there = coverages.filter(({ width }) => width > 0)
  if (there.length === 0) return nothing
  const left = Math.min(...there.map((part) => part.left))
  const top = Math.min(...there.map((part) => part.top))
  const width = Math.max(...there.map((part) => part.left + part.width)) - left
  const height = Math.max(...there.map((part) => part.top + part.height)) - top
  const share = new Float32Array(width * height)
  for (const part of there) {
    for (let y = 0, i = 0; y < part.height; y++) {
      let o = (part.top - top + y) * width + part.left - left
      for (let x = 0; x < part.width; x++, i++, o++) share[o] = Math.max(share[o] as number, part.share[i] as number)
    }
  }
  return { left, top, width, height, share }
}

/** The same coverage elsewhere, by whole pixels; what leaves the picture is lost. */
export function shifted(of: Coverage, dx: number, dy: number): Coverage {
  const left = Math.max(0, of.left + dx)
  const top = Math.max(0, of.top + dy)
  const width = Math.max(0, Math.min(SCENE_SIDE, of.left + dx + of.width) - left)
  const height = Math.max(0, Math.min(SCENE_SIDE, of.top + dy + of.height) - top)
  const share = new Float32Array(width * height)
  for (let y = 0, o = 0; y < height; y++) {
    let i = (top - dy - of.top + y) * of.width + left - dx - of.left
    for (let x = 0; x < width; x++, i++, o++) share[o] = of.share[i] as number
  }
  return { left, top, width, height, share }
}

/** The coverage with a rim of one pixel around it. */
export const grown = (of: Coverage): Coverage =>
  union([of, shifted(of, -1, 0), shifted(of, 1, 0), shifted(of, 0, -1), shifted(of, 0, 1)])
