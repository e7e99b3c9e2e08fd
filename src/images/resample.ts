/**
 * Resampling with the bits of Pillow, the library behind torchvision's `Resize`.
 *
 * Two passes, horizontal then vertical, each a weighted sum with fixed-point weights of 22 fraction bits and an 8-bit
 * result. When a side shrinks, the kernel widens with it (antialiasing). Bicubic is Keys' cubic with a = -0.5: neither
 * what a canvas does nor torch's `interpolate` (a = -0.75). Only the rows and columns asked for are computed.
 */

import { bytesAt, kernels, reserve, write } from './kernels.js'
import { type Sides, sidesOf } from './sides.js'

/** An 8-bit sRGB picture: `data` is [height, width, 3], interleaved. */
export interface RgbImage {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array | Uint8ClampedArray
}

/** A rectangle in whole pixels. */
export interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** Weights of `count` neighbouring outputs along one axis: output i sums `taps` inputs from `first[i]` on. */
interface Weights {
  readonly taps: number
  readonly first: Int32Array // [count]
  readonly weights: Int32Array // [count, taps]
}

const FRACTION_BITS = 22
const MIN_TAPS = 4 // the width of the kernel when it is not widened

/** A resampling kernel: its value at distance x, and the distance from which on it is zero. */
interface Kernel {
  readonly support: number
  readonly at: (x: number) => number
}

/** Keys' cubic convolution kernel with a = -0.5, zero outside (-2, 2). */
function cubic(x: number): number {
  const a = -0.5
  const t = Math.abs(x)
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a
  return 0
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI))

/** A cosine window over a sinc; Pillow's constants are of single precision. */
function hamming(x: number): number {
  const t = Math.abs(x)
  return t < 1 ? sinc(t) * (Math.fround(0.54) + Math.fround(0.46) * Math.cos(t * Math.PI)) : 0
}

