/** Sessions over onnxruntime-node. */

import * as ort from 'onnxruntime-node'
import { fail } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { type Classifier, type ClassifierOptions, type Model, openClassifier } from './classifier.js'
import { type OrtPackage, openGraph, openSession, type Session, type SessionOptions } from './session.js'

// What goes wrong is thrown and told by whoever catches it; the native log would only repeat it on stderr.
ort.env.logLevel = 'fatal'

/**
 * Opens a graph, or an ONNX file's bytes, as a session.
 *
 * @throws InputError when the device is not available
 */
export async function createSession(model: Graph | Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const { device = 'cpu' } = options
  const withProviders = { ...options, executionProviders: device === 'cpu' ? ['cpu'] : [device] }
  try {
    return model instanceof Uint8Array
      ? await openSession(ort as unknown as OrtPackage, { bytes: model }, withProviders)
      : await openGraph(ort as unknown as OrtPackage, model, withProviders)
  } catch (error) {
    if (device === 'cpu') throw error
    const [reason] = String((error as Error).message).split('\n')
    return fail(`--device ${device}: no such device can be used here (${reason}); wanted one of cpu, webgpu, cuda`)
  }
}

/**
 * Opens a loaded model as a classifier on onnxruntime-node.
 *
 * @throws InputError on keep ratios out of range, and when the device is not available
 */
export const openNodeClassifier = (model: Model, options: ClassifierOptions = {}): Promise<Classifier> =>
  openClassifier(model, options, createSession)
