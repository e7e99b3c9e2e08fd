/**
 * From an 8-bit picture to what a model reads: resize, centre crop, normalise.
 *
 * The statistics belong to the weights. Who says them, and which files are not believed, is decided where weights are
 * loaded (src/weights/pictures.ts).
 */

import { fail } from '../errors.js'
import { kernels, reserve, write } from './kernels.js'
import { type Interpolation, interpolationNames, type RgbImage, resizeCrop } from './resample.js'

/** One value per channel: red, green, blue. */
export type PerChannel = readonly [number, number, number]

/** How a picture becomes a model's input. */
export interface Preprocess {
  /** Length of the shorter side after resizing, in pixels; of both sides where `mode` is `squash`. */
  readonly resize: number
  /** Side of the centre crop, in pixels: the model's picture size. */
  readonly crop: number
  /** Mean per channel of values in [0, 1]. */
  readonly mean: PerChannel
  /** Standard deviation per channel of values in [0, 1]. */
  readonly std: PerChannel
  /** `center` (default) keeps the aspect; `squash` makes the whole picture square. */
  readonly mode?: 'center' | 'squash'
  /** Kernel of the resizing, as in Pillow; default `bicubic`. */
  readonly interpolation?: Interpolation
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

/** How a model's pictures are made: as it was loaded with, else ImageNet's way. */
export const preprocessOf = (model: {
  readonly config: { readonly imageSize: number }
  readonly preprocess?: Preprocess
}): Preprocess => model.preprocess ?? imagenetPreprocess(model.config.imageSize)

/**
 * A way of making pictures with parts of it said otherwise. Where only the crop is, its share of the resized picture
 * stays.
 *
 * @throws InputError when the result cannot be meant, see {@link checkPreprocess}
 */
export function overridePreprocess(base: Preprocess, overrides: Partial<Preprocess>): Preprocess {
  const { crop } = overrides
  return checkPreprocess({ ...(crop === undefined ? base : preprocessAt(base, crop)), ...overrides })
}

/**
 * The same preprocessing, when it can be meant.
 *
 * @param where - what says it, for the message: `config.json: `
 * @throws InputError that names what cannot be meant, and what probably was
 */
export function checkPreprocess(preprocess: Preprocess, where = ''): Preprocess {
  const { resize, crop, mean, std, mode, interpolation } = preprocess
  const sides = { resize, crop }
  for (const [name, side] of Object.entries(sides))
    if (!Number.isInteger(side) || side < 1) fail(`${where}${name}: wanted a whole number of pixels, found ${side}`)
  if (resize < crop) fail(`${where}resize: wanted at least ${crop}, the side of the crop, found ${resize}`)
  const unlikely = unlikelyMean(mean) ?? unlikelyStd(std)
  if (unlikely !== undefined) fail(`${where}${unlikely}`)
  if (mode !== undefined && mode !== 'center' && mode !== 'squash')
    fail(`${where}mode: wanted center or squash, found ${String(mode)}`)
  if (interpolation !== undefined && !interpolationNames.includes(interpolation))
    fail(`${where}interpolation: wanted one of ${interpolationNames.join(', ')}, found ${String(interpolation)}`)
  return preprocess
}

/** Why these cannot be means of values from 0 to 1; undefined when they can. */
export function unlikelyMean(mean: PerChannel): string | undefined {
  if (mean.every((value) => value >= 0 && value <= 1)) return undefined
  return `mean: wanted means of values from 0 to 1, found ${mean.join()}${probably(mean)}`
}

/** Why these cannot be deviations of values from 0 to 1; undefined when they can. 1/255 is one step of 8 bits. */
export function unlikelyStd(std: PerChannel): string | undefined {
  if (std.every((value) => value >= 0.9999 / 255 && value <= 1)) return undefined
  return `std: wanted deviations of values from 0 to 1, at least 1/255, found ${std.join()}${probably(std)}`
}

/** What was probably meant by numbers that look like those of values from 0 to 255. */
function probably(values: PerChannel): string {
  if (!values.every((value) => value > 1 && value <= 255)) return ''
  const meant = values.map((value) => Number((value / 255).toFixed(4)))
  return `: ${values[0]}/255 = ${meant[0]}, so ${meant.join()} was probably meant`
}

/** Preprocessing in words: `shorter side 256 (bicubic), centre crop 224, mean 0.485,0.456,0.406, std 0.229,0.224,0.225`. */
export function describePreprocess(preprocess: Preprocess): string {
  const { resize, crop, mean, std, mode = 'center', interpolation = 'bicubic' } = preprocess
  const short = (values: PerChannel) => values.map((value) => Number(value.toPrecision(4))).join()
  const resized = mode === 'squash' ? `squashed to ${resize} x ${resize}` : `shorter side ${resize}`
  const cropped = mode === 'squash' && crop === resize ? '' : `, centre crop ${crop}`
  return `${resized} (${interpolation})${cropped}, mean ${short(mean)}, std ${short(std)}`
}

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

/** Resizes and crops one picture: torchvision's Resize and CenterCrop. 8-bit RGB, [S, S, 3] with S = `preprocess.crop`. */
export const cropPicture = (image: RgbImage, preprocess: Preprocess): Uint8Array =>
  resizeCrop(image, preprocess.resize, preprocess.crop, preprocess)

/**
 * Resizes, crops and normalises one picture: torchvision's Resize, CenterCrop, ToTensor, Normalize.
 *
 * @returns [3, S, S] with S = `preprocess.crop`
 */
export function preprocessImage(image: RgbImage, preprocess: Preprocess, out?: Float32Array): Float32Array {
  return normalise(cropPicture(image, preprocess), preprocess, out) // [3, S, S]
}
