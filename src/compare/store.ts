/**
 * Where a comparison keeps its answers, row by row and picture by picture, so that one that was interrupted goes on, and
 * more rows can join later: `answers.json` in the folder of results.
 */

import { join } from 'node:path'
import { writeFileAtomic } from '../files.js'
import { fillFolder } from '../folders.js'
import { type Common, isRecord, type Kind, openKept } from '../kept.js'
import { type Answers, noAnswers } from './answers.js'

/** The files of a folder of results. */
export const resultFiles = { page: 'compare.html', report: 'compare.json', answers: 'answers.json' } as const

const kind: Kind = {
  format: 'idlevit-compare-1',
  file: resultFiles.answers,
  files: Object.values(resultFiles),
  work: 'comparison',
  holds: 'the answers of an earlier comparison',
  changes: 'rows',
}

/** What the file holds beside what the answers of all rows have in common. */
interface Stored {
  /** Why pictures could not be read, by their number in the data. */
  readonly unreadable: Readonly<Record<string, string>>
  readonly rows: Readonly<Record<string, Answers & { readonly name: string }>>
}

export interface Store {
  /** Why pictures could not be read, by their number in the data. */
  readonly unreadable: ReadonlyMap<number, string>
  answersOf(key: string): Answers
  keep(key: string, name: string, answers: Answers): void
  skip(index: number, reason: string): void
  /** Writes what is kept, if there is a folder; `gently` no more often than every few seconds. */
  save(gently?: boolean): Promise<void>
}

export interface StoreOptions {
  readonly resume: boolean
  readonly now?: () => number
}

/**
 * Opens the answers in a folder: those of an earlier comparison with `resume`, else none.
 *
 * @param folder - new, empty, or with an earlier comparison in it; undefined keeps nothing
 * @throws InputError when the folder holds files of others under our names, or answers to other pictures
 */
export async function openStore(folder: string | undefined, common: Common, options: StoreOptions): Promise<Store> {
  const kept = await openKept(folder, kind, common, { ...options, whole: isWhole })
  const known = kept.earlier as Stored | undefined
  const rows = new Map(Object.entries(known?.rows ?? {}))
  const unreadable = new Map(Object.entries(known?.unreadable ?? {}).map(([index, reason]) => [Number(index), reason]))
  return {
    unreadable,
    answersOf: (key) => rows.get(key) ?? noAnswers,
    keep: (key, name, answers) => void rows.set(key, { name, ...answers }),
    skip: (index, reason) => void unreadable.set(index, reason),
    save: (gently) =>
      kept.save(
        { unreadable: Object.fromEntries(unreadable), rows: Object.fromEntries(rows) } satisfies Stored,
        gently,
      ),
  }
}

function isWhole({ unreadable, rows }: Common): boolean {
  const isText = (each: unknown) => typeof each === 'string'
  const isAnswers = (each: unknown) =>
    isRecord(each) &&
    [each.name, each.pictures].every(isText) &&
    isText(each.places) &&
    /^[1-5x-]*$/.test(`${each.places}`)
  return (
    isRecord(unreadable) &&
    isRecord(rows) &&
    Object.values(unreadable).every(isText) &&
    Object.values(rows).every(isAnswers)
  )
}

/**
 * Puts the page and the numbers of a finished comparison into its folder, both or neither.
 *
 * @throws InputError when it cannot be written
 */
export async function writeResults(out: string, report: object, page: string): Promise<void> {
  await fillFolder(out, async (folder) => {
    await writeFileAtomic(join(folder, resultFiles.report), `${JSON.stringify(report, null, 2)}\n`)
    await writeFileAtomic(join(folder, resultFiles.page), page)
  })
}
