/**
 * A file in a folder of results that keeps what was measured so far, so that work which was interrupted goes on: written
 * whole, now and then, and read again with `--resume`.
 */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from './errors.js'
import { fileError, readWholeFile, writeFileAtomic } from './files.js'
import { namesIn } from './folders.js'

/** What all that is kept has in common. */
export type Common = Readonly<Record<string, unknown>>

/** What a kind of work keeps. */
export interface Kind {
  /** Stands in the file, to tell it from others. */
  readonly format: string
  /** Name of the file. */
  readonly file: string
  /** Names of all files that the work leaves in its folder. */
  readonly files: readonly string[]
  /** What the work is called: `comparison`. */
  readonly work: string
  /** What the file holds, for messages: `the answers of an earlier comparison`. */
  readonly holds: string
  /** What may be otherwise when it goes on: `rows`. */
  readonly changes: string
}

/** Shortest time between gentle writes, in milliseconds. */
const EVERY = 3000

/** What is kept in a folder. */
export interface Kept {
  /** What an earlier run kept, with `resume`. */
  readonly earlier: Common | undefined
  /** Writes `content` beside what all has in common, if there is a folder; `gently` no more often than every few seconds. */
  save(content: Common, gently?: boolean): Promise<void>
}

/**
 * Opens what is kept in a folder: that of an earlier run with `resume`, else nothing.
 *
 * @param folder - new, empty, or with an earlier run in it; undefined keeps nothing
 * @param common - what must be as it was
 * @param whole - whether what an earlier run kept is undamaged
 * @throws InputError when the folder holds files of others under our names, or what was kept is of something else
 */
export async function openKept(
  folder: string | undefined,
  kind: Kind,
  common: Common,
  {
    resume,
    whole,
    now = Date.now,
  }: { readonly resume: boolean; readonly whole: (kept: Common) => boolean; readonly now?: () => number },
): Promise<Kept> {
  const earlier = folder === undefined ? undefined : await readEarlier(folder, kind, resume, whole)
  if (earlier && resume) checkCommon(folder as string, kind, earlier.common as Common, common)
  let saved = now()
  let writing: Promise<void> = Promise.resolve()
  return {
    earlier: resume ? earlier : undefined,
    async save(content, gently = false) {
      if (folder === undefined || (gently && now() - saved < EVERY)) return
      const stored = { format: kind.format, common, ...content }
      const write = () => writeFileAtomic(join(folder, kind.file), `${JSON.stringify(stored, null, 1)}\n`)
      writing = writing.catch(() => {}).then(write) // one behind the other: what is newest stays
      await writing
      saved = now()
    },
  }
}

/** What an earlier run left in the folder, which is made if it is not there. */
async function readEarlier(
  folder: string,
  { format, file, files, work, holds }: Kind,
  resume: boolean,
  whole: (kept: Common) => boolean,
): Promise<Common | undefined> {
  const names = await namesIn(folder)
  const path = join(folder, file)
  if (names.includes(file)) {
    const value = parse(new TextDecoder().decode(await readWholeFile(path)))
    if (!isRecord(value) || value.format !== format) return fail(`${path}: wanted ${holds}, found another file`)
    return isRecord(value.common) && whole(value) ? value : fail(`${path}: is damaged`)
  }
  const own = files.find((name) => names.includes(name))
  if (own) fail(`${join(folder, own)}: wanted a folder without such a file, or an earlier ${work}; it would be lost`)
  if (resume) fail(`${folder}: there is no ${work} to resume: it holds no ${file}`)
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw fileError(error, folder)
  })
  return undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const isRecord = (value: unknown): value is Common =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Refuses to go on with what was measured of something else. */
function checkCommon(folder: string, { changes }: Kind, before: Common, now: Common): void {
  const text = (value: unknown) => JSON.stringify(value)
  const other = Object.keys(now).find((name) => text(now[name]) !== text(before[name]))
  if (other !== undefined)
    fail(
      `--resume: ${folder} was begun with ${other} ${text(before[other])}, found ${text(now[other])}; only ${changes} may change`,
    )
}
