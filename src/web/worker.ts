/** The worker of `loadWebClassifier(…, { worker: true })`: one classifier that answers a page. */

import { useAddresses } from '../runtime/web.js'
import { loadWebClassifier } from './classifier.js'
import {
  type FromWorker,
  failureOf,
  memoryIn,
  type Opened,
  type Question,
  type Result,
  type ToWorker,
} from './messages.js'
import type { WebClassifier } from './options.js'

/** Of a worker's global scope what is used here. */
interface Port {
  postMessage(message: FromWorker, transfer?: Transferable[]): void
  addEventListener(type: 'message', listener: (event: { readonly data: ToWorker }) => void): void
}

const port = globalThis as unknown as Port
let opening: Promise<WebClassifier> | undefined

port.addEventListener('message', async ({ data: { id, question } }) => {
  try {
    const result = await answer(question)
    port.postMessage({ id, result }, question.ask === 'open' ? [] : memoryIn(result))
  } catch (error) {
    port.postMessage({ id, error: failureOf(error) })
  }
})

async function answer(question: Question): Promise<Result> {
  if (question.ask === 'open') {
    opening = open(question)
    return openedOf(await opening)
  }
  const classifier = await opening
  if (!classifier) throw new Error('the worker has no classifier')
  if (question.ask === 'forward') return classifier.forward(question.pixels, question.keep)
  if (question.ask === 'predict') return classifier.predict(question.pixels, question.top)
  const { picture } = question
  try {
    if (question.ask === 'read') return await classifier.read(picture)
    const { top, keep } = question
    return await classifier.classify(picture, top, keep ? { keep } : {})
  } finally {
    if ('close' in picture) picture.close()
  }
}

function open({ source, options, addresses }: Question & { ask: 'open' }): Promise<WebClassifier> {
  useAddresses(addresses)
  return loadWebClassifier(source, { ...options, onProgress: (progress) => port.postMessage({ progress }) })
}

function openedOf(classifier: WebClassifier): Opened {
  const { model, plan, keepRatios, warnings, backend, file, preprocess } = classifier
  const memory = [1, 2, 2 ** 20].map((pictures) => classifier.memory(pictures)) as [number, number, number]
  return { model, plan, keepRatios, warnings, backend, file, preprocess, memory }
}
