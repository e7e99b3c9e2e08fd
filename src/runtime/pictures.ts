/** From a picture file to its labels, in one call. */

import { decodeImage } from '../images/decode.js'
import { type Preprocess, preprocessImage, preprocessOf } from '../images/preprocess.js'
import { imagenetLabels } from '../labels/imagenet.js'
import { type LoadOptions, loadModel } from '../weights/load.js'
import type { Classifier, ClassifierOptions, Prediction } from './classifier.js'
import { openNodeClassifier } from './node.js'

export interface LoadClassifierOptions extends ClassifierOptions, LoadOptions {
  /** Default: as the model's folder says, or ImageNet statistics, shorter side 256 for a 224 crop. */
  readonly preprocess?: Partial<Preprocess>
  /** Class names; default: the model's own, or ImageNet-1K's for 1000 classes. */
  readonly labels?: readonly string[]
}

/** A classifier that reads picture files. */
export interface PictureClassifier extends Classifier {
  readonly preprocess: Preprocess
  /** Normalised pixels `[3, S, S]` of a picture file or its bytes; EXIF orientation is applied. */
  read(picture: string | Uint8Array): Promise<Float32Array>
  /**
   * The best `top` labels of a picture file or its bytes.
   *
   * @throws InputError when it is no readable picture
   */
  classify(picture: string | Uint8Array, top?: number): Promise<Prediction[]>
}

/**
 * Loads a model and gets it ready for pictures.
 *
 * @param spec - a preset, a hub id, a weights file or a model folder
 * @throws InputError when there is no such model or its weights do not fit
 * @example
 * const classifier = await loadClassifier('deit-small', { keepRatio: 0.7 })
 * const [best] = await classifier.classify('crocodile.jpg')
 * // { index: 49, label: 'African crocodile', score: 0.93… }
 */
export async function loadClassifier(spec: string, options: LoadClassifierOptions = {}): Promise<PictureClassifier> {
  const loaded = await loadModel(spec, options)
  const labels = options.labels ?? loaded.labels ?? (loaded.config.classes === 1000 ? imagenetLabels : undefined)
  const asked = options.keepRatio ?? options.keepRatios ?? options.keepTokens
  const plan = asked === undefined ? { ...loaded.idle, ...options } : options
  const classifier = await openNodeClassifier({ ...loaded, ...(labels && { labels }) }, plan)
  const preprocess = { ...preprocessOf(loaded), ...options.preprocess }
  const read = async (picture: string | Uint8Array) =>
    preprocessImage(await decodeImage(picture, { orient: true }), preprocess) // [3, S, S]
  return {
    ...classifier,
    preprocess,
    read,
    async classify(picture, top = 5) {
      const [predictions = []] = await classifier.predict(await read(picture), top)
      return predictions
    },
  }
}
