/** From pictures, however they are given, to their labels, in one call. */

import { fail } from '../errors.js'
import type { ReadOptions } from '../images/fetch.js'
import { nameOfPicture, type PictureInput } from '../images/input.js'
import { type Preprocess, pictureLength, preprocessImage, preprocessOf } from '../images/preprocess.js'
import { readImage } from '../images/read.js'
import { withLabels } from '../labels/default.js'
import { choiceOf } from '../models/steps.js'
import { withStored } from '../reduction/registry.js'
import { type LoadOptions, loadModel } from '../weights/load.js'
import type { Classifier, ClassifierOptions, Prediction } from './classifier.js'
import { openNodeClassifier } from './node.js'
import { checkPool, layoutOf, normaliseRows, type Pool, pooledOf, pooledWidth } from './pool.js'

export interface LoadClassifierOptions extends ClassifierOptions, LoadOptions {
  /** Class names; default: the model's own, or ImageNet-1K's for 1000 classes. */
  readonly labels?: readonly string[]
}

/** How pictures are read and answered. */
export interface ClassifyOptions extends ReadOptions {
  /** Pictures computed at once, of an array; default 16. */
  readonly batch?: number
}

/** Which features of a picture are given. */
export interface EmbedPictureOptions extends ClassifyOptions {
  /** What the head reads (default), the class row, or the mean of the image tokens. */
  readonly pool?: Pool
  /** Divide the features by their length: the product of two is their cosine. */
  readonly normalize?: boolean
}

/** A classifier that reads pictures. */
export interface PictureClassifier extends Classifier {
  readonly preprocess: Preprocess
  /** Normalised pixels `[3, height, width]` of a picture; EXIF orientation is applied. Takes what `classify` takes. */
  read(picture: PictureInput, options?: ReadOptions): Promise<Float32Array>
  /**
   * The best `top` labels of a picture: a path, a URL, bytes, a `Blob`, a stream or pixels (see {@link PictureInput}).
   *
   * @throws InputError when it is no readable picture; the signal's reason when that gives up
   * @example
   * await classifier.classify('crocodile.jpg') // the best five
   * await classifier.classify('https://example.org/crocodile.jpg', 1, { signal: AbortSignal.timeout(5000) })
   * await classifier.classify(new URL('crocodile.jpg', import.meta.url))
   * await classifier.classify(await (await fetch(address)).blob())
   * await classifier.classify(context.getImageData(0, 0, 224, 224))
   */
  classify(picture: PictureInput, top?: number, options?: ClassifyOptions): Promise<Prediction[]>
  /**
   * The best `top` labels of every picture, in their order, computed in batches.
   *
   * @throws InputError naming the first picture that cannot be read
   * @example
   * const [first, second] = await classifier.classify(['crocodile.jpg', bytes], 3)
   * // first: [{ index: 49, label: 'African crocodile', score: 0.93… }, …]
   */
  classify(pictures: readonly PictureInput[], top?: number, options?: ClassifyOptions): Promise<Prediction[][]>
  /**
   * One vector `[C]` of every picture, in their order, computed in batches: for search and clustering. The classifier
   * must have been opened with `features`. Many pictures go into a file with `embedPictures`.
   *
   * @throws InputError naming the first picture that cannot be read, or when there are no features
   * @example
   * const classifier = await loadClassifier('deit-small', { keepRatio: 0.7, features: true })
   * const [cat, dog] = await classifier.embed(['cat.jpg', 'dog.jpg'], { normalize: true })
   * const cosine = cat.reduce((sum, value, c) => sum + value * dog[c], 0)
   */
  embed(pictures: readonly PictureInput[], options?: EmbedPictureOptions): Promise<Float32Array[]>
}

const DEFAULT_BATCH = 16

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
  const model = withLabels(await loadModel(spec, options), options.labels)
  const opened = await openNodeClassifier(model, {
    ...options,
    ...withStored(options, options.steps ? choiceOf(model.idle) : model.idle),
  })
  const classifier = { ...opened, warnings: [...(model.warnings ?? []), ...opened.warnings] }
  const preprocess = preprocessOf(model)
  const readNamed = async (picture: PictureInput, name: string, options: ReadOptions) =>
    preprocessImage(await readImage(picture, options, name), preprocess) // [3, S, S]

  /** Reads pictures batch by batch and hands their pixels `[B, 3, S, S]` to `use`. */
  async function inBatches<Result>(
    pictures: readonly PictureInput[],
    options: ClassifyOptions,
    use: (pixels: Float32Array) => Promise<readonly Result[]>,
  ): Promise<Result[]> {
    const { batch = DEFAULT_BATCH } = options
    if (!isCount(batch)) fail(`batch: wanted a whole number from 1, found ${batch}`)
    const names = pictures.map(nameInList)
    const results: Result[] = []
    for (let from = 0; from < pictures.length; from += batch) {
      const chosen = pictures.slice(from, from + batch)
      const read = await inOrder(chosen.map((picture, i) => readNamed(picture, names[from + i] as string, options)))
      const pixels = new Float32Array(read.length * pictureLength(preprocess)) // [B, 3, height, width]
      for (const [i, picture] of read.entries()) pixels.set(picture, i * picture.length)
      results.push(...(await use(pixels)))
    }
    return results
  }

  async function embed(pictures: readonly PictureInput[], options: EmbedPictureOptions = {}): Promise<Float32Array[]> {
    const { pool = 'head' } = options
    const layout = layoutOf(model.config)
    checkPool(model, pool)
    return inBatches(pictures, options, async (pixels) => {
      const pooled = pooledOf(await classifier.forward(pixels), layout, pool) // [B, C]
      const C = pooledWidth(layout, pool)
      if (options.normalize) normaliseRows(pooled, C)
      return Array.from({ length: pooled.length / C }, (_, b) => pooled.slice(b * C, (b + 1) * C))
    })
  }

  function classify(picture: PictureInput, top?: number, options?: ClassifyOptions): Promise<Prediction[]>
  function classify(pictures: readonly PictureInput[], top?: number, options?: ClassifyOptions): Promise<Prediction[][]>
  async function classify(
    given: PictureInput | readonly PictureInput[],
    top = 5,
    options: ClassifyOptions = {},
  ): Promise<Prediction[] | Prediction[][]> {
    if (!isCount(top)) fail(`top: wanted a whole number from 1, found ${top}`)
    if (isList(given)) return inBatches(given, options, (pixels) => classifier.predict(pixels, top))
    const [predictions = []] = await classifier.predict(await readNamed(given, nameOfPicture(given), options), top)
    return predictions
  }

  return {
    ...classifier,
    preprocess,
    read: async (picture, options = {}) => readNamed(picture, nameOfPicture(picture), options),
    classify,
    embed,
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1

const isList = (given: PictureInput | readonly PictureInput[]): given is readonly PictureInput[] => Array.isArray(given)

/** What has no name of its own is called by its place. */
function nameInList(picture: PictureInput, index: number): string {
  const name = nameOfPicture(picture)
  return name === 'picture' ? `picture ${index}` : name
}

/** All results, or the first failure in order, when nothing is under way any more. */
async function inOrder<Result>(promises: readonly Promise<Result>[]): Promise<Result[]> {
  return (await Promise.allSettled(promises)).map((settled) => {
    if (settled.status === 'rejected') throw settled.reason
    return settled.value
  })
}
