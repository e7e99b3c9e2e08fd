/**
 * Features of many pictures into a file, in memory that does not grow with their number; a run that was killed goes on
 * where it was and ends in the same bytes.
 */

import { lstat, realpath } from 'node:fs/promises'
import type { Dataset } from '../data/dataset.js'
import { countByReason, type LeftOut } from '../data/left-out.js'
import { type LoaderOptions, loadBatches } from '../data/loader.js'
import { NO_LABEL } from '../data/unlabelled.js'
import { fail } from '../errors.js'
import type { Preprocess } from '../images/preprocess.js'
import { macsOfPicture, modelCost } from '../models/cost.js'
import type { MethodName } from '../reduction/registry.js'
import type { Classifier, ForwardResult } from '../runtime/classifier.js'
import { checkMemory } from '../runtime/free-memory.js'
import {
  checkPool,
  countGone,
  layoutOf,
  normaliseRows,
  type Pool,
  pooledOf,
  pooledWidth,
  splitRows,
} from '../runtime/pool.js'
import { type BatchComparison, type Comparison, compare, comparisonOf } from './compare.js'
import type { Content, RowFile } from './content.js'
import { formatOf, headroomOf, type WrittenFile, writeFeatures } from './formats.js'
import { metadataOf, settingsOf } from './settings.js'
import { openSpool, removeSpool, type Settings, type Stream, spooledRows, spoolSettings } from './spool.js'
import { bytesOf, checkFinite, narrowed, pathOf } from './values.js'

/** Which features of a picture are written. */
export interface FeatureOptions {
  /** One vector a picture: what the head reads (default), the class row, or the mean of the image tokens. */
  readonly pool?: Pool
  /** All image tokens in raster order instead, `[N0, C]`; the prefix rows apart. */
  readonly tokens?: boolean
  /** Divide every row by its length. */
  readonly normalize?: boolean
  /** Write float16. */
  readonly half?: boolean
}

export interface EmbedOptions extends FeatureOptions, Pick<LoaderOptions, 'workers' | 'decoders'> {
  /** The file to write; its ending says the format: `.npy`, `.parquet` or `.safetensors`. */
  readonly out: string
  readonly preprocess: Preprocess
  /** Pictures per run; default 16. */
  readonly batch?: number
  /** Only the first pictures. */
  readonly limit?: number
  /** Go on with a run that was killed, if there is one. */
  readonly resume?: boolean
  /**
   * The dense model, to compare with: opened with `method: 'none'`, and both with `features` and `trace`.
   */
  readonly dense?: Classifier
  readonly onProgress?: (done: number) => void
  readonly onSkip?: (skipped: LeftOut) => void
  /** Stops behind the batch under way; what is done is kept for `resume`. */
  readonly signal?: AbortSignal
  /** Whatever else the rows depend on, such as the precision: a run goes on only under the same. */
  readonly manner?: Settings
}

export interface EmbedReport {
  /** Pictures whose features were written: rows of the file. */
  readonly images: number
  /** Features of a row C. */
  readonly width: number
  readonly out: string
  readonly files: readonly WrittenFile[]
  /** Image tokens a picture, with `tokens`. */
  readonly tokens?: number
  /** Prefix rows a picture, with `tokens`. */
  readonly prefix?: number
  readonly pool?: Pool
  /** Share of the image tokens that the method dropped: their rows are zeros, and no mean counts them. */
  readonly gone: number
  readonly normalize: boolean
  readonly dtype: 'float32' | 'float16'
  /** Pictures that could not be read: they have no row. */
  readonly skipped: readonly LeftOut[]
  readonly leftOut: readonly LeftOut[]
  /** Pictures that the data set holds. */
  readonly available: number
  /** Rows that an earlier run had computed. */
  readonly resumed: number
  /** Of this run, decoding included. */
  readonly imagesPerSecond: number
  readonly gmacs: number
  readonly model: string
  readonly method: MethodName
  readonly keepRatios: readonly number[]
  /** With `dense`. */
  readonly report?: Comparison
}

const DEFAULT_BATCH = 16

/** What is remembered of a batch. */
interface BatchNotes {
  /** Image tokens that were dropped. */
  readonly gone: number
  /** Multiply-adds of its pictures, where each decides. */
  readonly macs?: number
  readonly comparison?: BatchComparison
}

/** Where the rows of an unfinished run lie. */
const partialOf = (out: string): string => `${out}.partial`

/** The settings of the unfinished run beside `out`; undefined where there is none. */
export const unfinished = async (out: string): Promise<Settings | undefined> =>
  spoolSettings(partialOf(await real(out)))

