/** What a page asks of a classifier, and what it gets. */

import type { Preprocess } from '../images/preprocess.js'
import type { KeepRequest } from '../reduction/schedule.js'
import type { Classifier, ClassifierOptions, Prediction } from '../runtime/classifier.js'
import type { WebRuntimeOptions } from '../runtime/web.js'
import type { Backend, WebDevice } from './backend.js'
import type { WebProgress } from './download.js'
import type { HubAccess } from './hub.js'
import type { ReadModelOptions } from './model.js'
import type { WebPicture, WebReadOptions } from './picture.js'

/** Whether to start a worker; or a worker whose module imports `idlevit/worker`. */
export type WorkerChoice = boolean | Worker | (() => Worker)

/** How a model's files are fetched and read. */
export interface LoadWebModelOptions extends ReadModelOptions, HubAccess {
  /** Name of the Cache API cache that keeps files for the next visit, default `idlevit`; `false` keeps none. */
  readonly cache?: string | false
  /** Told of every file, how many bytes are there. */
  readonly onProgress?: (progress: WebProgress) => void
  /** Gives up: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal
}

/** What is loaded, how it is built and what it runs on. */
export interface LoadWebClassifierOptions
  extends LoadWebModelOptions,
    Omit<ClassifierOptions, 'device' | 'lanes' | 'profile' | 'untuned'>,
    WebRuntimeOptions {
  /** Default `auto`: WebGPU where there is a GPU, else WASM. */
  readonly device?: WebDevice
  /**
   * Load and compute in a worker, so that the page never waits. `true` starts `idlevit/worker`; where a bundler does not
   * find that, a worker of yours whose module imports it.
   */
  readonly worker?: WorkerChoice
  /** Class names; default: the model's own, or ImageNet-1K's for 1000 classes. */
  readonly labels?: readonly string[]
}

/** How pictures are answered. */
export interface WebClassifyOptions extends WebReadOptions {
  /** Tokens to keep in this run, of an elastic classifier. */
  readonly keep?: KeepRequest
}

/** A classifier that reads a browser's pictures. */
export interface WebClassifier extends Classifier {
  /** What it runs on, and why. */
  readonly backend: Backend
  /** The file its weights are from: `model.safetensors`, `onnx/model_quantized.onnx`, … */
  readonly file: string
  readonly preprocess: Preprocess
  /** Normalised pixels `[3, S, S]` of a picture, upright. */
  read(picture: WebPicture, options?: WebReadOptions): Promise<Float32Array>
  /**
   * The best `top` labels of a picture.
   *
   * @throws InputError when it is no picture that this browser reads; the signal's reason when that gives up
   * @example
   * const [best] = await classifier.classify(document.querySelector('img'))
   * await classifier.classify(input.files[0], 3)
   * await classifier.classify(video, 1, { keep: { keepRatio: 0.5 } })
   */
  classify(picture: WebPicture, top?: number, options?: WebClassifyOptions): Promise<Prediction[]>
  /** Frees everything: sessions, memory, the worker. What is under way is rejected. */
  close(): Promise<void>
  /** The same as `close`. */
  dispose(): Promise<void>
}
