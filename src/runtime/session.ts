/** The surface of a running graph: the same over onnxruntime-node and onnxruntime-web. */

import type { InferenceSession, Tensor as OrtTensor, TensorConstructor } from 'onnxruntime-common'
import { breakOff } from '../ending.js'
import type { Graph, TensorData } from '../graph/graph.js'
import { encodeOnnx } from '../graph/onnx.js'

export type Device = 'cpu' | 'webgpu' | 'cuda'

export interface SessionOptions {
  readonly device?: Device
  /** Threads inside an operator; default: the physical cores; in a browser half of the cores, four at most. */
  readonly threads?: number
  /**
   * Sessions of one thread each, side by side in worker threads, for large batches on a CPU in Node; default 1, the
   * session alone. `threads` is then per lane, 1 by default.
   */
  readonly lanes?: number
  /** Use ONNX Runtime's own operators; default true. */
  readonly contrib?: boolean
  /**
   * Leave ONNX Runtime's defaults: a second block of memory for the shapes that came first, and threads that wait for
   * work in a loop for 45 ms after every run. Both cost, and bring no speed. For comparisons; default false.
   */
  readonly untuned?: boolean
  /** Let the runtime rewrite the graph; default true. A graph that was lowered for it opens sooner without. */
  readonly rewrite?: boolean
  /**
   * The session answers once: leave out what pays only over many runs, that is rewriting the graph and threads that
   * wait for work in a loop, which takes a core from whoever prepares the picture. Default false.
   */
  readonly once?: boolean
  /** Write a profile of every operator to a file with this prefix. */
  readonly profile?: string
}

/** Values that enter or leave a session. */
export interface Values {
  readonly data: TensorData
  readonly shape: readonly number[]
}

/** The memory of values, to be handed over rather than copied. */
export const memoryOf = (values: Readonly<Record<string, Values>>): ArrayBuffer[] => [
  ...new Set(Object.values(values).map(({ data }) => data.buffer as ArrayBuffer)),
]

export interface Session {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Runs that may be under way at once; default 1. */
  readonly lanes?: number
  /**
   * Runs the graph; `wanted` limits the outputs: their names, or arrays of the right size to write them into. Inputs
   * may lie in shared memory (they are copied), arrays to write into may not.
   */
  run(
    feeds: Readonly<Record<string, Values>>,
    wanted?: readonly string[] | Readonly<Record<string, Values>>,
  ): Promise<Record<string, Values>>
  /** Frees the memory. */
  close(): Promise<void>
}

/** Opens a graph as a session: `createSession` of the platform. */
export type OpenSession = (graph: Graph, options: SessionOptions) => Promise<Session>

/** What a platform's ONNX Runtime package exports. */
export interface OrtPackage {
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<InferenceSession> }
  readonly Tensor: TensorConstructor
}

/** How threads wait for work. Keys: onnxruntime_session_options_config_keys.h */
const waiting = (intra_op: Readonly<Record<string, string>>) => ({ extra: { session: { intra_op } } })

/** How long threads look for work before they sleep: longer than one of them works alone between two shared operators. */
const SPIN_MICROSECONDS = 4000

/** Options of a session in the terms of ONNX Runtime. */
export function runtimeOptions(
  options: SessionOptions & { readonly executionProviders?: readonly (string | object)[] },
) {
  const { threads, untuned = false, rewrite = true, once = false, profile, executionProviders = ['cpu'] } = options
  return {
    executionProviders: [...executionProviders],
    enableMemPattern: untuned,
    ...(threads !== undefined && { intraOpNumThreads: threads }),
    ...((once || !rewrite) && { graphOptimizationLevel: 'disabled' }),
    ...(once && waiting({ allow_spinning: '0' })),
    ...(!once && !untuned && waiting({ spin_duration_us: String(SPIN_MICROSECONDS) })),
    ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile }),
    logSeverityLevel: 4, // what goes wrong is thrown; the native log would only repeat it on stderr
  }
}

/** A running model from ONNX bytes. */
export async function openSession(
  ort: OrtPackage,
  model: { readonly bytes: Uint8Array; readonly externalData?: readonly { path: string; data: Uint8Array }[] },
  options: SessionOptions & { readonly executionProviders?: readonly (string | object)[] } = {},
): Promise<Session> {
  const { profile } = options
  const session = await ort.InferenceSession.create(model.bytes, {
    ...runtimeOptions(options),
    ...(model.externalData?.length && { externalData: model.externalData }),
  })
  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    async run(feeds, wanted) {
      breakOff()
      const tensors = allToOrt(ort, unshared(feeds))
      const fetches = isNames(wanted) ? [...wanted] : wanted && allToOrt(ort, wanted)
      const results = fetches ? await session.run(tensors, fetches) : await session.run(tensors)
      return Object.fromEntries(
        Object.entries(results).map(([name, tensor]) => [
          name,
          { data: tensor.data as TensorData, shape: tensor.dims },
        ]),
      )
    },
    async close() {
      if (profile !== undefined) session.endProfiling()
      await session.release()
    },
  }
}

const ortTypes = new Map<unknown, 'float32' | 'float16' | 'int64' | 'int32' | 'int8' | 'uint8'>([
  [Float32Array, 'float32'],
  [Uint16Array, 'float16'],
  [BigInt64Array, 'int64'],
  [Int32Array, 'int32'],
  [Int8Array, 'int8'],
  [Uint8Array, 'uint8'],
])

/** Values in memory of their own: runtimes take none that threads share. */
const unshared = (values: Readonly<Record<string, Values>>): Record<string, Values> =>
  Object.fromEntries(
    Object.entries(values).map(([name, { data, shape }]) => {
      const own = data.buffer instanceof ArrayBuffer // a page may know no SharedArrayBuffer to ask for
      return [name, { data: own ? data : data.slice(), shape }]
    }),
  )

const isNames = (wanted: unknown): wanted is readonly string[] => Array.isArray(wanted)

const allToOrt = (ort: OrtPackage, values: Readonly<Record<string, Values>>): Record<string, OrtTensor> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toOrt(ort, value)]))

function toOrt(ort: OrtPackage, { data, shape }: Values): OrtTensor {
  const type = ortTypes.get(data.constructor)
  if (!type) throw new Error(`no ONNX element type for ${data.constructor.name}`)
  return new ort.Tensor(type as 'float32', data as Float32Array, [...shape])
}

/** A graph ready to run. */
export const openGraph = (
  ort: OrtPackage,
  graph: Graph,
  options: SessionOptions & { readonly executionProviders?: readonly (string | object)[] } = {},
): Promise<Session> =>
  openSession(ort, encodeOnnx(graph, { contrib: options.contrib ?? true, external: true }), options)
