/**
 * Methods and models side by side: accuracy on exactly the same decoded pictures, work counted on the graphs that run, and
 * speed measured in turns in one run.
 */

import { describeMachine, type Machine } from '../bench/machine.js'
import type { Dataset } from '../data/dataset.js'
import type { Decoder } from '../data/decoder.js'
import type { LeftOut } from '../data/left-out.js'
import { loadBatches } from '../data/loader.js'
import { saveBeforeEnd } from '../ending.js'
import { fail } from '../errors.js'
import { type Skipped, skippedPicture } from '../evaluation/evaluate.js'
import { type Preprocess, pictureLength } from '../images/preprocess.js'
import { checkMemory } from '../runtime/free-memory.js'
import type { SessionOptions } from '../runtime/session.js'
import { type Answers, ask, countRight } from './answers.js'
import { createPool, inPieces, type Pool } from './pool.js'
import { type CompareRow, rowsOf } from './results.js'
import type { PlannedRow } from './rows.js'
import type { Store } from './store.js'
import { type Batches, speedsOf, timeAll } from './timing.js'

export interface CompareRequest extends Pick<SessionOptions, 'device' | 'threads'> {
  /** The first is dense: the others are compared with it. */
  readonly rows: readonly PlannedRow[]
  readonly dataset: Dataset
  /** Pictures that take part: the first so many. */
  readonly limit: number
  readonly preprocess: Preprocess
  readonly batch: number
  /** Rounds of timing that count. */
  readonly rounds: number
  readonly decoders: readonly Decoder[]
  readonly store: Store
  /** Bytes that open sessions may take; default half of what is free. Rows that do not fit take turns. */
  readonly memory?: number
  readonly onProgress?: (stage: string, done: number, total: number, note?: string) => void
  readonly onSkip?: (skipped: Skipped) => void
  readonly onWarning?: (message: string) => void
}

export interface CompareReport {
  /** What was given for `--data`. */
  readonly data: string
  /** Pictures that every row was asked about. */
  readonly images: number
  /** Pictures that could not be read. */
  readonly skipped: readonly Skipped[]
  /** What lies among the pictures of the data set and is not used. */
  readonly leftOut: readonly LeftOut[]
  /** Pictures that the data set holds: more than `images` and `skipped` where there is a limit. */
  readonly available: number
  /** What is odd about the data set. */
  readonly warnings: readonly string[]
  readonly preprocessing: Preprocess
  readonly batch: number
  readonly rounds: number
  readonly device: string
  readonly threads: number | 'default'
  readonly lanes: number
  readonly machine: Machine
  /** Rows that were timed in turns at once; fewer than there are where memory does not hold more. */
  readonly timedTogether: number
  readonly rows: readonly CompareRow[]
}

/** Least length of a block of consecutive batches of one row, in milliseconds. */
const BLOCK = 300
/** Batches of different pictures that rows are timed on. */
const TIMED_BATCHES = 4

/**
 * Measures all rows.
 *
 * @throws InputError where no picture can be read, or the pictures are no longer those of an earlier part
 */
export async function compare(request: CompareRequest): Promise<CompareReport> {
  const { rows, store, dataset, limit, preprocess, batch, rounds, device, threads, memory, onProgress, onWarning } =
    request
  const pool = createPool(rows, {
    batch: Math.min(batch, limit),
    ...(device && { device }),
    ...(threads !== undefined && { threads }),
    ...(memory !== undefined && { memory }),
    ...(onWarning && { onWarning }),
    onOpen: (done, total) => onProgress?.('loading', done, total),
  })
  const release = saveBeforeEnd(() => store.save()) // an interrupted comparison keeps what it has
  try {
    await store.save() // what cannot be written is told before the work, not behind it
    await askAll(request, pool)
    const answers = rows.map(({ key }) => store.answersOf(key))
    const [first] = answers as [Answers]
    const { images } = countRight(first)
    if (images === 0) fail(`${dataset.name}: no picture could be read`)
    checkSame(rows, answers, dataset.name)
    const pictures = await firstBatches(request)
    const timed = pictures[0].length / pictureLength(preprocess)
    const onRound = (done: number, total: number) => onProgress?.('timing', done, total)
    const { timings, together } = await timeAll(pool, pictures, { rounds, blockMilliseconds: BLOCK, onRound })
    return {
      data: dataset.name,
      images,
      skipped: skippedOf(first, dataset, store.unreadable),
      leftOut: dataset.leftOut ?? [],
      available: dataset.samples.length,
      warnings: dataset.warnings ?? [],
      preprocessing: preprocess,
      batch: timed,
      rounds,
      device: device ?? 'cpu',
      threads: threads ?? 'default',
      lanes: pool.lanes,
      machine: describeMachine(),
      timedTogether: together,
      rows: rowsOf(rows, answers, speedsOf(timings, timed)),
    }
  } finally {
    release()
    await pool.close()
  }
}

