/** Sessions over onnxruntime-node. */

import { availableParallelism, freemem } from 'node:os'
import { fail } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { encodeOnnx, type OnnxModel } from '../graph/onnx.js'
import type { Classifier, ClassifierOptions, Model } from './classifier.js'
import { openLanes } from './lanes.js'
import { openAny } from './open.js'
import { nodeRuntime } from './ort.js'
import { openGraph, openSession, type Session, type SessionOptions } from './session.js'

/**
 * Opens a graph, or an ONNX file's bytes, as a session.
 *
 * @throws InputError when the device is not available
 */
export async function createSession(model: Graph | Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const { device = 'cpu', lanes = 1 } = options
  if (lanes > 1 && device === 'cpu') return openLanes(onnxModel(model, options), lanes, options)
  const withProviders = { ...options, executionProviders: device === 'cpu' ? ['cpu'] : [device] }
  try {
    return model instanceof Uint8Array
      ? await openSession(nodeRuntime, { bytes: model }, withProviders)
      : await openGraph(nodeRuntime, model, withProviders)
  } catch (error) {
    if (device === 'cpu') throw error
    const [reason] = String((error as Error).message).split('\n')
    return fail(`--device ${device}: no such device can be used here (${reason}); wanted one of cpu, webgpu, cuda`)
  }
}

/** What lanes can be handed: bytes, and weights beside them. */
const onnxModel = (model: Graph | Uint8Array, { contrib = true }: SessionOptions): OnnxModel =>
  model instanceof Uint8Array ? { bytes: model, externalData: [] } : encodeOnnx(model, { contrib, external: true })

/**
 * Opens a loaded model as a classifier on onnxruntime-node.
 *
 * @throws InputError on keep ratios out of range, and when the device is not available
 */
export const openNodeClassifier = (model: Model, options: ClassifierOptions = {}): Promise<Classifier> =>
  openAny(model, options, createSession)

/** Lanes for the best throughput: one a core on a CPU, as long as their weights fit; none when threads are given. */
export function throughputLanes(model: Model, { device = 'cpu', threads }: SessionOptions): number {
  if (device !== 'cpu' || threads !== undefined) return 1
  const weights = [...model.state.values()].reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0)
  const fitting = Math.floor(freemem() / 2 / (3 * weights)) // read, packed, and slack
  return Math.max(1, Math.min(availableParallelism(), fitting))
}
