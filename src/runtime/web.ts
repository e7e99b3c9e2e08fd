/** Sessions over onnxruntime-web: WASM, or WebGPU where the browser has it. */

import { createGraph, type Graph, input, output } from '../graph/graph.js'
import { add } from '../graph/ops/elementwise.js'
import { type Classifier, type ClassifierOptions, type Model, openClassifier } from './classifier.js'
import { type OrtPackage, openGraph, openSession, type Session, type SessionOptions } from './session.js'
import { openSteps } from './steps.js'

/** Where ONNX Runtime's files are, when they are not where the bundler or the import map puts them. */
export interface WebRuntimeOptions {
  /** Address of the module of onnxruntime-web to import, such as `/ort/ort.wasm.bundle.min.mjs`. */
  readonly runtime?: string | URL
  /** Address of its `.wasm` file, or of the folder with its `.wasm` and `.mjs` files (ending in `/`). */
  readonly wasmPaths?: string | URL
}

/** What of onnxruntime-web is used here beside sessions. */
interface WebOrt extends OrtPackage {
  readonly env: { readonly wasm: { numThreads?: number; wasmPaths?: string | { wasm: string } } }
}

/** ONNX Runtime, and the threads that its first session decided on. */
export interface WebRuntime {
  readonly ort: OrtPackage
  readonly threads: number
}

/** Outside of browsers: there onnxruntime-web has one build, which finds its own files. */
const onServer = typeof process !== 'undefined' && process.versions?.node !== undefined && !('document' in globalThis)

const importAt = (address: string): Promise<WebOrt> => import(/* @vite-ignore */ /* webpackIgnore: true */ address)

const builds = ['onnxruntime-web', 'onnxruntime-web/wasm'] as const

/** Addresses of ONNX Runtime's builds by their names. */
export type RuntimeAddresses = { readonly [name in (typeof builds)[number]]?: string }

let addresses: RuntimeAddresses = {}

/** Where the page's import map puts ONNX Runtime. */
export function mappedAddresses(): RuntimeAddresses {
  const resolved = builds.map((name) => {
    try {
      return [name, import.meta.resolve?.(name)]
    } catch {
      return [name, undefined] // there is no map, or it has no such name
    }
  })
  return Object.fromEntries(resolved.filter(([, address]) => address !== undefined))
}

/** Takes ONNX Runtime from there when its names mean nothing: import maps do not reach into workers. */
export function useAddresses(found: RuntimeAddresses): void {
  addresses = found
}

/** Loaded at the first session, so that importing the package costs nothing. WASM alone is half the size. */
async function importRuntime({ runtime, device }: SessionOptions & WebRuntimeOptions): Promise<WebOrt> {
  if (runtime !== undefined) return importAt(String(runtime))
  const whole = device === 'webgpu' || onServer
  try {
    return (await (whole ? import('onnxruntime-web') : import('onnxruntime-web/wasm'))) as unknown as WebOrt
  } catch (error) {
    const address = addresses[whole ? 'onnxruntime-web' : 'onnxruntime-web/wasm']
    if (address === undefined) throw error
    return importAt(address)
  }
}

const decided = new WeakMap<object, number>()

/** Threads may be started where memory may be shared: on pages that are cross-origin isolated. */
export const mayShareMemory = (): boolean =>
  (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated ?? typeof SharedArrayBuffer !== 'undefined'

/** ONNX Runtime's own default: half of the cores, four at most. */
const defaultThreads = (): number => Math.min(4, Math.ceil((globalThis.navigator?.hardwareConcurrency ?? 1) / 2))

/** Loads ONNX Runtime, once; the first call decides on the threads and on where its files are. */
export async function loadRuntime(options: SessionOptions & WebRuntimeOptions = {}): Promise<WebRuntime> {
  const ort = await importRuntime(options)
  const known = decided.get(ort.env)
  if (known !== undefined) return { ort, threads: known }
  const threads = mayShareMemory() ? (options.threads ?? defaultThreads()) : 1
  decided.set(ort.env, threads)
  ort.env.wasm.numThreads = threads
  const paths = options.wasmPaths === undefined ? undefined : String(options.wasmPaths)
  if (paths !== undefined) ort.env.wasm.wasmPaths = paths.endsWith('/') ? paths : { wasm: paths }
  return { ort, threads }
}

/** What was started or is starting, by module and device. */
const warmed = new Map<string, Promise<void>>()

/**
 * Gets ONNX Runtime ready ahead of the first model: its binary is fetched and compiled while a page does something else,
 * such as fetching that model. `loadWebClassifier` does so by itself.
 *
 * @example
 * warmRuntime().catch(() => {}) // the page starts; the user chooses a picture
 */
export function warmRuntime(options: SessionOptions & WebRuntimeOptions = {}): Promise<void> {
  const which = `${options.runtime ?? ''} ${options.device ?? 'cpu'}`
  const known = warmed.get(which)
  if (known) return known
  const starting = startRuntime(options)
  warmed.set(which, starting)
  starting.catch(() => warmed.delete(which)) // the next call tries again
  return starting
}

/** Only a session starts the binary. */
async function startRuntime(options: SessionOptions & WebRuntimeOptions): Promise<void> {
  const graph = createGraph()
  const x = input(graph, 'x', [1])
  output('y', add(x, x))
  const session = await createSession(graph, { ...options, once: true })
  await session.close()
}

/**
 * Opens a graph, or an ONNX file's bytes, as a session. `cpu` means WASM here.
 *
 * The first session of a page decides on the threads; a page that is not cross-origin isolated has one.
 */
export async function createSession(
  model: Graph | Uint8Array,
  options: SessionOptions & WebRuntimeOptions = {},
): Promise<Session> {
  const { ort } = await loadRuntime(options)
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
export const openWebClassifier = (
  model: Model,
  options: ClassifierOptions & WebRuntimeOptions = {},
): Promise<Classifier> => (options.steps ? openSteps : openClassifier)(model, options, createSession)
