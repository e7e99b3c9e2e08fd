/**
 * Files of features: rows that lie in a spool become a `.npy`, a `.safetensors` or a `.parquet` file.
 *
 * The first two are the spool's own file: room for the header was left, so nothing is copied however large it is. What
 * belongs to the rows (paths, labels, prefix rows) is inside a safetensors or Parquet file and beside an NPY file, which
 * holds one array.
 */

import { type FileHandle, open, rename, stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { fail } from '../errors.js'
import { fileError, pieces, writeAll, writeFileAtomic } from '../files.js'
import { safetensorsHeader, type TensorEntry } from '../weights/safetensors.js'
import type { Content, RowFile } from './content.js'
import { NPY_HEADER, npyHeader } from './npy.js'

export const formats = ['npy', 'parquet', 'safetensors'] as const
export type Format = (typeof formats)[number]

/** A file that was written. */
export interface WrittenFile {
  readonly path: string
  readonly bytes: number
}

/**
 * The format that a file's ending says.
 *
 * @throws InputError where it says none
 */
export function formatOf(out: string): Format {
  const ending = extname(out).slice(1).toLowerCase()
  return (
    formats.find((format) => format === ending) ??
    fail(`${out}: wanted a name that ends in .npy, .parquet or .safetensors`)
  )
}

/** Names of all files that a run writes, the one asked for last. */
export function filesOf(
  out: string,
  { prefix, labels }: { readonly prefix: boolean; readonly labels: boolean },
): string[] {
  if (formatOf(out) !== 'npy') return [out]
  const parts = ['paths.txt', ...(labels ? ['labels.npy'] : []), ...(prefix ? ['prefix.npy'] : [])]
  return [...parts.map((part) => beside(out, part)), out]
}

/** `dir/name.npy` → `dir/name.part` */
export const beside = (out: string, part: string): string => `${out.slice(0, -extname(out).length)}.${part}`

/** Bytes to leave free before the first row. */
export function headroomOf(
  format: Format,
  content: Omit<Content, 'paths' | 'labels'> & { readonly labelled: boolean },
): number {
  if (format === 'npy') return NPY_HEADER
  if (format === 'parquet') return 0
  const digits = 2 ** 40 // of whatever sizes will stand there
  const entries = tensorsOf(content, digits, content.labelled)
  return safetensorsHeader(entries, content.metadata).byteLength
}

/**
 * Turns the spool's files into what `out` asks for. Killed in between it can be called again.
 *
 * @param spooled - where a file of the spool lies
 */
export async function writeFeatures(
  out: string,
  content: Content,
  spooled: (name: RowFile) => string,
): Promise<WrittenFile[]> {
  const format = formatOf(out)
  if (format === 'npy') await writeNpy(out, content, spooled)
  else if (format === 'safetensors') await writeTensors(out, content, spooled)
  else await (await import('./parquet.js')).writeParquet(out, content, spooled)
  const files = filesOf(out, { prefix: content.prefix !== undefined, labels: content.labels !== undefined })
  return Promise.all(files.map(async (path) => ({ path, bytes: (await stat(path)).size })))
}

async function writeNpy(out: string, content: Content, spooled: (name: RowFile) => string): Promise<void> {
  const { rows, shape, prefix, half, labels } = content
  const type = half ? '<f2' : '<f4'
  await writeFileAtomic(beside(out, 'paths.txt'), lines(content.paths))
  if (labels) await writeFileAtomic(beside(out, 'labels.npy'), [npyHeader('<i4', [rows]), bytesOf(labels)])
  if (prefix) {
    const header = npyHeader(type, [rows, ...prefix])
    await writeFileAtomic(beside(out, 'prefix.npy'), withHeader(header, spooled('prefix')))
  }
  await finishInPlace(spooled('features'), out, npyHeader(type, [rows, ...shape]), async () => {})
}

async function writeTensors(out: string, content: Content, spooled: (name: RowFile) => string): Promise<void> {
  const { rows, labels, prefix, metadata } = content
  const paths = new TextEncoder().encode([...lines(content.paths)].join(''))
  const labelled = labels !== undefined
  const room = headroomOf('safetensors', { ...content, labelled })
  const header = safetensorsHeader(tensorsOf(content, rows, labelled, paths.byteLength), metadata, room)
  await finishInPlace(spooled('features'), out, header, async (append) => {
    if (prefix) for await (const piece of pieces(spooled('prefix'), 0)) await append(piece)
    if (labels) await append(bytesOf(labels))
    await append(paths)
  })
}

/** Tensors in the order in which they lie. */
function tensorsOf(
  { shape, prefix, half }: Pick<Content, 'shape' | 'prefix' | 'half'>,
  rows: number,
  labelled: boolean,
  pathBytes = rows,
): TensorEntry[] {
  const [dtype, size] = half ? (['F16', 2] as const) : (['F32', 4] as const)
  const floats = (name: string, each: readonly number[]): TensorEntry => {
    const full = [rows, ...each]
    return { name, dtype, shape: full, bytes: size * full.reduce((a, b) => a * b, 1) }
  }
  return [
    floats('features', shape),
    ...(prefix ? [floats('prefix', prefix)] : []),
    ...(labelled ? [{ name: 'labels', dtype: 'I32', shape: [rows], bytes: 4 * rows }] : []),
    { name: 'paths', dtype: 'U8', shape: [pathBytes], bytes: pathBytes },
  ]
}

/** Writes what comes before and behind the rows into their own file, which then takes its name. */
async function finishInPlace(
  rows: string,
  out: string,
  header: Uint8Array,
  behind: (append: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  let file: FileHandle | undefined
  try {
    file = await open(rows, 'r+')
    let end = (await file.stat()).size
    await writeAll(file, header, 0)
    const append = async (bytes: Uint8Array) => {
      await writeAll(file as FileHandle, bytes, end)
      end += bytes.byteLength
    }
    await behind(append)
    await file.sync()
    await file.close()
    file = undefined
    await rename(rows, out)
  } catch (error) {
    await file?.close()
    throw fileError(error, out)
  }
}

async function* withHeader(header: Uint8Array, path: string): AsyncGenerator<Uint8Array> {
  yield header
  yield* pieces(path, 0)
}

/** A path a line; a line break in a path is written as `\n`, so that there are as many lines as rows. */
function* lines(paths: readonly string[]): Generator<string> {
  for (const path of paths) yield `${path.replaceAll('\r', '\\r').replaceAll('\n', '\\n')}\n`
}

const bytesOf = (array: Int32Array): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
