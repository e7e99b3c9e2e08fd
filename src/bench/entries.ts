/** The models of a benchmark: the plain one, ours under every plan and precision, and somebody else's. */

import { availableParallelism } from 'node:os'
import { fail } from '../errors.js'
import { readWholeFile } from '../files.js'
import type { Graph } from '../graph/graph.js'
import { encodeOnnx } from '../graph/onnx.js'
import type { Precision } from '../graph/passes/precision.js'
import { shapeOf } from '../models/backbone.js'
import { buildGraph } from '../models/build.js'
import { modelCost } from '../models/cost.js'
import { prepare, type Weighted } from '../models/prepare.js'
import type { StepRequest } from '../models/steps.js'
import {
  type MethodChoice,
  type MethodName,
  methodOf,
  planReduction,
  type ReductionRequest,
  schedulingSetting,
  settingsOf,
} from '../reduction/registry.js'
import { KEEP_INPUT } from '../reduction/schedule.js'
import { defaultMicroBatch, type Model, needsRewriting } from '../runtime/classifier.js'
import { createSession } from '../runtime/node.js'
import type { Device, Session, SessionOptions, Values } from '../runtime/session.js'
import { withMissing } from '../weights/init.js'
import type { StateDict } from '../weights/state.js'

/** A method with its options (default `idle`), or several, and what they are timed at. */
export interface BenchmarkRequest extends MethodChoice {
  /** Several methods in one run; each takes those of the options that it has. */
  readonly methods?: readonly MethodName[]
  /** Draw weights that a method reads and the model lacks, from this seed: for models whose own are drawn, too. */
  readonly missing?: number
  readonly keepRatios: readonly number[]
  /** The plan that is timed, beside the dense model, instead of methods and keep ratios; in steps each of them. */
  readonly plan?: StepRequest
  readonly batches: readonly number[]
  readonly precisions: readonly Precision[]
  readonly device?: Device
  readonly threads?: number
  /** Time the elastic graph, too: one for all keep ratios. */
  readonly elastic?: boolean
  /** Pictures per run of our sessions; default as in classifiers. */
  readonly microBatch?: number
  /** Sessions side by side, one thread each, for batches of more than one picture; default: one a processor. */
  readonly lanes?: number
  /** Somebody else's ONNX files with the same input. */
  readonly against?: readonly string[]
  /** Rounds that count; default 10. */
  readonly rounds?: number
  /** Length of a block of consecutive runs in milliseconds; default 300. */
  readonly blockMilliseconds?: number
  /** Rows and columns of the matrices whose product is the yardstick. */
  readonly matrixSide?: number
  readonly profile?: boolean
  /** Measure peak memory, each model in a process of its own. */
  readonly memory?: boolean
  readonly onProgress?: (done: number, total: number, what: string) => void
}

/** What a row of the table says of the model that it is of. */
export interface EntryRow {
  /** `plain`, `idlevit`, `elastic`, or the path of the other model. */
  readonly model: string
  readonly method?: MethodName
  readonly keepRatio?: number
  /** Which step of the plan, from 1. */
  readonly step?: number
  readonly precision?: Precision
  /** Absent where pictures decide how many tokens are computed. */
  readonly gmacs?: number
}

/** A model that takes part. */
export interface Entry {
  readonly row: EntryRow
  readonly microBatch: number
  /** Sessions side by side for batches of more than one picture. */
  readonly lanes: number
  /** Inputs beside the pictures. */
  readonly feeds?: Readonly<Record<string, Values>>
  /** How its sessions are opened. */
  readonly settings: SessionOptions
  open(options?: SessionOptions): Promise<Session>
  bytes(): Promise<Uint8Array>
}

/** The plain model: the one that all are held against. */
export function plainEntry(model: Model, request: BenchmarkRequest): Entry {
  const graph = () => {
    const dense = buildGraph(model.config, model.state, { method: 'none', features: true })
    dense.outputs.delete('features') // computed, as far as the head's input goes, and not read out
    return dense
  }
  const gmacs = modelCost(model.config, { method: 'none' }).denseMacs / 1e9
  const row = { model: 'plain', method: 'none', keepRatio: 1, precision: 'fp32', gmacs } as const
  return { row, microBatch: Infinity, lanes: 1, ...fromGraph(graph, request, { contrib: false, untuned: true }) }
}

/** Which input the pictures are. */
export const pictureInput = ({ inputs }: Session): string => inputs.find((name) => name !== KEEP_INPUT) as string

