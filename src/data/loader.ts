/**
 * Batches of preprocessed pictures, decoded by worker threads while the main thread runs the model.
 */

import type { Preprocess } from '../images/preprocess.js'
import type { Dataset } from './dataset.js'

/** A batch, ready for a model. */
export interface Batch {
  /** [n, 3, S, S]. Valid until the next batch is asked for: then its memory is used again. */
  readonly pixels: Float32Array
  /** [n] */
  readonly labels: Int32Array
  /** [n] */
  readonly names: readonly string[]
  /** [n], positions in `dataset.samples`. */
  readonly indices: Int32Array
}

/** Options of {@link loadBatches}. */
export interface LoaderOptions {
  /** Pictures in a batch; the last batch may be shorter. */
  readonly batch: number
  readonly preprocess: Preprocess
  /** Which pictures, in which order; all of them in the data set's order when left out. */
  readonly order?: ArrayLike<number>
  /** Worker threads; a quarter of the cores, at least one, when left out. */
  readonly workers?: number
  /** Batches decoded ahead of the one in use, at least one for each worker. */
  readonly prefetch?: number
  /** Apply EXIF orientation. Off when left out, as torchvision has it. */
  readonly orient?: boolean
  /** Told of every picture that cannot be read, in order; the next pictures take its place. */
  readonly onSkip?: (name: string, reason: string) => void
}

/** Decodes and preprocesses pictures in the given order, whatever the number of workers. */
export declare function loadBatches(dataset: Dataset, options: LoaderOptions): AsyncIterableIterator<Batch>
