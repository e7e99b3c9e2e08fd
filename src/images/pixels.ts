/** Decoded pictures that come from elsewhere: a canvas' `ImageData`, another library's pixels. */

import { fail } from '../errors.js'
import type { RgbImage } from './resample.js'

/**
 * 8-bit pixels, interleaved, [height, width, channels] with 1 (grey), 3 (RGB) or 4 channels (RGBA, as in a canvas'
 * `ImageData`: alpha is left out, not composited).
 */
export interface PixelData {
  readonly width: number
  readonly height: number
  /** `Uint8Array` or `Uint8ClampedArray`. */
  readonly data: ArrayBufferView
}

/** The most pixels a picture may have: where PIL refuses (twice its `MAX_IMAGE_PIXELS`). */
export const MAX_PIXELS = 178_956_970

/**
 * Pixels as RGB; what is RGB already is not copied.
 *
 * @throws InputError naming the picture when they are not 8-bit numbers or do not fit the sizes
 */
export function rgbOf({ width, height, data }: PixelData, name: string): RgbImage {
  const pixels = width * height
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1)
    fail(`${name}: wanted width and height in whole pixels, found ${width} × ${height}`)
  if (pixels > MAX_PIXELS) fail(`${name}: ${width}×${height} pixels, more than the ${MAX_PIXELS} a picture may have`)
  if (!isBytes(data)) fail(`${name}: wanted 8-bit pixels (Uint8Array, Uint8ClampedArray), found ${kindOf(data)}`)
  const channels = data.length / pixels
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    const wanted = [1, 3, 4].map((c) => c * pixels).join(', ')
    fail(`${name}: wanted ${wanted} values for ${width}×${height} pixels (grey, RGB, RGBA), found ${data.length}`)
  }
  return { width, height, data: toThreeChannels(data, channels) }
}

/** Grey, with or without alpha, spread over three channels; alpha left out. */
export function toThreeChannels(
  data: Uint8Array | Uint8ClampedArray,
  channels: number,
): Uint8Array | Uint8ClampedArray {
  if (channels === 3) return data
  const pixels = data.length / channels
  const rgb = new Uint8Array(pixels * 3)
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = data[i * channels + (channels > 3 ? c : 0)] as number
  }
  return rgb
}

/** By name, not by constructor: the array may come from another window or thread. */
function isBytes(data: unknown): data is Uint8Array | Uint8ClampedArray {
  return /^Uint8(Clamped)?Array$/.test(kindOf(data))
}

/** What an object is, by its own word: `Uint8Array`, `Blob`, `Number`. */
export const kindOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1)
