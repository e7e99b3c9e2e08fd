/**
 * Where a comparison keeps its answers, row by row and picture by picture, so that one that was interrupted goes on, and
 * more rows can join later: `answers.json` in the folder of results.
 */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../errors.js'
import { fileError, readWholeFile, writeFileAtomic } from '../files.js'
import { fillFolder, namesIn } from '../folders.js'
import { type Answers, noAnswers } from './answers.js'

/** The files of a folder of results. */
export const resultFiles = { page: 'compare.html', report: 'compare.json', answers: 'answers.json' } as const

const FORMAT = 'idlevit-compare-1'

/** What the answers of all rows have in common. */
export type Common = Readonly<Record<string, unknown>>

interface Stored {
  readonly format: typeof FORMAT
  readonly common: Common
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

/** Shortest time between gentle writes, in milliseconds. */
const EVERY = 3000

/**
 * Opens the answers in a folder: those of an earlier comparison with `resume`, else none.
 *
 * @param folder - new, empty, or with an earlier comparison in it; undefined keeps nothing
 * @throws InputError when the folder holds files of others under our names, or answers to other pictures
 */
export async function openStore(
  folder: string | undefined,
  common: Common,
  { resume, now = Date.now }: StoreOptions,
): Promise<Store> {
  const earlier = folder === undefined ? undefined : await readEarlier(folder, resume)
  if (earlier && resume) checkCommon(folder as string, earlier.common, common)
  const known = resume ? earlier : undefined
  const rows = new Map(Object.entries(known?.rows ?? {}))
  const unreadable = new Map(Object.entries(known?.unreadable ?? {}).map(([index, reason]) => [Number(index), reason]))
  let saved = now()
  return {
    unreadable,
    answersOf: (key) => rows.get(key) ?? noAnswers,
    keep: (key, name, answers) => void rows.set(key, { name, ...answers }),
    skip: (index, reason) => void unreadable.set(index, reason),
    async save(gently = false) {
      if (folder === undefined || (gently && now() - saved < EVERY)) return
      const stored: Stored = {
        format: FORMAT,
        common,
        unreadable: Object.fromEntries(unreadable),
        rows: Object.fromEntries(rows),
      }
      await writeFileAtomic(join(folder, resultFiles.answers), `${JSON.stringify(stored, null, 1)}\n`)
      saved = now()
    },
  }
}

/** What an earlier comparison left in the folder, which is made if it is not there. */
async function readEarlier(folder: string, resume: boolean): Promise<Stored | undefined> {
  const names = await namesIn(folder)
  const path = join(folder, resultFiles.answers)
  if (names.includes(resultFiles.answers)) return parseStored(await readWholeFile(path), path)
  const own = Object.values(resultFiles).find((name) => names.includes(name))
  if (own) fail(`${join(folder, own)}: wanted a folder without such a file, or an earlier comparison; it would be lost`)
  if (resume) fail(`${folder}: there is no comparison to resume: it holds no ${resultFiles.answers}`)
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw fileError(error, folder)
  })
  return undefined
}

function parseStored(bytes: Uint8Array, path: string): Stored {
  const value = parse(new TextDecoder().decode(bytes))
  const stored = isRecord(value) && value.format === FORMAT ? value : undefined
  const { common, unreadable, rows } =
    stored ?? fail(`${path}: wanted the answers of an earlier comparison, found another file`)
  const isText = (each: unknown) => typeof each === 'string'
  const isAnswers = (each: unknown) =>
    isRecord(each) &&
    [each.name, each.pictures].every(isText) &&
    isText(each.places) &&
    /^[1-5x-]*$/.test(`${each.places}`)
  if (!isRecord(common) || !isRecord(unreadable) || !isRecord(rows)) return fail(`${path}: is damaged`)
  if (!Object.values(unreadable).every(isText) || !Object.values(rows).every(isAnswers))
    return fail(`${path}: is damaged`)
  return value as unknown as Stored
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Refuses to go on with answers to other pictures. */
function checkCommon(folder: string, before: Common, now: Common): void {
  const text = (value: unknown) => JSON.stringify(value)
  const other = Object.keys(now).find((name) => text(now[name]) !== text(before[name]))
  if (other !== undefined)
    fail(
      `--resume: ${folder} was begun with ${other} ${text(before[other])}, found ${text(now[other])}; only rows may change`,
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
