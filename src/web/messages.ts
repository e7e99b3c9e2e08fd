/** What a page and its worker say to each other. */

import { InputError } from '../errors.js'
import type { PixelData } from '../images/pixels.js'
import type { KeepRequest } from '../reduction/schedule.js'
import type { ForwardResult, Prediction } from '../runtime/classifier.js'
import type { RuntimeAddresses } from '../runtime/web.js'
import type { WebProgress } from './download.js'
import type { LoadWebClassifierOptions, WebClassifier } from './options.js'
import type { ModelSource } from './source.js'

/** Options without what cannot cross to another thread. */
export type PlainOptions = Omit<LoadWebClassifierOptions, 'worker' | 'signal' | 'onProgress'>

/** What is asked. `abort` and `close` get no answer. */
export type Question =
  | {
      readonly ask: 'open'
      readonly source: ModelSource
      readonly options: PlainOptions
      readonly addresses: RuntimeAddresses
    }
  | { readonly ask: 'forward'; readonly pixels: Float32Array; readonly keep?: KeepRequest | undefined }
  | { readonly ask: 'predict'; readonly pixels: Float32Array; readonly top: number | undefined }
  | { readonly ask: 'read'; readonly picture: ImageBitmap | PixelData }
  | {
      readonly ask: 'classify'
      readonly picture: ImageBitmap | PixelData
      readonly top: number | undefined
      readonly keep?: KeepRequest | undefined
    }

/** What an opened classifier is, as far as it can cross; memory by the number of pictures: of one, two and very many. */
export type Opened = Pick<
  WebClassifier,
  'model' | 'plan' | 'keepRatios' | 'warnings' | 'backend' | 'file' | 'preprocess'
> & { readonly memory: readonly [number, number, number] }

/** The answers, by question. */
export interface Answers {
  readonly open: Opened
  readonly forward: ForwardResult
  readonly predict: Prediction[][]
  readonly read: Float32Array
  readonly classify: Prediction[]
}

export type Result = Answers[Question['ask']]

export type ToWorker = { readonly id: number; readonly question: Question }

export type FromWorker =
  | { readonly id: number; readonly result: Result }
  | { readonly id: number; readonly error: Failure }
  | { readonly progress: WebProgress }

/** An error on its way. */
export interface Failure {
  readonly name: string
  readonly message: string
}

export const failureOf = (error: unknown): Failure =>
  error instanceof Error ? { name: error.name, message: error.message } : { name: 'Error', message: String(error) }

export const errorOf = ({ name, message }: Failure): Error =>
  name === 'InputError' ? new InputError(message) : Object.assign(new Error(message), { name })

/** All memory in a value, to be handed over rather than copied. */
export function memoryIn(value: unknown, found: Set<ArrayBuffer> = new Set()): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) {
    if (value.buffer instanceof ArrayBuffer) found.add(value.buffer)
  } else if (Array.isArray(value)) for (const item of value) memoryIn(item, found)
  else if (typeof value === 'object' && value !== null && !(value instanceof Map))
    for (const item of Object.values(value)) memoryIn(item, found)
  return [...found]
}
