/**
 * From an 8-bit picture to what a model reads: resize the shorter side, centre crop, normalise.
 *
 * The statistics belong to the weights. They are set here or by the caller and never read from a hub file, because
 * stored `preprocessor_config.json` files contradict the weights beside them (facebook/deit-*-patch16-224 say mean = std
 * = 0.5 and no crop; the weights were trained with ImageNet's statistics, resize 256 and crop 224).
 */

import { kernels, reserve, write } from './kernels.js'
import { type RgbImage, resizeCrop } from './resample.js'

/** One value per channel: red, green, blue. */
export type PerChannel = readonly [number, number, number]

/** How a picture becomes a model's input. */
export interface Preprocess {
  /** Length of the shorter side after resizing, in pixels. */
  readonly resize: number
  /** Side of the centre crop, in pixels: the model's picture size. */
  readonly crop: number
  /** Mean per channel of values in [0, 1]. */
  readonly mean: PerChannel
  /** Standard deviation per channel of values in [0, 1]. */
  readonly std: PerChannel
}

/** ImageNet's statistics; the shorter side is 256 for a 224 crop and scales with other picture sizes. */
export function imagenetPreprocess(size = 224): Preprocess {
  return {
    resize: Math.round((size * 256) / 224),
    crop: size,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  }
}

/** The same way for another picture size: the crop's share of the resized picture stays. */
export const preprocessAt = (preprocess: Preprocess, size: number): Preprocess => ({
  ...preprocess,
  resize: Math.round((preprocess.resize * size) / preprocess.crop),
  crop: size,
})

/** How a model's pictures are made: as it was trained where that is known, else ImageNet's way. */
export const preprocessOf = (model: {
  readonly config: { readonly imageSize: number }
  readonly preprocess?: Preprocess
}): Preprocess => model.preprocess ?? imagenetPreprocess(model.config.imageSize)

const tables = new WeakMap<Preprocess, Float32Array>()

/** (v/255 - mean)/std for every 8-bit v, rounded to float32 after each step as torchvision does. */
function normaliseTable(preprocess: Preprocess): Float32Array {
  const known = tables.get(preprocess)
  if (known) return known
  const table = new Float32Array(3 * 256) // [3, 256]
  for (const c of [0, 1, 2] as const) {
    const mean = Math.fround(preprocess.mean[c])
    const std = Math.fround(preprocess.std[c])
    for (let v = 0; v < 256; v++) table[c * 256 + v] = Math.fround(Math.fround(v / 255) - mean) / std
  }
  tables.set(preprocess, table)
  return table
}

/**
 * Turns interleaved 8-bit RGB [S, S, 3] into normalised planes [3, S, S].
 *
 * @param out where to write; a new array when left out
 */
export function normalise(
  rgb: Uint8Array,
  preprocess: Preprocess,
  out: Float32Array = new Float32Array(rgb.length),
): Float32Array {
  const table = normaliseTable(preprocess)
  const [source, tableAt, planes] = reserve(rgb.length, table.byteLength, rgb.length * 4)
  write(source, rgb)
  write(tableAt, table)
  kernels().normalise(source, rgb.length / 3, tableAt, planes)
  out.set(new Float32Array(kernels().memory.buffer, planes, rgb.length))
  return out
}

/**
 * Resizes, crops and normalises one picture: torchvision's Resize, CenterCrop, ToTensor, Normalize.
 *
 * @returns [3, S, S] with S = `preprocess.crop`
 */
export function preprocessImage(image: RgbImage, preprocess: Preprocess, out?: Float32Array): Float32Array {
  return normalise(resizeCrop(image, preprocess.resize, preprocess.crop), preprocess, out) // [3, S, S]
}
