/** The thread behind a lane: one session, one run at a time, answers in the order of the questions. */

import { parentPort, workerData } from 'node:worker_threads'
import type { OnnxModel } from '../graph/onnx.js'
import { nodeRuntime } from './ort.js'
import { memoryOf, openSession, type SessionOptions, type Values } from './session.js'

/** What a lane opens. */
export interface LaneSettings {
  readonly model: OnnxModel
  readonly options: SessionOptions
}

/** A run; the memory of its inputs travels with the message. */
export interface LaneRun {
  readonly feeds: Readonly<Record<string, Values>>
  readonly wanted: readonly string[] | undefined
}

/** Whether the model could be opened, or a run. */
export type LaneQuestion = 'open' | LaneRun

/** Inputs and outputs of the model, or results; or what went wrong. */
export type LaneAnswer =
  | { readonly inputs: readonly string[]; readonly outputs: readonly string[] }
  | { readonly results: Readonly<Record<string, Values>> }
  | { readonly error: string }

const port = parentPort
if (port) {
  const { model, options } = workerData as LaneSettings
  const opening = openSession(nodeRuntime, model, options)
  const answer = (message: LaneAnswer, memory: ArrayBuffer[] = []) => port.postMessage(message, memory)

  opening.catch(() => {}) // told to whoever asks
  port.on('message', async (message: LaneQuestion | 'close') => {
    try {
      const session = await opening
      if (message === 'close') {
        await session.close()
        port.close()
      } else if (message === 'open') {
        answer({ inputs: session.inputs, outputs: session.outputs })
      } else {
        const results = await session.run(message.feeds, message.wanted)
        answer({ results }, memoryOf(results))
      }
    } catch (error) {
      if (message === 'close') port.close()
      else answer({ error: (error as Error).message })
    }
  })
}
