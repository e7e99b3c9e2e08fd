/**
 * Models side by side: every plan, precision and batch size against the plain dense model, in one run.
 *
 * Plain is what a user of an exported model runs today: every row of every block, standard operators, ONNX Runtime's
 * default optimisations, the whole batch at once.
 */

import { fail } from '../errors.js'
import { pictureSize } from '../models/config.js'
import { createRandom } from '../random.js'
import { KEEP_INPUT } from '../reduction/schedule.js'
import type { Model } from '../runtime/classifier.js'
import { inMicroBatches } from '../runtime/microbatch.js'
import type { Session } from '../runtime/session.js'
import {
  type BenchmarkRequest,
  type Entry,
  type EntryRow,
  otherEntries,
  ownEntries,
  pictureInput,
  plainEntry,
  sessionOptions,
} from './entries.js'
import { type Contender, interleave, speedup, type Timing } from './interleave.js'
import { describeMachine, type Machine, matrixSide, openMatrixProduct } from './machine.js'
import { peakBytes } from './memory.js'
import { type OperatorTime, profileOperators } from './profile.js'

export interface BenchmarkRow extends EntryRow {
  readonly batch: number
  /** Pictures per run of the session. */
  readonly microBatch: number
  /** Sessions side by side. */
  readonly lanes: number
  readonly msPerBatch: { readonly min: number; readonly median: number; readonly max: number }
  readonly imagesPerSecond: number
  /** Against the plain model: the median over rounds of the ratio in each. */
  readonly speedup: number
  /** Multiply-adds of the plain model by those of this one. */
  readonly macRatio?: number
  /** The speedup as a share of `macRatio`: 1 where every multiply-add that is saved saves its share of the time. */
  readonly macShare?: number
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
      macShare: (speedup(plain, timing) * row.gmacs) / plainGmacs,
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
