/** The pictures of the demo: generated scenes of the test seed, which nothing is trained on, drawn once for all settings. */

import { setImmediate } from 'node:timers/promises'
import type { NamedPicture } from '../analysis/visualize.js'
import { scene, sceneClasses, sceneSeeds } from '../data/scenes/scene.js'
import { cropPicture, normalise, pictureLength, preprocessOf } from '../images/preprocess.js'
import type { Model } from '../runtime/classifier.js'

/** Pictures as a model reads them. */
export interface TestPictures {
  /** Normalised, `[N, 3, S, S]`. */
  readonly pixels: Float32Array
  /** By picture, `[N]`. */
  readonly labels: Int32Array
  /** How much of each pixel of the first pictures their object covers, 0 to 255, `[S, S]` each. */
  readonly masks: readonly Uint8Array[]
  /** The first pictures, to be looked at. */
  readonly shown: readonly NamedPicture[]
}

/** How many pictures to draw, and of how many of the first to keep more than the pixels. */
export interface DrawOptions {
  readonly count: number
  readonly masks: number
  readonly shown: number
  readonly onPicture?: (done: number) => void
}

/** Draws the first pictures of the test scenes; every 16 of them hold each class once. */
export async function drawPictures(model: Model, options: DrawOptions): Promise<TestPictures> {
  const { count, masks, shown, onPicture } = options
  const preprocess = preprocessOf(model)
  const length = pictureLength(preprocess)
  const pixels = new Float32Array(count * length) // [N, 3, S, S]
  const found = { labels: new Int32Array(count), masks: [] as Uint8Array[], shown: [] as NamedPicture[] }
  for (let i = 0; i < count; i++) {
    const { image, label, mask } = scene(sceneSeeds.test, i)
    const rgb = cropPicture(image, preprocess) // [S, S, 3]
    normalise(rgb, preprocess, pixels.subarray(i * length, (i + 1) * length))
    found.labels[i] = label
    if (i < masks) found.masks.push(mask)
    if (i < shown) found.shown.push({ name: sceneClasses[label] as string, rgb })
    onPicture?.(i + 1)
    await setImmediate() // an interrupt is heard between two pictures
  }
  return { pixels, ...found }
}

/** Pictures `first … last - 1` of pixels `[N, 3, S, S]`, a view. */
export function slicePictures({ pixels, labels }: TestPictures, first: number, last: number): Float32Array {
  const length = pixels.length / labels.length
  return pixels.subarray(first * length, last * length)
}