/** Asks every row about the pictures that it has not answered yet. */
async function askAll(request: CompareRequest, pool: Pool): Promise<void> {
  const { rows, store, dataset, limit, batch, preprocess, decoders, onProgress, onSkip } = request
  const open = rows.filter(({ key }) => store.answersOf(key).places.length < limit)
  // Rows that have seen the same pictures go on together.
  const progress = [...new Set(open.map(({ key }) => store.answersOf(key).places.length))]
  const groups = progress.flatMap((seen) =>
    inPieces(
      open.filter(({ key }) => store.answersOf(key).places.length === seen),
      pool.capacity,
    ),
  )
  const keep = (group: readonly PlannedRow[], answers: readonly Answers[]) => {
    for (const [i, { key, name, precision }] of group.entries())
      store.keep(key, `${name}, ${precision}`, answers[i] as Answers)
  }
  for (const [g, group] of groups.entries()) {
    const classifiers = await pool.open(group)
    for (const classifier of classifiers) checkMemory([classifier], Math.min(batch, limit))
    const answerers = classifiers.map((classifier, i) => ({
      classifier,
      labels: (group[i] as PlannedRow).participant.labels,
      ...((group[i] as PlannedRow).cost.gmacsOf && { gmacsOf: (group[i] as PlannedRow).cost.gmacsOf }),
    }))
    const before = group.map(({ key }) => store.answersOf(key))
    const answers = await ask(answerers, before, dataset, {
      batch,
      preprocess,
      decoders,
      limit,
      async onBatch(found) {
        keep(group, found)
        const seen = found[0]?.places.length ?? 0
        const of = groups.length > 1 ? `pass ${g + 1} of ${groups.length}` : ''
        onProgress?.(
          'classifying',
          seen,
          limit,
          [of, group.length === 1 ? '1 row' : `${group.length} rows`].filter(Boolean).join(', '),
        )
        await store.save(true)
      },
      onSkip(index, reason) {
        if (!store.unreadable.has(index)) onSkip?.(skippedPicture(dataset, index, reason))
        store.skip(index, reason)
      },
    })
    keep(group, answers)
    await store.save()
  }
}

/** The first pictures, in batches of one size, to time with. */
async function firstBatches({ dataset, limit, batch, preprocess, decoders }: CompareRequest): Promise<Batches> {
  const found: Float32Array[] = []
  const order = Array.from({ length: limit }, (_, i) => i)
  for await (const { pixels } of loadBatches(dataset, { batch, preprocess, decoders, order, prefetch: 1 })) {
    if (found[0] && pixels.length < found[0].length) break
    found.push(pixels.slice())
    if (found.length === TIMED_BATCHES) break
  }
  const [first, ...others] = found
  return first ? [first, ...others] : fail(`${dataset.name}: no picture could be read`)
}

/** All rows must have seen the same. */
function checkSame(rows: readonly PlannedRow[], answers: readonly Answers[], data: string): void {
  const [first] = answers
  const other = answers.findIndex(({ pictures }) => pictures !== first?.pictures)
  if (other > 0)
    fail(
      `${data}: its pictures changed between the rows ${rows[0]?.name} and ${rows[other]?.name}: compare again without --resume`,
    )
}

function skippedOf({ places }: Answers, dataset: Dataset, reasons: ReadonlyMap<number, string>): Skipped[] {
  return [...places].flatMap((place, i) =>
    place === 'x' ? [skippedPicture(dataset, i, reasons.get(i) ?? 'cannot be read')] : [],
  )
}
