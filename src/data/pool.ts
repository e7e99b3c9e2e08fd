/** A worker thread as seen from the main thread: work goes in, answers come back in order. */

import { startThread } from '../threads.js'
import type { Done, Work, WorkerSettings } from './worker.js'

/** A running worker. It keeps the process alive only while it has work to do. */
export interface PictureWorker {
  /** Pieces of work handed out and not answered. */
  waiting(): number
  /** Hands out work; its memory is out of reach until the answer brings it back. */
  send(work: Work): Promise<Done>
  /** Stops after the picture in hand; work not answered is dropped. */
  close(): Promise<void>
}

/** Starts a thread. That it cannot start is told by the first `send`. */
export function startWorker(settings: WorkerSettings): PictureWorker {
  const worker = startThread(new URL('./worker.js', import.meta.url), import.meta.url, settings)
  const waiting: { resolve: (done: Done) => void; reject: (error: unknown) => void }[] = []
  let broken: unknown
  let closing = false
  const gone = new Promise<void>((resolve) => {
    worker.on('exit', (code) => {
      broken ??= new Error(`a picture worker ended with code ${code}`)
      for (const { reject } of waiting.splice(0)) reject(broken)
      resolve()
    })
  })
  worker.on('error', (error) => {
    broken = error
  })
  worker.on('message', (done: Done) => {
    waiting.shift()?.resolve(done)
    if (waiting.length === 0 && !closing) worker.unref()
  })
  worker.unref()

  return {
    waiting: () => waiting.length,
    send: (work) =>
      new Promise((resolve, reject) => {
        if (broken) return reject(broken)
        waiting.push({ resolve, reject })
        worker.ref()
        worker.postMessage(work, [work.memory])
      }),
    close: () => {
      closing = true
      worker.ref()
      worker.postMessage('close')
      return gone
    },
  }
}
