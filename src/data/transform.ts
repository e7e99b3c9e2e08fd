/**
 * What a worker does to a decoded picture: a plain value that travels to it, and the function that carries it out.
 * A new kind of work is a new member of the union and a new case below.
 */

import { type AugmentRecipe, augmentImage } from '../images/augment/augment.js'
import { type Preprocess, pictureLength, preprocessImage } from '../images/preprocess.js'
import type { RgbImage } from '../images/resample.js'

/** How a decoded picture becomes a [3, height, width] tensor. A structured-cloneable value. */
export type Transform =
  /** Resize, centre crop and normalise. */
  | { readonly kind: 'evaluate'; readonly preprocess: Preprocess }
  /** Augment for training, by random numbers of (seed, epoch, draw). */
  | {
      readonly kind: 'train'
      readonly preprocess: Preprocess
      readonly recipe: AugmentRecipe
      readonly seed: number
      readonly epoch: number
    }

/** Values of the result: 3·height·width. */
export const transformSize = ({ preprocess }: Transform): number => pictureLength(preprocess)

/**
 * Writes the transformed picture, [3, height, width], to `out`.
 *
 * @param draw the picture's position in the epoch's order
 */
export function applyTransform(image: RgbImage, transform: Transform, draw: number, out: Float32Array): void {
  switch (transform.kind) {
    case 'evaluate':
      preprocessImage(image, transform.preprocess, out)
      break
    case 'train': {
      const { preprocess, recipe, seed, epoch } = transform
      augmentImage(image, preprocess, recipe, { seed, epoch, draw }, out)
    }
  }
}
