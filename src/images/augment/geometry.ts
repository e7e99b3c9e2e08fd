/**
 * Rotation, shear and translation with the bits of Pillow's `Image.transform(AFFINE, BICUBIC)` and `Image.rotate`.
 *
 * Pillow's bicubic kernel here is not that of its `resize`: a = -1, and results are truncated, not rounded. Products
 * are taken in its order, because truncation shows the last bit of a float.
 */
import type { PerChannel } from '../preprocess.js'
import type { RgbImage } from '../resample.js'
import { sineCosine } from './portable.js'

/** Output (x, y) reads input (a x + b y + c, d x + e y + f), both at pixel centres. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number]

/** The cubic through four neighbouring values at `d` in [0, 1) behind the second. */
function cubic(v1: number, v2: number, v3: number, v4: number, d: number): number {
  const p4 = -v1 + v2 - v3 + v4
  const p3 = 2 * (v1 - v2) + v3 - v4
  return v2 + d * (v3 - v1 + d * (p3 + d * p4))
}

/** {@link cubic} along a row that starts at `p`. */
const along = (data: RgbImage['data'], p: number, x1: number, x2: number, x3: number, x4: number, d: number): number =>
  cubic(data[p + x1] as number, data[p + x2] as number, data[p + x3] as number, data[p + x4] as number, d)

const clamp = (x: number, most: number): number => Math.min(most, Math.max(0, x))

/** Transforms a picture; what comes from outside is `fill`. */
export function affine(image: RgbImage, [a, b, c, d, e, f]: Affine, fill: PerChannel): RgbImage {
  const { data, width, height } = image
  const out = new Uint8Array(data.length) // [H, W, 3]
  const right = width - 1
  const bottom = height - 1
  const stride = width * 3
  for (let y = 0, o = 0; y < height; y++) {
    for (let x = 0; x < width; x++, o += 3) {
      const sourceX = a * (x + 0.5) + b * (y + 0.5) + c
      const sourceY = d * (x + 0.5) + e * (y + 0.5) + f
      if (!(sourceX >= 0 && sourceX < width && sourceY >= 0 && sourceY < height)) {
        out[o] = fill[0]
        out[o + 1] = fill[1]
        out[o + 2] = fill[2]
        continue
      }
      const column = Math.floor(sourceX - 0.5)
      const line = Math.floor(sourceY - 0.5)
      const dx = sourceX - 0.5 - column
      const dy = sourceY - 0.5 - line
      const x1 = clamp(column - 1, right) * 3
      const x2 = clamp(column, right) * 3
      const x3 = clamp(column + 1, right) * 3
      const x4 = clamp(column + 2, right) * 3
      const y1 = clamp(line - 1, bottom) * stride
      const y2 = clamp(line, bottom) * stride
      const y3 = clamp(line + 1, bottom) * stride
      const y4 = clamp(line + 2, bottom) * stride
      // A shear or shift along one axis is exact on the other: one row, or one column, instead of four.
      for (let p = y2, end = y2 + 3, q = o; p < end; p++, q++) {
        let value = dx === 0 ? (data[p + x2] as number) : along(data, p, x1, x2, x3, x4, dx)
        if (dy !== 0) {
          const channel = p - y2
          const [v1, v3, v4] =
            dx === 0
              ? [
                  data[y1 + channel + x2] as number,
                  data[y3 + channel + x2] as number,
                  data[y4 + channel + x2] as number,
                ]
              : [
                  along(data, y1 + channel, x1, x2, x3, x4, dx),
                  along(data, y3 + channel, x1, x2, x3, x4, dx),
                  along(data, y4 + channel, x1, x2, x3, x4, dx),
                ]
          value = cubic(v1, value, v3, v4, dy)
        }
        out[q] = Math.min(255, Math.max(0, value)) // a typed array truncates
      }
    }
  }
  return { width, height, data: out }
}

export const shearX = (image: RgbImage, factor: number, fill: PerChannel): RgbImage =>
  affine(image, [1, factor, 0, 0, 1, 0], fill)

export const shearY = (image: RgbImage, factor: number, fill: PerChannel): RgbImage =>
  affine(image, [1, 0, 0, factor, 1, 0], fill)

/** Moves the picture to the left by `pixels`, whole or not. */
export const translateX = (image: RgbImage, pixels: number, fill: PerChannel): RgbImage =>
  affine(image, [1, 0, pixels, 0, 1, 0], fill)

/** Moves the picture up by `pixels`, whole or not. */
export const translateY = (image: RgbImage, pixels: number, fill: PerChannel): RgbImage =>
  affine(image, [1, 0, 0, 0, 1, pixels], fill)

/** To 15 decimals, as Pillow rounds the matrix of a rotation. */
const rounded = (x: number): number => Number(x.toFixed(15))

/** Rotates counter-clockwise about the centre, by at most 90 degrees either way. */
export function rotate(image: RgbImage, degrees: number, fill: PerChannel): RgbImage {
  if (degrees === 0) return image
  const [sine, cosine] = sineCosine(-degrees).map(rounded) as [number, number]
  const x = image.width / 2
  const y = image.height / 2
  const left = cosine * -x + sine * -y + 0 + x
  const top = -sine * -x + cosine * -y + 0 + y
  return affine(image, [cosine, sine, left, -sine, cosine, top], fill)
}
