/** Worker threads that answer questions in order; they run from dist as they are, and from the sources through tsx. */

import { Worker } from 'node:worker_threads'
import { beforeEnd, breakOff } from './ending.js'

/** A running thread. It keeps the process alive only while it has questions to answer. */
export interface Thread<Question, Answer> {
  /** Questions not answered yet. */
  waiting(): number
  /** The thread's answer. `memory` travels with the question and is out of reach here from then on. */
  ask(question: Question, memory?: readonly ArrayBuffer[]): Promise<Answer>
  /** Sends `'close'`, on which the thread must leave; resolves when it is gone. */
  close(): Promise<void>
}

/**
 * Starts a thread that answers every message with one message, in order. That it cannot start, or has ended, is told by
 * whatever is asked of it.
 *
 * @param module - its compiled module, `new URL('./worker.js', import.meta.url)`
 * @param caller - the caller's `import.meta.url`, which tells sources from dist
 */
export function startThread<Question, Answer>(
  module: URL,
  caller: string,
  workerData: unknown,
): Thread<Question, Answer> {
  breakOff()
  const worker = startWorker(module, caller, workerData)
  const waiting: { resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = []
  let broken: unknown
  let closing = false
  const gone = new Promise<void>((resolve) => {
    worker.on('exit', (code) => {
      broken ??= new Error(`a worker thread ended with code ${code}`)
      for (const { reject } of waiting.splice(0)) reject(broken)
      release()
      resolve()
    })
  })
  worker.on('error', (error) => {
    broken = error
  })
  worker.on('message', (answer: Answer) => {
    waiting.shift()?.resolve(answer)
    if (waiting.length === 0 && !closing) worker.unref()
  })
  worker.unref()
  const close = () => {
    closing = true
    worker.ref()
    worker.postMessage('close')
    return gone
  }
  const release = beforeEnd(close)
  return {
    waiting: () => waiting.length,
    ask: (question, memory = []) =>
      new Promise((resolve, reject) => {
        breakOff()
        if (broken) return reject(broken)
        waiting.push({ resolve, reject })
        worker.ref()
        worker.postMessage(question, memory)
      }),
    close,
  }
}

function startWorker(module: URL, caller: string, workerData: unknown): Worker {
  if (!caller.endsWith('.ts')) return new Worker(module, { workerData })
  // tsx does not reach into workers by itself.
  const tsx = import.meta.resolve('tsx/esm/api')
  const script = `import('${tsx}').then((tsx) => { tsx.register(); return import('${module.href}') })`
  return new Worker(script, { eval: true, workerData })
}
