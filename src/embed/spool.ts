/**
 * Rows on their way into a file, kept where a killed process can find them again.
 *
 * A folder holds one file for every kind of row, and a journal: a line that says what is computed and how, then a line
 * for every batch whose rows have all been written. Rows behind the last such line are not believed: they are computed
 * again. Rows reach the disk before the line that counts them.
 */

import { type FileHandle, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../errors.js'
import { fileError, writeAll } from '../files.js'

/** Rows of one kind: all of one length, in one file, behind room for a header. */
export interface Stream {
  readonly bytesPerRow: number
  readonly headroom: number
}

/** What a batch added. */
export interface Mark {
  /** Pictures that are done with, in the order asked for: also those that could not be read. */
  readonly next: number
  /** Rows in every file. */
  readonly rows: number
  /** Pictures before `next` that could not be read, since the mark before. */
  readonly skipped: readonly { readonly index: number; readonly reason: string }[]
  /** Whatever else is to be remembered of it. */
  readonly notes?: unknown
}

/** What is computed and how, in plain values: rows of two runs belong together only where it is the same. */
export type Settings = Readonly<Record<string, string | number | boolean | readonly number[] | null>>

export interface Spool<Name extends string = string> {
  /** What earlier runs and this one have done, in order. */
  readonly marks: readonly Mark[]
  /** Writes the rows of a batch. Calls must not overlap. */
  append(rows: Readonly<Record<Name, Uint8Array>>, mark: Mark): Promise<void>
  /** Makes all that was appended durable. */
  flush(): Promise<void>
  path(name: Name | 'journal'): string
  close(): Promise<void>
}

const FORMAT = 'idlevit rows 1'
const FLUSH_MILLISECONDS = 1000

/** The settings under which a folder was begun, or undefined where there is no such folder. */
export async function spoolSettings(folder: string): Promise<Settings | undefined> {
  const { settings } = (await readJournal(folder)) ?? {}
  return settings
}

/** How many pictures a folder holds the rows of. */
export const spooledRows = async (folder: string): Promise<number> =>
  (await readJournal(folder))?.marks.at(-1)?.rows ?? 0

/**
 * Opens the folder, or begins it.
 *
 * @throws InputError when it was begun under other settings, naming the first that differs, or cannot be written
 */
export async function openSpool<Name extends string>(
  folder: string,
  settings: Settings,
  streams: Readonly<Record<Name, Stream>>,
): Promise<Spool<Name>> {
  const names = Object.keys(streams) as Name[]
  const path = (name: Name | 'journal') => join(folder, name)
  const files = {} as Record<Name, FileHandle>
  let journal: FileHandle | undefined
  try {
    const earlier = await readJournal(folder)
    if (earlier) checkSettings(folder, earlier.settings, settings)
    else await mkdir(folder, { recursive: false })
    const whole = earlier ? await covered(earlier.marks, folder, streams) : []
    const head = JSON.stringify({ format: FORMAT, settings })
    const lines = [head, ...whole.map((mark) => JSON.stringify(mark))].map((line) => `${line}\n`).join('')
    for (const name of names) {
      files[name] = await openFile(path(name))
      const { headroom, bytesPerRow } = streams[name]
      await files[name].truncate(headroom + (whole.at(-1)?.rows ?? 0) * bytesPerRow)
    }
    journal = await openFile(path('journal'))
    await journal.truncate(Buffer.byteLength(lines))
    await writeAll(journal, Buffer.from(lines), 0)
    let end = Buffer.byteLength(lines)
    const marks = [...whole]
    let pending = ''
    let flushed = performance.now()

    const flush = async () => {
      if (pending === '') return
      for (const name of names) await files[name].datasync()
      await writeAll(journal as FileHandle, Buffer.from(pending), end)
      await journal?.datasync()
      end += Buffer.byteLength(pending)
      pending = ''
      flushed = performance.now()
    }
    return {
      marks,
      path,
      flush,
      async append(rows, mark) {
        const before = marks.at(-1)?.rows ?? 0
        try {
          for (const name of names) {
            const { headroom, bytesPerRow } = streams[name]
            if (rows[name].byteLength !== (mark.rows - before) * bytesPerRow) throw new Error(`${name}: not whole rows`)
            await writeAll(files[name], rows[name], headroom + before * bytesPerRow)
          }
          marks.push(mark)
          pending += `${JSON.stringify(mark)}\n`
          if (performance.now() - flushed > FLUSH_MILLISECONDS) await flush()
        } catch (error) {
          throw fileError(error, folder)
        }
      },
      async close() {
        await Promise.all([journal, ...names.map((name) => files[name])].map((file) => file?.close()))
      },
    }
  } catch (error) {
    await Promise.all([journal, ...Object.values<FileHandle>(files)].map((file) => file?.close()))
    throw fileError(error, folder)
  }
}

/** Removes a folder of rows. */
export const removeSpool = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true })

const openFile = (path: string): Promise<FileHandle> =>
  open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return open(path, 'w+')
    throw error
  })

/** What a journal says, up to its last whole line; undefined where there is no folder. */
async function readJournal(folder: string): Promise<{ settings: Settings; marks: Mark[] } | undefined> {
  const text = await readFile(join(folder, 'journal'), 'utf8').catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw fileError(error, folder)
    if (await stat(folder).catch(() => undefined)) return '' // killed before its first line, or something else
    return undefined
  })
  if (text === undefined) return undefined
  const lines = text.split('\n').slice(0, -1)
  try {
    const [head, ...marks] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    if (head?.format === FORMAT) return { settings: head.settings as Settings, marks: marks as unknown as Mark[] }
  } catch {}
  return fail(`${folder}: wanted the rows of an unfinished run, found something else; move it away`)
}

/** The marks whose rows are all there: after a loss of power the last may not be. */
async function covered(
  marks: readonly Mark[],
  folder: string,
  streams: Readonly<Record<string, Stream>>,
): Promise<readonly Mark[]> {
  const there = await Promise.all(
    Object.entries(streams).map(async ([name, { bytesPerRow, headroom }]) => {
      const { size } = await stat(join(folder, name)).catch(() => ({ size: 0 }))
      return Math.floor((size - headroom) / bytesPerRow)
    }),
  )
  const rows = Math.min(...there)
  return marks.filter((mark) => mark.rows <= rows)
}

function checkSettings(folder: string, before: Settings, now: Settings): void {
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [was, is] = [before[name], now[name]].map((value) => JSON.stringify(value) ?? 'nothing')
    if (was !== is)
      fail(`${folder}: was begun with ${name} ${was}, this run has ${is}; give the same, or remove the folder`)
  }
}
