/**
 * Models side by side: every plan, precision and batch size against the plain dense model, in one run.
 *
 * Plain is what a user of an exported model runs today: every row of every block, standard operators, ONNX Runtime's
 * default optimisations, the whole batch at once.
 */

import { availableParallelism } from 'node:os'
import { fail } from '../errors.js'
import { readWholeFile } from '../files.js'
import type { Graph } from '../graph/graph.js'
import { encodeOnnx } from '../graph/onnx.js'
import { lower, type Precision } from '../graph/passes/precision.js'
import { shapeOf } from '../models/backbone.js'
import { type BuildOptions, buildGraph } from '../models/build.js'
import { pictureSize } from '../models/config.js'
import { modelCost } from '../models/cost.js'
import { createRandom } from '../random.js'
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
import { inMicroBatches } from '../runtime/microbatch.js'
import { createSession } from '../runtime/node.js'
import type { Device, Session, SessionOptions, Values } from '../runtime/session.js'
import { withMissing } from '../weights/init.js'
import type { StateDict } from '../weights/state.js'
import { type Contender, interleave, speedup, type Timing } from './interleave.js'
import { describeMachine, type Machine, matrixSide, openMatrixProduct } from './machine.js'
import { peakBytes } from './memory.js'
import { type OperatorTime, profileOperators } from './profile.js'

