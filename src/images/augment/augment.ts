/**
 * From a decoded picture to a training input: random resized crop, flip, RandAugment, normalise, random erasing, in
 * timm's order (DeiT, arXiv 2012.12877, table 9). What is drawn depends on (seed, epoch, draw) alone.
 */
import { keyedRandom } from '../../keyed-random.js'
import { cropSides, normalise, type PerChannel, type Preprocess } from '../preprocess.js'
import { type RgbImage, resizeBox } from '../resample.js'
import { flip, type Range, randomCropBox } from './crop.js'
import { eraseRandom } from './erase.js'
import { type RandAugment, randAugment } from './randaugment.js'

/** How training pictures are varied: plain data that travels to a worker. */
export interface AugmentRecipe {
  /** Share of the area that a crop covers. */
  readonly scale: Range
  /** Aspect of a crop, width / height. */
  readonly ratio: Range
  /** Chance of a mirrored picture. */
  readonly flip: number
  readonly randAugment?: RandAugment
  /** Chance of an erased rectangle. */
  readonly erase: number
}

/** Which random numbers: those of draw `draw` (the position in the epoch's order) of an epoch. */
export interface AugmentKey {
  readonly seed: number
  readonly epoch: number
  readonly draw: number
}

/**
 * Augments and normalises one picture.
 *
 * @returns [3, height, width] of the crop
 */
export function augmentImage(
  image: RgbImage,
  preprocess: Preprocess,
  recipe: AugmentRecipe,
  key: AugmentKey,
  out?: Float32Array,
): Float32Array {
  const { mean } = preprocess
  const [height, width] = cropSides(preprocess)
  const random = keyedRandom(key.seed, 'augment', key.epoch, key.draw)
  const box = randomCropBox(image.width, image.height, recipe.scale, recipe.ratio, random)
  const data = resizeBox(image, box, width, height) // [height, width, 3]
  if (random.uniform() < recipe.flip) flip(data, width)
  const cropped = { width, height, data }
  const fill = mean.map((m) => Math.min(255, Math.round(255 * m))) as unknown as PerChannel
  const varied = recipe.randAugment ? randAugment(cropped, recipe.randAugment, random, fill) : cropped
  const pixels = normalise(varied.data as Uint8Array, preprocess, out) // [3, height, width]
  if (random.uniform() < recipe.erase) eraseRandom(pixels, [height, width], random)
  return pixels
}
