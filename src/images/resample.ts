/**
 * Bicubic resampling with the bits of Pillow, the library behind torchvision's `Resize`.
 *
 * Two passes, horizontal then vertical, each a weighted sum with fixed-point weights of 22 fraction bits and an 8-bit
 * result. The kernel is Keys' cubic with a = -0.5; when a side shrinks, the kernel widens with it (antialiasing). It is
 * neither what a canvas does nor torch's `interpolate` (a = -0.75). Only the rows and columns asked for are computed.
 */

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
const HALF = 1 << (FRACTION_BITS - 1)
const MIN_TAPS = 4 // the width of the kernel when it is not widened: the unrolled loops below

/** Keys' cubic convolution kernel with a = -0.5, zero outside (-2, 2). */
function cubic(x: number): number {
  const a = -0.5
  const t = Math.abs(x)
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a
  return 0
}

function axisWeights(inSize: number, outSize: number, start: number, count: number): Weights {
  const scale = inSize / outSize
  const stretch = Math.max(scale, 1)
  const support = 2 * stretch
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
    for (let x = low; x < high; x++) sum += row[x - low] = cubic((x - center + 0.5) * (1 / stretch))
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

// Data sets hold few distinct sizes; random crops many. The table is emptied when full.
const cache = new Map<string, Weights>()
const CACHE_ENTRIES = 256
const CACHEABLE_WEIGHTS = 1 << 16

function cachedWeights(inSize: number, outSize: number, start: number, count: number): Weights {
  const key = `${inSize}:${outSize}:${start}:${count}`
  const hit = cache.get(key)
  if (hit) return hit
  const made = axisWeights(inSize, outSize, start, count)
  if (cache.size >= CACHE_ENTRIES) cache.clear()
  if (made.weights.length <= CACHEABLE_WEIGHTS) cache.set(key, made)
  return made
}

// Both passes store into a Uint8ClampedArray, which clamps like Pillow's clip8, and have a second loop for tables of
// four taps: every upscale is one, and unrolled it takes half the time.

/** Resamples `rows` lines of `src`, `stride` bytes apart from byte `origin` on, to `axis.first.length` columns. */
function horizontal(src: RgbImage['data'], origin: number, stride: number, rows: number, axis: Weights) {
  const { taps, first, weights } = axis
  const width = first.length * 3
  const out = new Uint8ClampedArray(rows * width) // [rows, columns, 3]
  if (taps === MIN_TAPS) {
    for (let x = 0, k = 0; x < first.length; x++, k += 4) {
      const k0 = weights[k] as number
      const k1 = weights[k + 1] as number
      const k2 = weights[k + 2] as number
      const k3 = weights[k + 3] as number
      const at = origin + (first[x] as number) * 3
      for (let c = 0; c < 3; c++) {
        for (let y = 0, p = at + c, o = x * 3 + c; y < rows; y++, p += stride, o += width) {
          const near = Math.imul(src[p] as number, k0) + Math.imul(src[p + 3] as number, k1)
          const far = Math.imul(src[p + 6] as number, k2) + Math.imul(src[p + 9] as number, k3)
          out[o] = (HALF + near + far) >> FRACTION_BITS
        }
      }
    }
    return out
  }
  for (let y = 0, o = 0, line = origin; y < rows; y++, line += stride) {
    for (let x = 0, k = 0; x < first.length; x++, o += 3) {
      let p = line + (first[x] as number) * 3
      let r = HALF
      let g = HALF
      let b = HALF
      for (const end = k + taps; k < end; k++, p += 3) {
        const weight = weights[k] as number
        r = (r + Math.imul(src[p] as number, weight)) | 0
        g = (g + Math.imul(src[p + 1] as number, weight)) | 0
        b = (b + Math.imul(src[p + 2] as number, weight)) | 0
      }
      out[o] = r >> FRACTION_BITS
      out[o + 1] = g >> FRACTION_BITS
      out[o + 2] = b >> FRACTION_BITS
    }
  }
  return out
}

/** Resamples columns: `src` starts at input row `top` and has lines of `stride` bytes. */
function vertical(src: Uint8ClampedArray, stride: number, top: number, axis: Weights) {
  const { taps, first, weights } = axis
  const out = new Uint8ClampedArray(first.length * stride) // [rows, columns, 3]
  for (let y = 0, k = 0, o = 0; y < first.length; y++, k += taps) {
    let line = ((first[y] as number) - top) * stride
    if (taps === MIN_TAPS) {
      const k0 = weights[k] as number
      const k1 = weights[k + 1] as number
      const k2 = weights[k + 2] as number
      const k3 = weights[k + 3] as number
      for (const end = o + stride; o < end; o++, line++) {
        const near = Math.imul(src[line] as number, k0) + Math.imul(src[line + stride] as number, k1)
        const far = Math.imul(src[line + 2 * stride] as number, k2) + Math.imul(src[line + 3 * stride] as number, k3)
        out[o] = (HALF + near + far) >> FRACTION_BITS
      }
      continue
    }
    for (const end = o + stride; o < end; o++, line++) {
      let sum = HALF
      for (let t = 0, p = line; t < taps; t++, p += stride) {
        sum = (sum + Math.imul(src[p] as number, weights[k + t] as number)) | 0
      }
      out[o] = sum >> FRACTION_BITS
    }
  }
  return out
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
function resample(image: RgbImage, box: Box, width: number, height: number, part: Box): Uint8Array {
  const stride = image.width * 3
  const vertically = cachedWeights(box.height, height, part.top, part.height)
  const { from, rows } = span(vertically)
  const horizontally = cachedWeights(box.width, width, part.left, part.width)
  const origin = ((box.top + from) * image.width + box.left) * 3
  const middle = horizontal(image.data, origin, stride, rows, horizontally) // [rows, part.width, 3]
  return new Uint8Array(vertical(middle, part.width * 3, from, vertically).buffer) // [part.height, part.width, 3]
}

/**
 * Crops `box` out of `image` and resizes it: torchvision's `resized_crop`, the core of `RandomResizedCrop`.
 *
 * @param box inside the picture, in whole pixels
 * @returns RGB, [height, width, 3]
 */
export function resizeBox(image: RgbImage, box: Box, width: number, height = width): Uint8Array {
  return resample(image, box, width, height, { left: 0, top: 0, width, height })
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

/**
 * torchvision's `Resize(resize)` then `CenterCrop(crop)`: the shorter side becomes `resize`, the longer one
 * `int(resize * long / short)`, the crop starts at `int(round((side - crop) / 2))`, ties to even. A crop larger than
 * the resized picture is filled up with zeros around it.
 *
 * @returns RGB, [crop, crop, 3]
 */
export function resizeCrop(image: RgbImage, resize: number, crop: number): Uint8Array {
  const short = Math.min(image.width, image.height)
  const width = Math.trunc((resize * image.width) / short)
  const height = Math.trunc((resize * image.height) / short)
  const x = centered(width, crop)
  const y = centered(height, crop)
  const whole = { left: 0, top: 0, width: image.width, height: image.height }
  const part = { left: x.start, top: y.start, width: x.count, height: y.count }
  const rgb = resample(image, whole, width, height, part) // [y.count, x.count, 3]
  if (x.count === crop && y.count === crop) return rgb
  const padded = new Uint8Array(crop * crop * 3)
  for (let row = 0; row < y.count; row++) {
    padded.set(rgb.subarray(row * x.count * 3, (row + 1) * x.count * 3), ((y.offset + row) * crop + x.offset) * 3)
  }
  return padded
}