/** The kernels of Pillow under its own names. `nearest` is none: it takes single pixels, without antialiasing. */
const interpolations = {
  box: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { support: 1, at: hamming },
  bicubic: { support: 2, at: cubic },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const satisfies Record<string, Kernel>

/** How pixels between pixels are worked out. */
export type Interpolation = keyof typeof interpolations

/** Names of the kernels that there are. */
export const interpolationNames = Object.keys(interpolations) as readonly Interpolation[]

function axisWeights(kernel: Kernel, inSize: number, outSize: number, start: number, count: number): Weights {
  const scale = inSize / outSize
  const stretch = Math.max(scale, 1)
  const support = kernel.support * stretch
  const taps = Math.min(inSize, Math.max(MIN_TAPS, Math.ceil(support) * 2 + 1))
  const first = new Int32Array(count)
  const weights = new Int32Array(count * taps)
  const row = new Float64Array(Math.ceil(support) * 2 + 2)
  let widest = Math.min(inSize, MIN_TAPS)
  for (let i = 0; i < count; i++) {
    const center = (start + i + 0.5) * scale
    let low = Math.max(0, Math.trunc(center - support + 0.5))
    let high = Math.min(inSize, Math.trunc(center + support + 0.5))
    let sum = 0
    for (let x = low; x < high; x++) sum += row[x - low] = kernel.at((x - center + 0.5) * (1 / stretch))
    const fixed = row.subarray(0, high - low).map((w) => {
      const v = (w / sum) * (1 << FRACTION_BITS)
      return Math.trunc(v < 0 ? v - 0.5 : v + 0.5)
    })
    // Weights that round to zero at the ends add nothing: dropping them makes every plain upscale four taps wide.
    let skipped = 0
    while (high - low > 1 && fixed[high - low - 1 + skipped] === 0) high--
    while (high - low > 1 && fixed[skipped] === 0) {
      low++
      skipped++
    }
    // A row may start further left, with zeros in front, so that `widest` taps from `first` on stay inside the picture.
    widest = Math.max(widest, high - low)
    first[i] = low
    weights.set(fixed.subarray(skipped, skipped + high - low), i * taps)
  }
  return packed({ taps, first, weights }, widest, inSize)
}

/** Cuts the table to `widest` taps a row and moves rows left where they would reach over the end of the axis. */
function packed({ taps, first, weights }: Weights, widest: number, inSize: number): Weights {
  const out = new Int32Array(first.length * widest)
  first.forEach((low, i) => {
    const moved = Math.max(0, low + widest - inSize)
    first[i] = low - moved
    for (let t = 0; t + moved < widest; t++) out[i * widest + moved + t] = weights[i * taps + t] as number
  })
  return { taps: widest, first, weights: out }
}

/** Bytes of source lines that are resampled at once. */
const BAND_BYTES = 2 ** 22

// Data sets hold few distinct sizes; random crops many. The table is emptied when full.
const cache = new Map<string, Weights>()
const CACHE_ENTRIES = 256
const CACHEABLE_WEIGHTS = 1 << 16

function cachedWeights(
  interpolation: Interpolation,
  inSize: number,
  outSize: number,
  start: number,
  count: number,
): Weights {
  const key = `${interpolation}:${inSize}:${outSize}:${start}:${count}`
  const hit = cache.get(key)
  if (hit) return hit
  const made = axisWeights(interpolations[interpolation], inSize, outSize, start, count)
  if (cache.size >= CACHE_ENTRIES) cache.clear()
  if (made.weights.length <= CACHEABLE_WEIGHTS) cache.set(key, made)
  return made
}

/** Rows of the source box that the rows of `axis` read. */
function span(axis: Weights): { from: number; rows: number } {
  const from = axis.first.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
  return { from, rows: axis.first.reduce((a, b) => Math.max(a, b), 0) + axis.taps - from }
}

/**
 * Resizes the `box` of `image` to `width` x `height` and returns the `part` of the result, [part.height, part.width, 3].
 * The box is a picture of its own: what lies around it does not bleed in (crop, then resize).
 */
function resample(
  image: RgbImage,
  box: Box,
  width: number,
  height: number,
  part: Box,
  interpolation: Interpolation,
): Uint8Array {
  const stride = image.width * 3
  const vertically = cachedWeights(interpolation, box.height, height, part.top, part.height)
  const { from, rows } = span(vertically)
  const horizontally = cachedWeights(interpolation, box.width, width, part.left, part.width)
  const line = part.width * 3
  const band = Math.min(rows, Math.max(1, Math.floor(BAND_BYTES / stride)))
  const [source, middle, out, firstX, weightsX, firstY, weightsY] = reserve(
    band * stride,
    rows * line,
    part.height * line,
    horizontally.first.byteLength,
    horizontally.weights.byteLength,
    vertically.first.byteLength,
    vertically.weights.byteLength,
  )
  write(firstX, horizontally.first)
  write(weightsX, horizontally.weights)
  write(firstY, vertically.first)
  write(weightsY, vertically.weights)
  const left = box.left * 3
  for (let row = 0; row < rows; row += band) {
    const count = Math.min(band, rows - row)
    const start = (box.top + from + row) * stride
    write(source, image.data.subarray(start, start + count * stride))
    const at = middle + row * line // [count, part.width, 3]
    kernels().horizontal(source + left, stride, count, firstX, weightsX, horizontally.taps, part.width, at)
  }
  // Rows of the table count from the box's first row, rows in memory from the first one that is read.
  const top = middle - from * line
  kernels().vertical(top, line, part.height, firstY, weightsY, vertically.taps, out)
  return bytesAt(out, part.height * line).slice() // [part.height, part.width, 3]
}

/**
 * Crops `box` out of `image` and resizes it: torchvision's `resized_crop`, the core of `RandomResizedCrop`.
 *
 * @param box inside the picture, in whole pixels
 * @returns RGB, [height, width, 3]
 */
export function resizeBox(
  image: RgbImage,
  box: Box,
  width: number,
  height = width,
  interpolation: Interpolation = 'bicubic',
): Uint8Array {
  return resample(image, box, width, height, { left: 0, top: 0, width, height }, interpolation)
}

/** Python's `round`: a tie goes to the even neighbour. */
function roundHalfEven(x: number): number {
  const down = Math.floor(x)
  return x - down === 0.5 ? down + (down & 1) : Math.round(x)
}

/** Where a centred crop of `crop` lies on an axis of `size`: read [start, start + count), written from `offset` on. */
function centered(size: number, crop: number) {
  if (size >= crop) return { start: roundHalfEven((size - crop) / 2), count: crop, offset: 0 }
  return { start: 0, count: size, offset: (crop - size) >> 1 }
}

/** What of a picture is kept, and by which kernel. */
export interface ResizeManner {
  /** `center` (default) resizes the shorter side and keeps the aspect; `squash` makes the sides `resize` long. */
  readonly mode?: 'center' | 'squash'
  /** Default `bicubic`. */
  readonly interpolation?: Interpolation
}

/**
 * torchvision's `Resize(resize)` then `CenterCrop(crop)`: the shorter side becomes `resize`, the longer one
 * `int(resize * long / short)`, the crop starts at `int(round((side - crop) / 2))`, ties to even. A crop larger than
 * the resized picture is filled up with zeros around it.
 *
 * Where `resize` is a rectangle, the picture becomes the smallest of its aspect that covers it, its sides rounded: timm's
 * `ResizeKeepRatio` (timm/data/transforms.py).
 *
 * @returns RGB, [height, width, 3] of `crop`
 */
export function resizeCrop(image: RgbImage, resize: Sides, crop: Sides, manner: ResizeManner = {}): Uint8Array {
  const { mode = 'center', interpolation = 'bicubic' } = manner
  const [height, width] = mode === 'squash' ? sidesOf(resize) : keptAspect(image, resize)
  const [cropHeight, cropWidth] = sidesOf(crop)
  const x = centered(width, cropWidth)
  const y = centered(height, cropHeight)
  const whole = { left: 0, top: 0, width: image.width, height: image.height }
  const part = { left: x.start, top: y.start, width: x.count, height: y.count }
  const rgb = resample(image, whole, width, height, part, interpolation) // [y.count, x.count, 3]
  if (x.count === cropWidth && y.count === cropHeight) return rgb
  const padded = new Uint8Array(cropHeight * cropWidth * 3)
  for (let row = 0; row < y.count; row++) {
    padded.set(rgb.subarray(row * x.count * 3, (row + 1) * x.count * 3), ((y.offset + row) * cropWidth + x.offset) * 3)
  }
  return padded
}

/** Height and width of a picture that keeps its aspect. */
function keptAspect({ height, width }: RgbImage, resize: Sides): readonly [number, number] {
  if (typeof resize === 'number') {
    const short = Math.min(width, height)
    return [Math.trunc((resize * height) / short), Math.trunc((resize * width) / short)]
  }
  const ratio = Math.min(height / resize[0], width / resize[1])
  return [roundHalfEven(height / ratio), roundHalfEven(width / ratio)]
}