/** Ours: every method, keep ratio and precision. */
export function ownEntries(model: Model, request: BenchmarkRequest): Entry[] {
  const { config } = model
  const { elastic = false, precisions, device = 'cpu', missing } = request
  const microBatch = request.microBatch ?? defaultMicroBatch(config, { device })
  const lanes = request.lanes ?? (device === 'cpu' ? availableParallelism() : 1)
  const reductions = reductionsOf(request)
  return precisions.flatMap((precision) =>
    reductions.flatMap(({ keepRatio, step, ...choice }): Entry[] => {
      const asked = { ...choice, ...(keepRatio !== 1 && { keepRatio }) }
      const weighted = missing === undefined ? model : withOwn(model, asked, missing)
      const prepared = prepare(weighted, asked)
      const { method, keep } = prepared.plan
      const target = { precision, computesHalf: device !== 'cpu' }
      const { macs, varies } = prepared.cost()
      const row = {
        model: 'idlevit',
        method,
        ...(keepRatio !== undefined && { keepRatio }),
        ...(step !== undefined && { step }),
        precision,
        ...(!varies && { gmacs: macs / 1e9 }), // noise is no picture: what it decides says nothing
      }
      const how = { contrib: true, rewrite: needsRewriting({ device, precision }) }
      const perRun = methodOf(method).onePicture?.(prepared.plan) ? 1 : microBatch
      const fixed = { row, microBatch: perRun, lanes, ...fromGraph(() => prepared.graph(target), request, how) }
      if (!elastic) return [fixed]
      const feeds = { [KEEP_INPUT]: { data: BigInt64Array.from(keep, BigInt), shape: [config.depth] } }
      const told = { ...asked, method: method === 'none' ? (request.method ?? 'idle') : method }
      const free = fromGraph(() => prepare(weighted, told, { elastic }).graph(target), request, how)
      return [fixed, { row: { ...row, model: 'elastic' }, microBatch, lanes, feeds, ...free }]
    }),
  )
}

type Timed = Omit<ReductionRequest, 'keepRatio'> & { readonly keepRatio?: number; readonly step?: number }

/** A model with random weights where it lacks those of the method. */
function withOwn({ config, state }: Model, request: ReductionRequest, seed: number): Weighted {
  const shape = shapeOf(config)
  const { method, keep, ...settings } = planReduction(request, shape)
  const { parameters, initial } = methodOf(method)
  return { config, state: withMissing(state as StateDict, parameters?.(shape, keep, settings), seed, initial) }
}

/** What is timed: every method at every keep ratio; at 1 all are the dense model, which is timed once. */
function reductionsOf(request: BenchmarkRequest): Timed[] {
  const { method = 'idle', methods = [method], keepRatios, plan } = request
  const dense = { method: 'none', keepRatio: 1 } as const
  if (plan) {
    const { keepRatio: _, steps, ...own } = plan
    return [dense, ...(steps?.map(({ keepTokens }, i) => ({ ...own, keepTokens, step: i + 1 })) ?? [own])]
  }
  const choices = methods
    .filter((name) => name !== 'none')
    .map((name): MethodChoice => {
      const own = Object.entries(request).filter(([option]) => Object.hasOwn(settingsOf(name), option))
      return { ...Object.fromEntries(own), method: name }
    })
  const reduced = choices.flatMap((choice) =>
    schedulingSetting(choice) === undefined
      ? keepRatios.filter((keepRatio) => keepRatio !== 1).map((keepRatio) => ({ ...choice, keepRatio }))
      : [choice],
  )
  const asksForDense =
    keepRatios.includes(1) ||
    methods.includes('none') ||
    choices.some((choice) => schedulingSetting(choice) !== undefined)
  return [...(asksForDense ? [dense] : []), ...reduced]
}

/** Somebody else's files. */
export function otherEntries({ against = [], ...request }: BenchmarkRequest): Entry[] {
  const settings = { ...sessionOptions(request), untuned: true }
  return against.map((path) => {
    const bytes = () => readWholeFile(path)
    const open = async (options?: SessionOptions) => {
      try {
        return await createSession(await bytes(), { ...settings, ...options })
      } catch (error) {
        const [reason] = String((error as Error).message).split('\n')
        return fail(`--against ${path}: no model that ONNX Runtime can open (${reason})`)
      }
    }
    return { row: { model: path }, microBatch: Infinity, lanes: 1, settings, open, bytes }
  })
}

const fromGraph = (
  graph: () => Graph,
  request: BenchmarkRequest,
  how: Pick<SessionOptions, 'contrib' | 'rewrite' | 'untuned'>,
): Pick<Entry, 'settings' | 'open' | 'bytes'> => {
  const settings = { ...sessionOptions(request), ...how }
  return {
    settings,
    open: (options) => createSession(graph(), { ...settings, ...options }),
    bytes: async () => encodeOnnx(graph(), how).bytes,
  }
}

/** What a request says of sessions. */
export const sessionOptions = ({ device, threads }: Pick<BenchmarkRequest, 'device' | 'threads'>): SessionOptions => ({
  ...(device && { device }),
  ...(threads !== undefined && { threads }),
})
