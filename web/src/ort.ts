/**
 * Stands for onnxruntime-web: its small build for WebAssembly, and the large one for WebGPU once somebody asks for that.
 */

import { env, Tensor } from 'onnxruntime-common'
import gpuModule from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url'
import gpuBinary from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url'
import cpuModule from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url'
import cpuBinary from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'

export { env, Tensor }

const absolute = (path: string): string => new URL(path, import.meta.url).href

/** Sessions of either build: each keeps its own memory, and both read the one `env`. */
export const InferenceSession = {
  async create(model: Uint8Array, options: { readonly executionProviders?: readonly unknown[] }) {
    if (options.executionProviders?.includes('webgpu')) {
      const ort = await import('onnxruntime-web/webgpu')
      ort.env.wasm.wasmPaths = { mjs: absolute(gpuModule), wasm: absolute(gpuBinary) }
      return ort.InferenceSession.create(model, options as object)
    }
    const ort = await import('onnxruntime-web/wasm')
    ort.env.wasm.wasmPaths = { mjs: absolute(cpuModule), wasm: absolute(cpuBinary) }
    return ort.InferenceSession.create(model, options as object)
  },
}
