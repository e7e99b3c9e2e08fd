/** The thread behind a training lane: a student on one thread of the processor. */
import { parentPort, workerData } from 'node:worker_threads'
import type { SessionOptions } from '../runtime/session.js'
import { openStudent, type StudentBatch, type StudentResult, type StudentSettings } from './student.js'

/** What a lane opens. */
export interface StudentLaneSettings extends StudentSettings {
  readonly options: SessionOptions
}

/** A batch and the weights of the moment; their memory comes back with the gradients in it. */
export interface StudentLaneRun {
  readonly batch: StudentBatch
  readonly weights: Float32Array<ArrayBuffer>
}

/** Whether the student could be opened, or a batch. */
export type StudentLaneQuestion = 'open' | StudentLaneRun

export type StudentLaneAnswer =
  | { readonly opened: true }
  | { readonly result: StudentResult }
  | { readonly error: string }

const port = parentPort
if (port) {
  const { options, ...settings } = workerData as StudentLaneSettings
  const { values } = settings.parameters
  const opening = openStudent(settings, options)
  opening.catch(() => {}) // told to whoever asks
  const answer = (message: StudentLaneAnswer, memory: ArrayBuffer[] = []) => port.postMessage(message, memory)
  port.on('message', async (message: StudentLaneQuestion | 'close') => {
    try {
      const student = await opening
      if (message === 'close') {
        await student.close()
        port.close()
      } else if (message === 'open') {
        answer({ opened: true })
      } else {
        const { batch, weights } = message
        values.set(weights)
        const { gradients, ...found } = await student.run(batch)
        weights.set(gradients)
        answer({ result: { ...found, gradients: weights } }, [weights.buffer])
      }
    } catch (error) {
      if (message === 'close') port.close()
      else answer({ error: (error as Error).message })
    }
  })
}
