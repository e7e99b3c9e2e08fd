/** A tuning from a model and pictures to files: draws and parts the pictures, opens the journal, and writes what was found. */

import { createHash } from 'node:crypto'
import { freemem } from 'node:os'
import { describeMachine } from '../bench/machine.js'
import { inModelClasses } from '../data/classes.js'
import type { Dataset } from '../data/dataset.js'
import type { Decoder } from '../data/decoder.js'
import { saveBeforeEnd } from '../ending.js'
import { fail } from '../errors.js'
import { type Skipped, skippedPicture } from '../evaluation/evaluate.js'
import { hashWeights } from '../export/earlier.js'
import type { Precision } from '../graph/passes/precision.js'
import { type Preprocess, pictureLength } from '../images/preprocess.js'
import { shapeOf } from '../models/backbone.js'
import type { Model } from '../runtime/classifier.js'
import type { SessionOptions } from '../runtime/session.js'
import type { StateDict } from '../weights/state.js'
import { drawn, type PartName, type Pictures, partsOf, readPart } from './answers.js'
import { openJournal } from './journal.js'
import { openLab } from './lab.js'
import type { TunedMethod } from './methods.js'
import { drawTunePage } from './page.js'
import { type Circumstances, planFileOf, reportOf, type TuneReport, writeTuning } from './report.js'
import type { Target } from './target.js'
import { tune } from './tune.js'

export interface RunRequest extends Pick<SessionOptions, 'device' | 'threads'> {
  readonly model: Model
  readonly methods: readonly TunedMethod[]
  readonly refused: Circumstances['refused']
  readonly dataset: Dataset
  readonly preprocess: Preprocess
  readonly target: Target
  /** Pictures that take part at most, and the seed that they are drawn by. */
  readonly limit: number
  readonly seed: number
  readonly batch: number
  readonly precision: Precision
  readonly tries: number
  readonly rounds: number
  readonly decoders: readonly Decoder[]
  readonly out: string
  readonly resume: boolean
  readonly onProgress?: (stage: string, done: number, total: number, note?: string) => void
  readonly onSkip?: (skipped: Skipped) => void
  readonly onResume?: (measurements: number) => void
  readonly onWarning?: (message: string) => void
}

/** Fewer pictures than this say nothing in three parts. */
const FEWEST = 6

export async function runTuning(request: RunRequest): Promise<TuneReport> {
  const { model, dataset, preprocess, out, resume, seed, precision, decoders, onProgress } = request
  const { device = 'cpu', threads } = request
  const data = drawn(inClasses(dataset, model), request.limit, seed)
  const count = data.samples.length
  if (count < FEWEST) fail(`${dataset.name}: wanted at least ${FEWEST} pictures, found ${count}`)
  const parts = partsOf(count)
  const batch = Math.min(request.batch, ...Object.values(parts).map(({ length }) => length))
  checkRoom(Math.max(...Object.values(parts).map(({ length }) => length)), pictureLength(preprocess))
  const weights = hashWeights(model.state as StateDict)
  const common = {
    ...{ model: weights, data: dataset.name, pictures: count, seed, names: namesOf(data), preprocess },
    ...{ batch, precision, device, threads: threads ?? 'default' },
  }
  const journal = await openJournal(out, common, { resume })
  if (journal.earlier > 0) request.onResume?.(journal.earlier)
  const release = saveBeforeEnd(() => journal.save()) // an interrupted tuning keeps what it has
  const skipped: Skipped[] = []
  const read = partReader()
  try {
    await journal.save() // what cannot be written is told before the work, not behind it
    const lab = openLab(model, {
      ...{ precision, batch, journal, pictures: read },
      ...(request.device && { device: request.device }),
      ...(threads !== undefined && { threads }),
      onOpen: (done, total) => onProgress?.('loading', done, total),
      ...(request.onWarning && { onWarning: request.onWarning }),
    })
    const { methods, target, tries, rounds } = request
    const result = await tune({
      ...{ config: model.config, methods, target, tries, rounds, lab },
      ...(onProgress && { onProgress }),
    })
    const { depth, tokens } = shapeOf(model.config)
    const at: Circumstances = {
      model: { name: model.name, depth, tokens, weights },
      data: dataset.name,
      preprocessing: preprocess,
      machine: describeMachine(),
      ...{ device, precision, batch, threads: threads ?? 'default', lanes: lab.lanes },
      methods: methods.map(({ name }) => name),
      refused: request.refused,
      skipped,
      leftOut: dataset.leftOut ?? [],
      available: dataset.samples.length,
      warnings: dataset.warnings ?? [],
    }
    const report = reportOf(out, result, at)
    await journal.save()
    await writeTuning(out, planFileOf(result, at), report, await drawTunePage(report))
    return report
  } finally {
    release()
  }

  /** Reads parts when they are first asked for. Those to search on stay, which are timed on too; of the others the last. */
  function partReader(): (part: PartName) => Promise<Pictures> {
    const held = new Map<PartName, Promise<Pictures>>()
    const told = new Set<number>()
    return (part) => {
      const known = held.get(part)
      if (known) return known
      const order = parts[part]
      const pictures = readPart(data, order, {
        ...{ batch, preprocess, decoders },
        onPictures: (done) => onProgress?.('reading', done, order.length, `pictures for the ${part}`),
        onSkip(_, reason, index) {
          if (told.has(index)) return
          told.add(index)
          const picture = skippedPicture(data, index, reason)
          skipped.push(picture)
          request.onSkip?.(picture)
        },
      }).then((found) =>
        found.labels.length > 0 ? found : fail(`${dataset.name}: no picture for the ${part} could be read`),
      )
      for (const other of held.keys()) if (other !== 'search') held.delete(other)
      held.set(part, pictures)
      return pictures
    }
  }
}

/** Labels as classes of the model; pictures without labels stay as they are. */
function inClasses(dataset: Dataset, model: Model): Dataset {
  const labelled = dataset.samples.some(({ label }) => label >= 0)
  return labelled ? inModelClasses(dataset, { ...model, classes: model.config.classes }) : dataset
}

function namesOf({ samples }: Dataset): string {
  const hash = createHash('sha256')
  for (const { name, label } of samples) hash.update(`${name} ${label}\n`)
  return hash.digest('hex').slice(0, 16)
}

/** Refuses pictures that do not fit into half of the memory that is free. */
function checkRoom(pictures: number, values: number): void {
  const needed = 2 * pictures * values * 4
  const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  if (needed > freemem() / 2)
    fail(
      `--limit: two thirds of the pictures need ${gigabytes(needed)} of memory, ${gigabytes(freemem())} are free; lower --limit`,
    )
}
