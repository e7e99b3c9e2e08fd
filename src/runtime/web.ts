/** Sessions over onnxruntime-web: WASM, or WebGPU where the browser has it. */

import type { Graph } from '../graph/graph.js'
import { type Classifier, type ClassifierOptions, type Model, openClassifier } from './classifier.js'
import { type OrtPackage, openGraph, openSession, type Session, type SessionOptions } from './session.js'

/** Loaded at the first session, so that importing the package costs nothing. */
async function loadOrt({ threads }: SessionOptions): Promise<OrtPackage> {
  const ort = await import('onnxruntime-web')
  if (threads !== undefined) ort.env.wasm.numThreads = threads // read when the first session opens
  return ort as unknown as OrtPackage
}

/**
 * Opens a graph, or an ONNX file's bytes, as a session. `cpu` means WASM here.
 *
 * The first session of a page decides on the threads; a page that is not cross-origin isolated has one.
 */
export async function createSession(model: Graph | Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const ort = await loadOrt(options)
  const provider = options.device === 'webgpu' ? 'webgpu' : 'wasm'
  const withProviders = { ...options, executionProviders: [provider] }
  return model instanceof Uint8Array
    ? openSession(ort, { bytes: model }, withProviders)
    : openGraph(ort, model, withProviders)
}

/**
 * Opens a model as a classifier on onnxruntime-web.
 *
 * @throws InputError on keep ratios out of range
 */
export const openWebClassifier = (model: Model, options: ClassifierOptions = {}): Promise<Classifier> =>
  openClassifier(model, options, createSession)
