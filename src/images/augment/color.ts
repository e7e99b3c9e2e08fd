/**
 * Operations on the colours of 8-bit RGB pictures with Pillow's bits: `ImageOps` (autocontrast, equalize, invert,
 * posterize, solarize), `ImageEnhance` (Color, Contrast, Brightness, Sharpness) and timm's `solarize_add`.
 * Each gives a new picture.
 */
import type { RgbImage } from '../resample.js'

/** The same picture size with other values. */
const withData = ({ width, height }: RgbImage, data: Uint8Array): RgbImage => ({ width, height, data })

/** Replaces every value by a table's: [256] for all channels or [3, 256] for each. */
function lookup(image: RgbImage, table: Uint8Array): RgbImage {
  const { data } = image
  const out = new Uint8Array(data.length) // [H, W, 3]
  const green = table.length === 256 ? 0 : 256
  for (let p = 0; p < data.length; p += 3) {
    out[p] = table[data[p] as number] as number
    out[p + 1] = table[green + (data[p + 1] as number)] as number
    out[p + 2] = table[2 * green + (data[p + 2] as number)] as number
  }
  return withData(image, out)
}

const tableOf = (value: (v: number) => number): Uint8Array => Uint8Array.from({ length: 256 }, (_, v) => value(v))

const clip = (x: number): number => (x <= 0 ? 0 : x >= 255 ? 255 : Math.trunc(x))

/** How often every value occurs in every channel: [3, 256]. */
function histogram({ data }: RgbImage): Int32Array {
  const counts = new Int32Array(3 * 256)
  for (let p = 0; p < data.length; p += 3) {
    for (let c = 0; c < 3; c++) {
      const bin = c * 256 + (data[p + c] as number)
      counts[bin] = (counts[bin] as number) + 1
    }
  }
  return counts
}

/** A table for each channel, made from the channel's histogram. */
function byHistogram(image: RgbImage, tableOfChannel: (counts: Int32Array) => Uint8Array): RgbImage {
  const counts = histogram(image)
  const table = new Uint8Array(3 * 256)
  for (let c = 0; c < 768; c += 256) table.set(tableOfChannel(counts.subarray(c, c + 256)), c)
  return lookup(image, table)
}

const identity = tableOf((v) => v)

/** Stretches every channel to 0 … 255. */
export function autoContrast(image: RgbImage): RgbImage {
  return byHistogram(image, (counts) => {
    const low = counts.findIndex((count) => count > 0)
    const high = counts.findLastIndex((count) => count > 0)
    if (high <= low) return identity
    const scale = 255 / (high - low)
    const offset = -low * scale
    return tableOf((v) => clip(v * scale + offset))
  })
}

/** Flattens the histogram of every channel. */
export function equalize(image: RgbImage): RgbImage {
  return byHistogram(image, (counts) => {
    const last = counts[counts.findLastIndex((count) => count > 0)] ?? 0
    const step = Math.floor((counts.reduce((a, b) => a + b, 0) - last) / 255)
    if (step === 0) return identity
    let below = step >> 1
    return tableOf((v) => {
      const value = Math.min(255, Math.floor(below / step))
      below += counts[v] as number
      return value
    })
  })
}

const inverted = tableOf((v) => 255 - v)

export const invert = (image: RgbImage): RgbImage => lookup(image, inverted)

/** Keeps the highest `bits` (0 … 8) of every value. */
export const posterize = (image: RgbImage, bits: number): RgbImage =>
  lookup(
    image,
    tableOf((v) => v & ~((1 << (8 - bits)) - 1)),
  )

/** Inverts values from `threshold` on. */
export const solarize = (image: RgbImage, threshold: number): RgbImage =>
  lookup(
    image,
    tableOf((v) => (v < threshold ? v : 255 - v)),
  )

/** Adds `amount` to values below 128. */
export const solarizeAdd = (image: RgbImage, amount: number): RgbImage =>
  lookup(
    image,
    tableOf((v) => (v < 128 ? Math.min(255, v + amount) : v)),
  )

/**
 * `Image.blend` of two values: `from` at factor 0, `to` at 1, beyond at more; computed in float32 as Pillow does.
 *
 * @param scaled - `to - from` times the factor, rounded to float32
 */
const blended = (from: number, scaled: number): number => clip(Math.fround(from + scaled))

/** The factor times every difference of two values, from -255 on: [511]. */
function scaledDifferences(factor: number): Float32Array {
  const alpha = Math.fround(factor)
  return Float32Array.from({ length: 511 }, (_, i) => alpha * (i - 255))
}

/** Blends every value with the same `grey`. */
function blendWith(image: RgbImage, grey: number, factor: number): RgbImage {
  const scaled = scaledDifferences(factor)
  return lookup(
    image,
    tableOf((v) => blended(grey, scaled[v - grey + 255] as number)),
  )
}

/** ITU-R 601 luma of a pixel, as Pillow's `convert('L')`. */
const luma = (data: RgbImage['data'], p: number): number =>
  ((data[p] as number) * 19595 + (data[p + 1] as number) * 38470 + (data[p + 2] as number) * 7471 + 0x8000) >> 16

/** Away from grey (factor > 1) or towards it (factor < 1), each pixel by its own luma. */
export function color(image: RgbImage, factor: number): RgbImage {
  const { data } = image
  const scaled = scaledDifferences(factor)
  const out = new Uint8Array(data.length) // [H, W, 3]
  for (let p = 0; p < data.length; p += 3) {
    const grey = luma(data, p)
    for (let c = p; c < p + 3; c++) out[c] = blended(grey, scaled[(data[c] as number) - grey + 255] as number)
  }
  return withData(image, out)
}

/** Away from the picture's mean luma or towards it. */
export function contrast(image: RgbImage, factor: number): RgbImage {
  let sum = 0
  for (let p = 0; p < image.data.length; p += 3) sum += luma(image.data, p)
  return blendWith(image, Math.trunc(sum / (image.width * image.height) + 0.5), factor)
}

/** Away from black or towards it. */
export const brightness = (image: RgbImage, factor: number): RgbImage => blendWith(image, 0, factor)

/** Away from the smoothed picture (3×3, centre 5, neighbours 1) or towards it; the border stays. */
export function sharpness(image: RgbImage, factor: number): RgbImage {
  const { data, width, height } = image
  const scaled = scaledDifferences(factor)
  const out = new Uint8Array(data) // [H, W, 3]
  const stride = width * 3
  for (let y = 1; y < height - 1; y++) {
    for (let p = y * stride + 3; p < (y + 1) * stride - 3; p++) {
      const value = data[p] as number
      const above = (data[p - stride - 3] as number) + (data[p - stride] as number) + (data[p - stride + 3] as number)
      const below = (data[p + stride - 3] as number) + (data[p + stride] as number) + (data[p + stride + 3] as number)
      const sum = above + below + (data[p - 3] as number) + (data[p + 3] as number) + 5 * value
      const smooth = Math.trunc((2 * sum + 13) / 26) // sum / 13, rounded; no ties
      out[p] = blended(smooth, scaled[value - smooth + 255] as number)
    }
  }
  return withData(image, out)
}
