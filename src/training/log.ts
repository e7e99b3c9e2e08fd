/**
 * `log.jsonl`: one JSON object a line, written as things happen, read by the report and by scripts.
 *
 * A resumed run repeats what lay behind its checkpoint; those lines are cut off first, so that the log of a run that was
 * killed and resumed tells every update once.
 */
import { appendFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { LeftOut } from '../data/left-out.js'
import { fileError, writeFileAtomic } from '../files.js'
import type { Recipe } from './recipe.js'

/** Accuracy on the validation pictures. */
export interface Evaluation {
  readonly images: number
  readonly top1: number
  readonly top5: number
  readonly top1Percent: number
  readonly top5Percent: number
  readonly loss: number
  /** Of an elastic run: the same at each ratio; the numbers above are over all of them. */
  readonly byKeepRatio?: Readonly<Record<string, Omit<Evaluation, 'byKeepRatio'>>>
}

/** What a run was started with. */
export interface StartEntry {
  readonly kind: 'start' | 'resume'
  readonly step: number
  /** When, ISO 8601. */
  readonly time: string
  readonly model: string
  readonly data: string
  /** Draws in an epoch: the training pictures. */
  readonly pictures: number
  /** Of these, draws at the end of an epoch that fill no whole update and are left out. */
  readonly dropped?: number
  /** What the training and validation data hold and no reader uses. */
  readonly leftOut?: readonly LeftOut[]
  readonly recipe: Recipe
}

/** One update. */
export interface StepEntry {
  readonly kind: 'step'
  /** Updates done, this one included. */
  readonly step: number
  readonly epoch: number
  readonly loss: number
  /** Parts of the loss before their coefficients. */
  readonly parts: Readonly<Record<string, number>>
  readonly lr: number
  readonly gradientNorm: number
  /** Base ratio of this update, where there is one. */
  readonly keepRatio?: number
  readonly imagesPerSecond: number
  /** Share of the time that was spent waiting for pictures. */
  readonly waiting: number
}

/** An epoch that is done. */
export interface EpochSummary {
  readonly epoch: number
  /** Means over the epoch. */
  readonly loss: number
  readonly parts: Readonly<Record<string, number>>
  readonly seconds: number
  readonly imagesPerSecond: number
  /** Absent where this epoch was not evaluated. */
  readonly evaluation?: Evaluation
  /** Of the moving average of the weights. */
  readonly average?: Evaluation
}

/** The end of an epoch. */
export interface EpochEntry extends EpochSummary {
  readonly kind: 'epoch'
  readonly step: number
}

/**
 * What the run is held against, on the same validation pictures: the model `before` its first update under the plan that
 * it is trained for, and the `dense` model that it learns from.
 */
export interface ReferenceEntry {
  readonly kind: 'reference'
  readonly step: number
  readonly name: 'before' | 'dense'
  readonly evaluation: Evaluation
}

/** A picture that could not be read. */
export interface SkipEntry {
  readonly kind: 'skip'
  readonly step: number
  readonly epoch: number
  readonly name: string
  readonly reason: string
}

export type LogEntry = StartEntry | ReferenceEntry | StepEntry | EpochEntry | SkipEntry

/** Reads a log; lines that are not whole are left out. */
export async function readLog(path: string): Promise<LogEntry[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw fileError(error, path)
  })
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as LogEntry]
    } catch {
      return []
    }
  })
}

/**
 * Cuts a log back to a position: what happened up to update `step`, in epochs before `epoch` to their end.
 *
 * @returns the entries that stay
 */
export async function cutLog(path: string, step: number, epoch: number): Promise<LogEntry[]> {
  const entries = (await readLog(path)).filter(
    (entry) => entry.step <= step && (entry.kind !== 'epoch' || entry.epoch < epoch),
  )
  await writeFileAtomic(path, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  return entries
}

/** Starts a log with its first line, in place of what another run left: at no moment is the folder without one. */
export const beginLog = (path: string, entry: LogEntry): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(entry)}\n`)

/** Adds a line to a log. */
export function appendLog(path: string, entry: LogEntry): void {
  try {
    appendFileSync(path, `${JSON.stringify(entry)}\n`)
  } catch (error) {
    throw fileError(error, path)
  }
}
