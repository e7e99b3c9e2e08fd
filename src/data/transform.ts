/**
 * What a worker does to a decoded picture: a plain value that travels to it, and the function that carries it out.
 * A new kind of work (training augmentation) is a new member of the union and a new case below.
 */

import { type Preprocess, preprocessImage } from '../images/preprocess.js'
import type { RgbImage } from '../images/resample.js'

/** How a decoded picture becomes a [3, S, S] tensor. A structured-cloneable value. */
export type Transform =
  /** Resize, centre crop and normalise. */
  { readonly kind: 'evaluate'; readonly preprocess: Preprocess }

/** Side S of the result in pixels. */
export function transformSize(transform: Transform): number {
  return transform.preprocess.crop
}

/** Writes the transformed picture, [3, S, S], to `out`. */
export function applyTransform(image: RgbImage, transform: Transform, out: Float32Array): void {
  switch (transform.kind) {
    case 'evaluate':
      preprocessImage(image, transform.preprocess, out)
  }
}