/** The file behind a link, which is what will be replaced. */
const real = (path: string): Promise<string> =>
  lstat(path).then(
    (found) => (found.isSymbolicLink() ? realpath(path) : path),
    () => path,
  )

/**
 * Writes the features of a data set's pictures to a file; EXIF orientation is applied. Until it is complete they lie in
 * `FILE.partial` beside it, where `resume` finds them.
 *
 * Row i of the file is picture i of those that could be read; their paths are in the file, or beside an NPY file, in the
 * same order.
 *
 * @param classifier - opened with `features`
 * @throws InputError when no picture can be read, the file cannot be written, an unfinished run is there and `resume` is
 *   not asked for, or it was begun differently; the signal's reason when that gives up
 * @example
 * const model = await loadModel('deit-small')
 * const classifier = await openNodeClassifier(model, { keepRatio: 0.7, features: true })
 * const dataset = await openDataset('photos/')
 * const { images, width } = await embedPictures(classifier, dataset, {
 *   out: 'photos.npy', // and photos.paths.txt, photos.labels.npy
 *   preprocess: imagenetPreprocess(),
 *   normalize: true,
 * })
 */
export async function embedPictures(
  classifier: Classifier,
  dataset: Dataset,
  options: EmbedOptions,
): Promise<EmbedReport> {
  const { preprocess, batch = DEFAULT_BATCH, resume = false, dense, signal, onProgress, onSkip } = options
  const { pool = 'head', tokens = false, normalize = false, half = false, workers, decoders } = options
  const out = await real(options.out)
  const format = formatOf(out)
  const { config } = classifier.model
  const layout = layoutOf(config)
  if (!tokens) checkPool(classifier.model, pool)
  const V = pooledWidth(layout, pool) // of a vector
  const C = tokens ? layout.width : V // of a row that is written
  const limit = Math.min(options.limit ?? Infinity, dataset.samples.length)
  const labelled = dataset.samples.some(({ label }) => label !== NO_LABEL)
  checkMemory(dense ? [classifier, dense] : [classifier], Math.min(batch, limit))
  const settings = {
    ...settingsOf(classifier, dataset, preprocess, limit),
    batch,
    features: tokens ? 'tokens' : pool,
    normalize,
    dtype: half ? 'float16' : 'float32',
    compared: dense !== undefined,
    ...options.manner,
  }
  const folder = partialOf(out)
  if (!resume && (await spoolSettings(folder)) !== undefined)
    fail(
      `${folder}: an unfinished run is there (${await spooledRows(folder)} of ${limit} pictures): --resume goes on with it, or remove the folder`,
    )
  const outline = {
    rows: limit,
    shape: tokens ? [layout.tokens, C] : [C],
    ...(tokens && { prefix: [layout.prefix, C] }),
    half,
    metadata: metadataOf(settings),
  }
  const bytes = half ? 2 : 4
  const streams: Record<string, Stream> = {
    features: {
      bytesPerRow: bytes * C * (tokens ? layout.tokens : 1),
      headroom: headroomOf(format, { ...outline, labelled }),
    },
    ...(tokens && { prefix: { bytesPerRow: bytes * C * layout.prefix, headroom: 0 } }),
    ...(dense && { pooled: { bytesPerRow: 4 * V, headroom: 0 }, dense: { bytesPerRow: 4 * V, headroom: 0 } }),
  }
  const spool = await openSpool(folder, settings, streams)
  const resumed = spool.marks.at(-1)?.rows ?? 0
  let next = spool.marks.at(-1)?.next ?? 0
  let rows = resumed
  let waiting: { readonly index: number; readonly reason: string }[] = []
  const macsOf = lazily(() => macsOfPicture(config, classifier.plan)) // of methods where each picture has its own
  const start = performance.now()

  /** Writes what the model said of a batch whose last picture is `last`. */
  async function write(result: ForwardResult, reference: ForwardResult | undefined, indices: Int32Array) {
    const features = checkFinite(result.features as Float32Array, dataset, indices)
    const pooled = pooledOf(result, layout, pool) // [B, V]
    const notes: BatchNotes = {
      gone: countGone(features, layout),
      ...(result.sizes && { macs: sum(result.sizes.map(macsOf())) }),
      ...(reference && { comparison: comparisonOf(result, reference, layout, pool) }),
    }
    const parts = tokens ? splitRows(features, layout) : { features: pooled, prefix: undefined }
    if (normalize) for (const part of Object.values(parts)) if (part) normaliseRows(part, C)
    const stored = (values: Float32Array) => bytesOf(half ? narrowed(values, dataset, indices) : values)
    const denseRows = reference && pooledOf(reference, layout, pool) // [B, V]
    next = (indices.at(-1) as number) + 1
    rows += indices.length
    const before = waiting.filter(({ index }) => index < next)
    waiting = waiting.filter(({ index }) => index >= next)
    await spool.append(
      {
        features: stored(parts.features),
        ...(parts.prefix && { prefix: stored(parts.prefix) }),
        ...(denseRows && { pooled: bytesOf(pooled), dense: bytesOf(denseRows) }),
      },
      { next, rows, skipped: before, notes },
    )
    onProgress?.(next)
  }

  const ahead = classifier.lanes > 1 ? 1 : 0
  const batches = loadBatches(dataset, {
    batch,
    preprocess,
    orient: true,
    held: ahead,
    order: Array.from({ length: limit - next }, (_, i) => next + i),
    ...(workers !== undefined && { workers }),
    ...(decoders !== undefined && { decoders }),
    onSkip(_, reason, index) {
      waiting.push({ index, reason })
      onSkip?.({ path: pathOf(dataset, index), reason })
    },
  })
  try {
    const underWay: (() => Promise<void>)[] = []
    for await (const { pixels, indices } of batches) {
      const results = Promise.all([classifier.forward(pixels), dense?.forward(pixels)])
      results.catch(() => {}) // a failure is met when it is waited for
      underWay.push(() => results.then(([result, reference]) => write(result, reference, indices)))
      if (underWay.length > ahead) await underWay.shift()?.()
      if (signal?.aborted) break
    }
    for (const finish of underWay) await finish()
    if (!signal?.aborted && (waiting.length > 0 || next < limit))
      await spool.append(Object.fromEntries(Object.keys(streams).map((name) => [name, new Uint8Array()])), {
        next: limit,
        rows,
        skipped: waiting,
      })
    await spool.flush()
    signal?.throwIfAborted()
  } finally {
    await batches.return?.()
    await spool.close()
    if (spool.marks.length === 0) await removeSpool(folder) // nothing to go on with
  }
  const seconds = (performance.now() - start) / 1000

  const unreadable = spool.marks.flatMap(({ skipped }) => skipped)
  const skipped = unreadable.map(({ index, reason }) => ({ path: pathOf(dataset, index), reason }))
  if (rows === 0) {
    await removeSpool(folder)
    fail(`${dataset.name}: no picture could be read: ${countByReason(skipped).join('; ')}`)
  }
  const holes = new Set(unreadable.map(({ index }) => index))
  const kept = Array.from({ length: limit }, (_, i) => i).filter((i) => !holes.has(i))
  const paths = kept.map((i) => pathOf(dataset, i))
  const batchNotes = spool.marks.flatMap(({ notes }) => (notes === undefined ? [] : [notes as BatchNotes]))
  const decided = batchNotes.flatMap(({ macs }) => (macs === undefined ? [] : [macs]))
  const report =
    dense &&
    (await compare(
      batchNotes.flatMap(({ comparison }) => (comparison ? [comparison] : [])),
      paths,
      [spool.path('pooled'), spool.path('dense')],
      { tokens: layout.tokens, width: V },
    ))
  const content: Content = {
    ...outline,
    rows,
    paths,
    ...(labelled && { labels: Int32Array.from(kept, (i) => dataset.samples[i]?.label ?? NO_LABEL) }),
    ...(dataset.classNames && { classNames: dataset.classNames }),
  }
  const files = await writeFeatures(out, content, (name: RowFile) => spool.path(name))
  await removeSpool(folder)
  return {
    images: rows,
    width: C,
    out: options.out,
    files,
    ...(tokens ? { tokens: layout.tokens, prefix: layout.prefix } : { pool }),
    gone: sum(batchNotes.map(({ gone }) => gone)) / (rows * layout.tokens),
    normalize,
    dtype: half ? 'float16' : 'float32',
    skipped,
    leftOut: dataset.leftOut ?? [],
    available: dataset.samples.length,
    resumed,
    imagesPerSecond: (rows - resumed) / seconds,
    gmacs: (decided.length > 0 ? sum(decided) / rows : modelCost(config, classifier.plan).macs) / 1e9,
    model: classifier.model.name,
    method: classifier.plan.method,
    keepRatios: classifier.keepRatios,
    ...(report && { report }),
  }
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

/** Makes it at the first call. */
function lazily<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}
