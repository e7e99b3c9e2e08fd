/** What was measured while a plan was sought: `journal.json`, so that nothing is measured twice, whatever the target. */

import type { Speed } from '../compare/timing.js'
import { type Common, isRecord, type Kind, openKept } from '../kept.js'
import type { Change } from './answers.js'

/** The files of a folder of results. */
export const tuneFiles = {
  plan: 'plan.json',
  page: 'tune.html',
  report: 'tune.json',
  journal: 'journal.json',
} as const

const kind: Kind = {
  format: 'idlevit-tune-1',
  file: tuneFiles.journal,
  files: Object.values(tuneFiles),
  work: 'tuning',
  holds: 'the journal of an earlier tuning',
  changes: 'the target, the methods, the tries and the rounds',
}

interface Stored {
  /** By part and plan. */
  readonly answers: Readonly<Record<string, Change>>
  /** By purpose and plans: the dense model, then each plan. */
  readonly speeds: Readonly<Record<string, readonly Speed[]>>
}

export interface Journal {
  /** How many measurements an earlier run left. */
  readonly earlier: number
  /** What a plan changes, as it was measured, or else as `measure` finds now. */
  change(key: string, measure: () => Promise<Change>): Promise<Change>
  speeds(key: string, measure: () => Promise<readonly Speed[]>): Promise<readonly Speed[]>
  save(): Promise<void>
}

/**
 * Opens the journal in a folder: that of an earlier run with `resume`, else an empty one.
 *
 * @param common - what all measurements are of
 * @throws InputError when it is a journal of something else
 */
export async function openJournal(
  folder: string | undefined,
  common: Common,
  options: { readonly resume: boolean; readonly now?: () => number },
): Promise<Journal> {
  const kept = await openKept(folder, kind, common, { ...options, whole: isWhole })
  const known = kept.earlier as Stored | undefined
  const answers = new Map(Object.entries(known?.answers ?? {}))
  const speeds = new Map(Object.entries(known?.speeds ?? {}))
  const save = (gently = false) =>
    kept.save({ answers: Object.fromEntries(answers), speeds: Object.fromEntries(speeds) } satisfies Stored, gently)
  async function once<T>(all: Map<string, T>, key: string, measure: () => Promise<T>): Promise<T> {
    const before = all.get(key)
    if (before !== undefined) return before
    const found = await measure()
    all.set(key, found)
    await save(true)
    return found
  }
  return {
    earlier: answers.size + speeds.size,
    change: (key, measure) => once(answers, key, measure),
    speeds: (key, measure) => once(speeds, key, measure),
    save: () => save(),
  }
}

const isNumbers = (value: unknown, names: readonly string[]): boolean =>
  isRecord(value) && names.every((name) => typeof value[name] === 'number' && Number.isFinite(value[name]))

function isWhole({ answers, speeds }: Common): boolean {
  const isChange = (each: unknown) => isNumbers(each, ['pictures', 'changed', 'lost', 'gained', 'divergence'])
  const isSpeed = (each: unknown) =>
    isNumbers(each, ['speedup', 'imagesPerSecond']) &&
    isNumbers((each as Common).msPerBatch, ['min', 'median', 'max']) &&
    Array.isArray((each as Common).speedupQuartiles)
  return (
    isRecord(answers) &&
    isRecord(speeds) &&
    Object.values(answers).every(isChange) &&
    Object.values(speeds).every((each) => Array.isArray(each) && each.every(isSpeed))
  )
}
