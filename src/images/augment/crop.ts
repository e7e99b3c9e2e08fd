/**
 * Random resized crop (Szegedy et al., arXiv 1409.4842) and horizontal flip, as torchvision's `RandomResizedCrop` and
 * timm draw them: a share of the area and an aspect ratio, log-uniform; ten tries, then the central crop.
 */
import type { Random } from '../../random.js'
import type { Box } from '../resample.js'
import { exp, log } from './portable.js'

/** An interval to draw from. */
export type Range = readonly [least: number, most: number]

/** A number from an interval, every one equally likely. */
export const between = (random: Random, [least, most]: Range): number => least + (most - least) * random.uniform()

/** A positive number from an interval whose logarithm is uniform: 3/4 is as likely as 4/3. */
export const logBetween = (random: Random, [least, most]: Range): number =>
  exp(between(random, [log(least), log(most)]))

const TRIES = 10

/**
 * A box inside a picture that covers a random share `scale` of its area with a random aspect `ratio` (width / height).
 */
export function randomCropBox(width: number, height: number, scale: Range, ratio: Range, random: Random): Box {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const area = between(random, scale) * width * height
    const aspect = logBetween(random, ratio)
    const w = Math.round(Math.sqrt(area * aspect))
    const h = Math.round(Math.sqrt(area / aspect))
    if (w >= 1 && h >= 1 && w <= width && h <= height) {
      return { left: random.integer(width - w + 1), top: random.integer(height - h + 1), width: w, height: h }
    }
  }
  return centralBox(width, height, ratio)
}

/** The largest central box whose aspect lies in `ratio`. */
function centralBox(width: number, height: number, [least, most]: Range): Box {
  const aspect = width / height
  const w = aspect > most ? Math.max(1, Math.round(height * most)) : width
  const h = aspect < least ? Math.max(1, Math.round(width / least)) : height
  return { left: (width - w) >> 1, top: (height - h) >> 1, width: w, height: h }
}

/** Mirrors an RGB picture [height, width, 3] left to right, in place. */
export function flip(rgb: Uint8Array, width: number): void {
  const stride = width * 3
  for (let line = 0; line < rgb.length; line += stride) {
    for (let p = line, q = line + stride - 3; p < q; p += 3, q -= 3) {
      for (let c = 0; c < 3; c++) {
        const value = rgb[p + c] as number
        rgb[p + c] = rgb[q + c] as number
        rgb[q + c] = value
      }
    }
  }
}
