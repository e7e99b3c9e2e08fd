/** The thread behind a lane: one session, one run at a time, answers in the order of the questions. */

import { parentPort, workerData } from 'node:worker_threads'
import * as ort from 'onnxruntime-node'
import type { OnnxModel } from '../graph/onnx.js'
import { type OrtPackage, openSession, type SessionOptions, type Values } from './session.js'

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

/** The first answer names inputs and outputs, the others hold results; or what went wrong. */
export type LaneAnswer =
  | { readonly inputs: readonly string[]; readonly outputs: readonly string[] }
  | { readonly results: Readonly<Record<string, Values>> }
  | { readonly error: string }

/** The memory of values, to be handed over rather than copied. */
export const memoryOf = (values: Readonly<Record<string, Values>>): ArrayBuffer[] => [
  ...new Set(Object.values(values).map(({ data }) => data.buffer as ArrayBuffer)),
]

const port = parentPort
if (port) {
  const { model, options } = workerData as LaneSettings
  ort.env.logLevel = 'fatal'
  const opening = openSession(ort as unknown as OrtPackage, model, options)
  const answer = (message: LaneAnswer, memory: ArrayBuffer[] = []) => port.postMessage(message, memory)
  const failed = (error: unknown) => answer({ error: (error as Error).message })

  opening.then(({ inputs, outputs }) => answer({ inputs, outputs }), failed)
  port.on('message', async (message: LaneRun | 'close') => {
    try {
      const session = await opening
      if (message === 'close') {
        await session.close()
        port.close()
        return
      }
      const results = await session.run(message.feeds, message.wanted)
      answer({ results }, memoryOf(results))
    } catch (error) {
      if (message === 'close') port.close()
      else failed(error)
    }
  })
}