/** A method with its options (default `idle`), or several, and what they are timed at. */
export interface BenchmarkRequest extends MethodChoice {
  /** Several methods in one run; each takes those of the options that it has. */
  readonly methods?: readonly MethodName[]
  /** Draw weights that a method reads and the model lacks, from this seed: for models whose own are drawn, too. */
  readonly missing?: number
  readonly keepRatios: readonly number[]
  /** The one plan that is timed, beside the dense model, instead of methods and keep ratios. */
  readonly plan?: ReductionRequest
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

export interface BenchmarkRow {
  /** `plain`, `idlevit`, `elastic`, or the path of the other model. */
  readonly model: string
  readonly method?: MethodName
  readonly keepRatio?: number
  readonly batch: number
  readonly precision?: Precision
  /** Pictures per run of the session. */
  readonly microBatch: number
  /** Sessions side by side. */
  readonly lanes: number
  readonly msPerBatch: { readonly min: number; readonly median: number; readonly max: number }
  readonly imagesPerSecond: number
  /** Against the plain model: the median over rounds of the ratio in each. */
  readonly speedup: number
  /** Absent where pictures decide how many tokens are computed. */
  readonly gmacs?: number
  /** Multiply-adds of the plain model by those of this one. */
  readonly macRatio?: number
  /** Arithmetic per second by that of a large matrix product in the same precision. */
  readonly rateShare?: number
  readonly peakMemoryBytes?: number
  /** Of one run of the session, `microBatch` pictures. */
  readonly profile?: readonly OperatorTime[]
}

export interface BenchmarkReport {
  readonly model: string
  readonly machine: Machine & {
    readonly threads: number | 'default'
    /** 10⁹ multiply-adds per second of a large ONNX Runtime matrix product, measured in the same run. */
    readonly matrixGmacsPerSecond: Partial<Record<'fp32' | 'int8', number>>
  }
  readonly rows: readonly BenchmarkRow[]
}

/** A model that takes part. */
interface Entry {
  readonly row: Pick<BenchmarkRow, 'model' | 'method' | 'keepRatio' | 'precision' | 'gmacs'>
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

/**
 * Times a model under every combination of the request.
 *
 * @throws InputError when a file cannot be read or its input does not fit
 */
export async function benchmark(model: Model, request: BenchmarkRequest): Promise<BenchmarkReport> {
  const { batches, rounds = 10, blockMilliseconds = 300, onProgress } = request
  const entries = [plainEntry(model, request), ...ownEntries(model, request), ...otherEntries(request)]
  const sessions = new Map<string, Session>()
  /** The session of an entry for a batch: small batches and large ones run differently. */
  async function sessionFor(i: number, batch: number): Promise<Session> {
    const entry = entries[i] as Entry
    const lanes = lanesFor(entry, batch)
    const known = sessions.get(`${i}/${lanes}`)
    if (known) return known
    onProgress?.(i, entries.length, 'loading')
    const session = await entry.open({ lanes })
    sessions.set(`${i}/${lanes}`, session)
    return session
  }
  const rates = request.precisions.includes('int8') ? (['fp32', 'int8'] as const) : (['fp32'] as const)
  const products = await Promise.all(
    rates.map((precision) => openMatrixProduct(precision, request.matrixSide ?? matrixSide, sessionOptions(request))),
  )
  const best: Partial<Record<'fp32' | 'int8', number>> = {}
  const rows: BenchmarkRow[] = []
  for (const [b, batch] of batches.entries()) {
    const feeds = randomPixels(model, batch)
    const contenders: Contender[] = []
    for (const i of entries.keys()) {
      const session = await sessionFor(i, batch)
      const pieces = inMicroBatches(session, entries[i]?.microBatch ?? batch, [KEEP_INPUT])
      const all = { ...entries[i]?.feeds, [pictureInput(session)]: feeds }
      contenders.push({ run: () => pieces.run(all, session.outputs.slice(0, 1)) })
    }
    for (const [i, contender] of contenders.entries()) await tryRun(contender, entries[i] as Entry, batch)
    const timings = await interleave([...contenders, ...products], {
      rounds,
      warmup: 1,
      blockMilliseconds,
      onRound: (done, total) => onProgress?.(b * total + done, batches.length * total, 'timing'),
    })
    const timing = (i: number) => timings[i] as Timing
    const rate = Object.fromEntries(
      rates.map((precision, i) => [precision, perSecond(products[i]?.macs ?? 0, timing(entries.length + i).median)]),
    )
    for (const [precision, value] of Object.entries(rate))
      best[precision as 'fp32'] = Math.max(value, best[precision as 'fp32'] ?? 0)
    for (const [i, entry] of entries.entries())
      rows.push({
        ...timedRow(entry, batch, timing(0), timing(i), entries[0]?.row.gmacs ?? 0, rate),
        ...(await inspect(entry, feeds, request)),
      })
  }
  for (const each of [...sessions.values(), ...products]) await each.close()
  const threads = request.threads ?? 'default'
  return { model: model.name, machine: { ...describeMachine(), threads, matrixGmacsPerSecond: best }, rows }
}

const lanesFor = ({ lanes }: Entry, batch: number): number => Math.min(lanes, batch)

/** 10⁹ per second. */
const perSecond = (amount: number, milliseconds: number): number => amount / milliseconds / 1e6

function timedRow(
  entry: Entry,
  batch: number,
  plain: Timing,
  timing: Timing,
  plainGmacs: number,
  rate: Readonly<Record<string, number>>,
): BenchmarkRow {
  const { row, microBatch } = entry
  const { min, median, max } = timing
  const yardstick = rate[row.precision === 'int8' ? 'int8' : 'fp32']
  return {
    ...row,
    batch,
    microBatch: Math.min(batch, microBatch),
    lanes: lanesFor(entry, batch),
    msPerBatch: { min, median, max },
    imagesPerSecond: (1000 * batch) / median,
    speedup: speedup(plain, timing),
    ...(row.gmacs !== undefined && {
      macRatio: plainGmacs / row.gmacs,
      ...(yardstick && { rateShare: perSecond(row.gmacs * 1e9 * batch, median) / yardstick }),
    }),
  }
}

async function inspect(
  entry: Entry,
  feeds: ReturnType<typeof randomPixels>,
  { memory = false, profile = false }: BenchmarkRequest,
): Promise<Pick<BenchmarkRow, 'peakMemoryBytes' | 'profile'>> {
  const { microBatch, settings } = entry
  const piece = firstPictures(feeds, microBatch)
  return {
    ...(memory &&
      !entry.feeds && {
        peakMemoryBytes: await peakBytes(await entry.bytes(), {
          shape: feeds.shape,
          microBatch,
          session: { ...settings, lanes: lanesFor(entry, feeds.shape[0] ?? 1) },
        }),
      }),
    ...(profile && {
      profile: await profileOperators(
        (profile) => entry.open({ profile }),
        (session) => session.run({ ...entry.feeds, [pictureInput(session)]: piece }, session.outputs.slice(0, 1)),
      ),
    }),
  }
}

/** The first run of a model shows whether it takes the input at all. */
async function tryRun(contender: Contender, { row }: Entry, batch: number): Promise<void> {
  try {
    await contender.run()
  } catch (error) {
    if (row.method !== undefined) throw error
    const [reason] = String((error as Error).message).split('\n')
    fail(`--against ${row.model}: cannot run a batch of ${batch} pictures (${reason})`)
  }
}

function plainEntry(model: Model, request: BenchmarkRequest): Entry {
  const graph = () => {
    const dense = buildGraph(model.config, model.state, { method: 'none', features: true })
    dense.outputs.delete('features') // computed, as far as the head's input goes, and not read out
    return dense
  }
  const gmacs = modelCost(model.config, { method: 'none' }).denseMacs / 1e9
  const row = { model: 'plain', method: 'none', keepRatio: 1, precision: 'fp32', gmacs } as const
  return { row, microBatch: Infinity, lanes: 1, ...fromGraph(graph, request, { contrib: false, untuned: true }) }
}

const pictureInput = ({ inputs }: Session): string => inputs.find((name) => name !== KEEP_INPUT) as string

function ownEntries(model: Model, request: BenchmarkRequest): Entry[] {
  const { config } = model
  const { elastic = false, precisions, device = 'cpu', missing } = request
  const microBatch = request.microBatch ?? defaultMicroBatch(config, { device })
  const lanes = request.lanes ?? (device === 'cpu' ? availableParallelism() : 1)
  const reductions = reductionsOf(request)
  return precisions.flatMap((precision) =>
    reductions.flatMap(({ keepRatio, ...choice }): Entry[] => {
      const plan = planReduction({ ...choice, ...(keepRatio !== 1 && { keepRatio }) }, shapeOf(config))
      const { method, keep, ...settings } = plan
      const { parameters, initial } = methodOf(method)
      const own = parameters?.(shapeOf(config), keep, settings)
      const state = missing === undefined ? model.state : withMissing(model.state as StateDict, own, missing, initial)
      const graph = (plan: BuildOptions) => () =>
        lower(buildGraph(config, state, plan), { precision, computesHalf: device !== 'cpu' })
      const { macs, varies } = modelCost(config, plan)
      const row = {
        model: 'idlevit',
        method,
        ...(keepRatio !== undefined && { keepRatio }),
        precision,
        ...(!varies && { gmacs: macs / 1e9 }), // noise is no picture: what it decides says nothing
      }
      const how = { contrib: true, rewrite: needsRewriting({ device, precision }) }
      const fixed = { row, microBatch, lanes, ...fromGraph(graph(plan), request, how) }
      if (!elastic) return [fixed]
      const feeds = { [KEEP_INPUT]: { data: BigInt64Array.from(keep, BigInt), shape: [config.depth] } }
      const free = fromGraph(
        graph({ ...plan, method: method === 'none' ? (request.method ?? 'idle') : method, elastic }),
        request,
        how,
      )
      return [fixed, { row: { ...row, model: 'elastic' }, microBatch, lanes, feeds, ...free }]
    }),
  )
}

/** What is timed: every method at every keep ratio; at 1 all are the dense model, which is timed once. */
function reductionsOf(
  request: BenchmarkRequest,
): (Omit<ReductionRequest, 'keepRatio'> & { readonly keepRatio?: number })[] {
  const { method = 'idle', methods = [method], keepRatios, plan } = request
  const dense = { method: 'none', keepRatio: 1 } as const
  if (plan) {
    const { keepRatio: _, ...own } = plan
    return [dense, own]
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

function otherEntries({ against = [], ...request }: BenchmarkRequest): Entry[] {
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

const sessionOptions = ({ device, threads }: Pick<BenchmarkRequest, 'device' | 'threads'>): SessionOptions => ({
  ...(device && { device }),
  ...(threads !== undefined && { threads }),
})

function firstPictures({ data, shape }: ReturnType<typeof randomPixels>, count: number) {
  const [batch = 1, ...picture] = shape
  const n = Math.min(count, batch)
  return { data: data.subarray(0, (n * data.length) / batch), shape: [n, ...picture] }
}

function randomPixels({ config }: Model, batch: number) {
  const random = createRandom(1)
  const shape = [batch, 3, ...pictureSize(config)]
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 4 * random.uniform() - 2)
  return { data, shape }
}
