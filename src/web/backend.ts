/** What a model runs on in this browser, and why. */

import { fail, InputError } from '../errors.js'
import type { SessionOptions } from '../runtime/session.js'
import { loadRuntime, mayShareMemory, type WebRuntime, type WebRuntimeOptions } from '../runtime/web.js'

/** `auto`: WebGPU where there is a GPU, else WASM. */
export type WebDevice = 'auto' | 'webgpu' | 'wasm'

/** What a classifier runs on. */
export interface Backend {
  readonly device: 'webgpu' | 'wasm'
  /** Threads that compute on the CPU. */
  readonly threads: number
  /** Why this device, and why so many threads, in words. */
  readonly reason: string
}

interface GpuAdapter {
  readonly isFallbackAdapter?: boolean
  readonly info?: { readonly isFallbackAdapter?: boolean }
}

/**
 * Chooses the device.
 *
 * A software adapter is slower than WASM: it is taken only when WebGPU is asked for.
 *
 * @throws InputError when WebGPU is asked for and there is none, or `device` is no device
 */
export async function chooseDevice(device: WebDevice): Promise<Pick<Backend, 'device' | 'reason'>> {
  if (!['auto', 'webgpu', 'wasm'].includes(device)) fail(`device: wanted auto, webgpu or wasm, found ${device}`)
  if (device === 'wasm') return { device, reason: 'WASM, as asked for' }
  const objection = await gpuObjection(device === 'webgpu')
  if (objection === undefined)
    return { device: 'webgpu', reason: device === 'webgpu' ? 'WebGPU, as asked for' : 'WebGPU: there is a GPU' }
  if (device === 'webgpu') fail(`device webgpu: ${objection}; wanted auto or wasm here`)
  return { device: 'wasm', reason: `WASM: ${objection}` }
}

/** Why there is no WebGPU; undefined when there is. */
async function gpuObjection(softwareToo: boolean): Promise<string | undefined> {
  const { gpu } = (globalThis.navigator ?? {}) as {
    gpu?: { requestAdapter(options?: object): Promise<GpuAdapter | null> }
  }
  if (!gpu) {
    const secure = (globalThis as { isSecureContext?: boolean }).isSecureContext ?? true
    return secure ? 'there is no WebGPU here' : 'WebGPU wants https or localhost'
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null)
  if (!adapter) return 'WebGPU finds no GPU'
  const software = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false
  return software && !softwareToo ? 'the only GPU is a software one, which is slower' : undefined
}

/** Why there are so many threads. */
export function threadsReason(threads: number, asked: number | undefined): string {
  if (!mayShareMemory()) return '1 thread: the page is not cross-origin isolated (headers COOP and COEP)'
  const count = threads === 1 ? '1 thread' : `${threads} threads`
  if (asked !== undefined && asked !== threads)
    return `${count}: ONNX Runtime's first model here decided, though ${asked} were asked for`
  return asked === undefined
    ? `${count} of ${globalThis.navigator?.hardwareConcurrency ?? 1} cores`
    : `${count}, as asked for`
}

/**
 * Loads ONNX Runtime.
 *
 * @throws InputError that says how to tell where its files are
 */
export async function startRuntime(options: SessionOptions & WebRuntimeOptions): Promise<WebRuntime> {
  try {
    return await loadRuntime(options)
  } catch (error) {
    const where = options.runtime === undefined ? 'onnxruntime-web' : String(options.runtime)
    return fail(
      `ONNX Runtime (${where}) cannot be loaded: ${firstLine(error)}; the option runtime says where its module is`,
    )
  }
}

/** What a session says when it cannot start, as one line. */
export async function started<T>(opening: Promise<T>): Promise<T> {
  try {
    return await opening
  } catch (error) {
    if (error instanceof InputError) throw error
    const lost = /no available backend|initWasm/.test(String(error)) // its .wasm file is not where it looks
    const hint = lost ? '; the option wasmPaths says where its .wasm file is' : ''
    throw new InputError(`ONNX Runtime cannot run this model: ${firstLine(error)}${hint}`)
  }
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
