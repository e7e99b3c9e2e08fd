/** A classifier in a worker, as the page sees it. */

import { fail, InputError } from '../errors.js'
import { mappedAddresses } from '../runtime/web.js'
import { type Answers, errorOf, type FromWorker, memoryIn, type Question, type ToWorker } from './messages.js'
import type { LoadWebClassifierOptions, WebClassifier, WorkerChoice } from './options.js'
import { isBitmap, nameOfWebPicture, portable, type WebPicture } from './picture.js'
import { absolute, isAddress, type ModelSource } from './source.js'

/** Loads a model in a worker: `loadWebClassifier` with the option `worker`. */
export async function openRemote(
  source: ModelSource,
  options: LoadWebClassifierOptions,
  choice: WorkerChoice,
): Promise<WebClassifier> {
  const { worker: _, signal, onProgress, ...rest } = options
  signal?.throwIfAborted()
  const thread = converse(startWorker(choice), onProgress)
  const gaveUp = () => thread.end(signal?.reason)
  signal?.addEventListener('abort', gaveUp)
  try {
    const { memory, ...opened } = await thread.ask({
      ask: 'open',
      source: portableSource(source),
      options: {
        ...rest,
        ...(rest.runtime !== undefined && { runtime: absolute(String(rest.runtime)).href }),
        ...(rest.wasmPaths !== undefined && { wasmPaths: absolute(String(rest.wasmPaths)).href }),
        ...(rest.endpoint !== undefined && { endpoint: String(rest.endpoint) }),
      },
      addresses: mappedAddresses(),
    })
    const [one, two, many] = memory
    const close = async () => thread.end(new InputError('the classifier is closed'))
    const toWorker = async (picture: WebPicture, signal?: AbortSignal) => {
      const name = nameOfWebPicture(picture)
      const ready = await portable(picture, signal ? { signal } : {}, name)
      // The name stays with pixels, for messages; a bitmap is handed over.
      return isBitmap(ready) ? ready : { width: ready.width, height: ready.height, data: ready.data, name }
    }
    return {
      ...opened,
      lanes: 1,
      forward: (pixels, keep) => thread.ask({ ask: 'forward', pixels: pixels.slice(), keep }),
      predict: (pixels, top) => thread.ask({ ask: 'predict', pixels: pixels.slice(), top }),
      memory: (batch) => Math.min(one + (batch - 1) * (two - one), many),
      read: async (picture, { signal } = {}) =>
        thread.ask({ ask: 'read', picture: await toWorker(picture, signal) }, signal),
      classify: async (picture, top, { signal, keep } = {}) =>
        thread.ask({ ask: 'classify', picture: await toWorker(picture, signal), top, keep }, signal),
      close,
      dispose: close,
    }
  } catch (error) {
    thread.end(error)
    throw error
  } finally {
    signal?.removeEventListener('abort', gaveUp)
  }
}

function startWorker(choice: WorkerChoice): Worker {
  if (typeof choice === 'function') return choice()
  if (typeof choice === 'object') return choice
  if (typeof Worker === 'undefined') return fail('worker: there are no workers here')
  // In one piece: so it is that bundlers find the worker's module.
  return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'idlevit' })
}

/** Addresses are relative to the page, not to the worker's script; `FileList` and `URL` cannot cross. */
function portableSource(source: ModelSource): ModelSource {
  if (source instanceof URL) return source.href
  if (typeof source === 'string') return isAddress(source) ? absolute(source).href : source
  return 'arrayBuffer' in source ? source : Array.from(source)
}

interface Asked {
  resolve(answer: Answers[keyof Answers]): void
  reject(error: unknown): void
}

/** Questions and answers, in whatever order they come. */
function converse(worker: Worker, onProgress: LoadWebClassifierOptions['onProgress']) {
  const waiting = new Map<number, Asked>()
  let over: unknown
  let count = 0
  const end = (reason: unknown) => {
    over ??= reason
    worker.terminate()
    for (const { reject } of waiting.values()) reject(over)
    waiting.clear()
  }
  worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
    if ('progress' in data) return onProgress?.(data.progress)
    const asked = waiting.get(data.id) // nobody, when it was given up
    waiting.delete(data.id)
    if ('error' in data) asked?.reject(errorOf(data.error))
    else asked?.resolve(data.result)
  })
  worker.addEventListener('error', (event) => {
    event.preventDefault()
    end(new InputError(`the worker fails: ${event.message || 'its module cannot be loaded'}`))
  })

  async function ask<Q extends Question>(question: Q, signal?: AbortSignal): Promise<Answers[Q['ask']]> {
    if (over !== undefined) throw over
    signal?.throwIfAborted()
    const id = ++count
    let gaveUp = () => {}
    try {
      return await new Promise<never>((resolve, reject) => {
        gaveUp = () => reject(signal?.reason)
        signal?.addEventListener('abort', gaveUp)
        waiting.set(id, { resolve: (answer) => resolve(answer as never), reject })
        worker.postMessage({ id, question } satisfies ToWorker, handedOver(question))
      })
    } finally {
      waiting.delete(id)
      signal?.removeEventListener('abort', gaveUp)
    }
  }
  return { end, ask }
}

/** What the page has no more need of: its copies of pixels and bitmaps, not the pixels that were given. */
function handedOver(question: Question): Transferable[] {
  if ('pixels' in question) return memoryIn(question.pixels)
  return 'picture' in question && isBitmap(question.picture) ? [question.picture] : []
}
