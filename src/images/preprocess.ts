/**
 * From an 8-bit picture to what a model reads: resize, centre crop, normalise.
 *
 * The statistics belong to the weights. Who says them, and which files are not believed, is decided where weights are
 * loaded (src/weights/pictures.ts).
 */

import { fail } from '../errors.js'
import { kernels, reserve, write } from './kernels.js'
import { type Interpolation, interpolationNames, type RgbImage, resizeCrop } from './resample.js'
import { type Sides, sidesOf } from './sides.js'

/** One value per channel: red, green, blue. */
export type PerChannel = readonly [number, number, number]

/** How a picture becomes a model's input. */
export interface Preprocess {
  /** Length of the shorter side after resizing, in pixels; of both sides where `mode` is `squash`. */
  readonly resize: number
  /** Side of the centre crop, in pixels: the model's picture size. */
  readonly crop: number
  /**
   * Of pictures that are not square: the height where `resize` is the width of what the resized picture covers, or of the
   * resized picture itself where `mode` is `squash`.
   */
  readonly resizeHeight?: number
  /** Height of the crop where pictures are not square; `crop` is its width. */
  readonly cropHeight?: number
  /** Mean per channel of values in [0, 1]. */
  readonly mean: PerChannel
  /** Standard deviation per channel of values in [0, 1]. */
  readonly std: PerChannel
  /** `center` (default) keeps the aspect; `squash` makes the whole picture fit. */
  readonly mode?: 'center' | 'squash'
  /** Kernel of the resizing, as in Pillow; default `bicubic`. */
  readonly interpolation?: Interpolation
}

/** Height and width of what a model reads. */
export const cropSides = ({ crop, cropHeight = crop }: Pick<Preprocess, 'crop' | 'cropHeight'>) =>
  [cropHeight, crop] as const

/** Height and width of what a picture is resized to; of square ones the side. */
const resizeSides = ({ resize, resizeHeight }: Preprocess): Sides =>
  resizeHeight === undefined ? resize : [resizeHeight, resize]

/** Values of a picture as a model reads it: 3·height·width. */
export function pictureLength(preprocess: Pick<Preprocess, 'crop' | 'cropHeight'>): number {
  const [height, width] = cropSides(preprocess)
  return 3 * height * width
}

/** The sizes of a crop and what it is cropped from, side by side of a rectangle. */
export function sizesFor(size: Sides, resized: (side: number, axis: 0 | 1) => number) {
  const [height, width] = sidesOf(size)
  const sizes = { resize: resized(width, 1), crop: width }
  return height === width ? sizes : { ...sizes, resizeHeight: resized(height, 0), cropHeight: height }
}

/** ImageNet's statistics; the shorter side is 256 for a 224 crop and scales with other picture sizes. */
export function imagenetPreprocess(size: Sides = 224): Preprocess {
  return {
    ...sizesFor(size, (side) => Math.round((side * 256) / 224)),
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  }
}

/** The same way for another picture size: the crop's share of the resized picture stays. */
export function preprocessAt(preprocess: Preprocess, size: Sides): Preprocess {
  const { resizeHeight, cropHeight, ...others } = preprocess
  const [crop, resize] = [cropSides(preprocess), sidesOf(resizeSides(preprocess))]
  return { ...others, ...sizesFor(size, (side, axis) => Math.round((resize[axis] * side) / crop[axis])) }
}

/** How a model's pictures are made: as it was loaded with, else ImageNet's way. */
export const preprocessOf = ({
  config: { imageSize, imageHeight = imageSize },
  preprocess,
}: {
  readonly config: { readonly imageSize: number; readonly imageHeight?: number }
  readonly preprocess?: Preprocess
}): Preprocess => preprocess ?? imagenetPreprocess([imageHeight, imageSize])

/**
 * A way of making pictures with parts of it said otherwise. Where only the crop is, its share of the resized picture
 * stays.
 *
 * @throws InputError when the result cannot be meant, see {@link checkPreprocess}
 */
export function overridePreprocess(base: Preprocess, overrides: Partial<Preprocess>): Preprocess {
  const { crop, cropHeight, resize, resizeHeight, ...others } = overrides
  const sized = crop === undefined ? base : preprocessAt(base, [cropHeight ?? crop, crop])
  const square = sized.cropHeight === undefined
  if (resize !== undefined && !square && resizeHeight === undefined)
    fail(`resize: wanted a height and a width for pictures of ${sized.cropHeight} x ${sized.crop}, found ${resize}`)
  if (resizeHeight !== undefined && square && resizeHeight !== resize)
    fail(`resize: wanted one number for square pictures, found ${resizeHeight} x ${resize}`)
  return checkPreprocess({
    ...sized,
    ...others,
    ...(resize !== undefined && { resize }),
    ...(resizeHeight !== undefined && !square && { resizeHeight }),
  })
}

/**
 * The same preprocessing, when it can be meant.
 *
 * @param where - what says it, for the message: `config.json: `
 * @throws InputError that names what cannot be meant, and what probably was
 */
export function checkPreprocess(preprocess: Preprocess, where = ''): Preprocess {
  const { resize, crop, mean, std, mode, interpolation, resizeHeight, cropHeight } = preprocess
  const sides = {
    resize,
    crop,
    ...((resizeHeight !== undefined || cropHeight !== undefined) && { resizeHeight, cropHeight }),
  }
  for (const [name, side] of Object.entries(sides))
    if (side === undefined || !Number.isInteger(side) || side < 1)
      fail(`${where}${name}: wanted a whole number of pixels, found ${side}`)
  if (resize < crop) fail(`${where}resize: wanted at least ${crop}, the side of the crop, found ${resize}`)
  if (resizeHeight !== undefined && cropHeight !== undefined && resizeHeight < cropHeight)
    fail(`${where}resizeHeight: wanted at least ${cropHeight}, the height of the crop, found ${resizeHeight}`)
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
  const { resize, crop, mean, std, mode = 'center', interpolation = 'bicubic', resizeHeight, cropHeight } = preprocess
  const short = (values: PerChannel) => values.map((value) => Number(value.toPrecision(4))).join()
  const square = resizeHeight === undefined
  const resizedTo = `${resizeHeight ?? resize} x ${resize}`
  const kept = square ? `shorter side ${resize}` : `just covering ${resizedTo}`
  const resized = mode === 'squash' ? `squashed to ${resizedTo}` : kept
  const croppedTo = square ? `${crop}` : `${cropHeight} x ${crop}`
  const whole = mode === 'squash' && crop === resize && cropHeight === resizeHeight
  const cropped = whole ? '' : `, centre crop ${croppedTo}`
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
 * Turns interleaved 8-bit RGB [height, width, 3] into normalised planes [3, height, width].
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

/** Resizes and crops one picture: torchvision's Resize and CenterCrop. 8-bit RGB, [height, width, 3] of the crop. */
export const cropPicture = (image: RgbImage, preprocess: Preprocess): Uint8Array =>
  resizeCrop(image, resizeSides(preprocess), cropSides(preprocess), preprocess)

/**
 * Resizes, crops and normalises one picture: torchvision's Resize, CenterCrop, ToTensor, Normalize.
 *
 * @returns [3, height, width] of the crop
 */
export function preprocessImage(image: RgbImage, preprocess: Preprocess, out?: Float32Array): Float32Array {
  return normalise(cropPicture(image, preprocess), preprocess, out) // [3, height, width]
}
