/**
 * The thread that decodes and transforms pictures. It is handed chunks of work with the memory to write to, answers each
 * with that memory, in order, and leaves when told to close.
 */

import { parentPort } from 'node:worker_threads'
import { InputError } from '../errors.js'
import type { Source } from './dataset.js'
import { readSource } from './source.js'
import { applyTransform, type Transform, transformSize } from './transform.js'

/** Pictures to write one after the other into `memory`, which travels with the message. */
export interface Work {
  readonly transform: Transform
  /** Apply EXIF orientation. */
  readonly orient: boolean
  readonly memory: ArrayBuffer // float32 [capacity, 3, S, S]
  readonly pictures: readonly { readonly name: string; readonly source: Source; readonly draw: number }[]
}

/** The answer to a {@link Work}: the readable pictures stand at the front of `memory`, in order. */
export interface Done {
  readonly memory: ArrayBuffer
  /** By picture: why it could not be read, or null. */
  readonly reasons: readonly (string | null)[]
}

const port = parentPort
if (port) {
  const queue: Work[] = []
  let busy = false
  let closed = false

  const carryOut = async ({ transform, orient, memory, pictures }: Work): Promise<Done> => {
    const length = transformSize(transform)
    const reasons: (string | null)[] = []
    let readable = 0
    for (const { name, source, draw } of pictures) {
      // Closing must not wait for the chunk; the main thread no longer reads the answer.
      if (closed) break
      try {
        const image = await readSource(source, name, orient)
        applyTransform(image, transform, draw, new Float32Array(memory, readable * length * 4, length))
        readable++
        reasons.push(null)
      } catch (error) {
        if (!(error instanceof InputError)) throw error
        reasons.push(error.message.startsWith(`${name}: `) ? error.message.slice(name.length + 2) : error.message)
      }
    }
    return { memory, reasons }
  }

  port.on('message', async (message: Work | 'close') => {
    if (message === 'close') {
      closed = true
      if (!busy) port.close()
      return
    }
    queue.push(message)
    if (busy) return
    busy = true
    for (let work = queue.shift(); work && !closed; work = queue.shift()) {
      const done = await carryOut(work)
      port.postMessage(done, [done.memory])
    }
    busy = false
    if (closed) port.close()
  })
}
