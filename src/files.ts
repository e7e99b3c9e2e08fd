/** Reading and writing whole files on Node, so that a crash never leaves half a file. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { type FileHandle, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEnd, breakOff, unbroken } from './ending.js'
import { fail, InputError } from './errors.js'

/** What may be written: one piece after the other. */
export type Chunks = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EISDIR: 'is a folder, not a file',
  EEXIST: 'is there already and no folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOSPC: 'no space left on the disk',
  EROFS: 'the disk is read-only',
  ENAMETOOLONG: 'the name is too long',
  EMFILE: 'too many open files',
}

/** The operating system's error about `path` as one clear line; anything else is handed back as it is. */
export function fileError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || error instanceof InputError) return error
  return new InputError(`${path}: ${reasons[String(error.code)] ?? error.message}`)
}

/** Opens a file for reading and hands it, with its size in bytes, to `use`; closes it in every case. */
export async function withFile<Result>(
  path: string,
  use: (file: FileHandle, size: number) => Promise<Result>,
): Promise<Result> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    const stat = await file.stat()
    if (stat.isDirectory()) fail(`${path}: ${reasons.EISDIR}`)
    // A pipe or device has no size to check before reading.
    if (!stat.isFile()) fail(`${path}: not a regular file`)
    return await use(file, stat.size)
  } catch (error) {
    throw fileError(error, path)
  } finally {
    await file?.close()
  }
}

/** `length` bytes of an open file from `position`; fewer when the file ends before. */
export const readAt = (file: FileHandle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> =>
  fill(new Uint8Array(length), file, position)

async function fill<Memory extends ArrayBufferLike>(
  bytes: Uint8Array<Memory>,
  file: FileHandle,
  position: number,
): Promise<Uint8Array<Memory>> {
  const { length } = bytes
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done === length ? bytes : bytes.subarray(0, done)
}

/**
 * The whole content of a file, in memory of its own (aligned for typed arrays).
 *
 * @throws InputError when there is no such file, it is a folder, or it is larger than `limit` bytes.
 */
export const readWholeFile = (path: string, limit = READABLE): Promise<Uint8Array<ArrayBuffer>> =>
  withFile(path, (file, size) => readAt(file, 0, checked(path, size, limit)))

/**
 * {@link readWholeFile} into memory that threads share: handing weights to a thread copies nothing, and V8, which could
 * not free them anyway, is not pressed by their size to look for garbage.
 */
export const readShared = (path: string, limit = READABLE): Promise<Uint8Array<SharedArrayBuffer>> =>
  withFile(path, (file, size) => fill(new Uint8Array(new SharedArrayBuffer(checked(path, size, limit))), file, 0))

/** A file from `start` on, piece by piece. */
export async function* pieces(path: string, start: number, length = 2 ** 22): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { size } = await stat(path)
  for (let at = start; at < size; at += length) yield await withFile(path, (file) => readAt(file, at, length))
}

/** The most bytes that are read at once. */
const READABLE = 2 ** 32 - 1

function checked(path: string, size: number, limit: number): number {
  if (size > limit) fail(`${path}: ${size} bytes is more than the ${limit} that can be read at once`)
  return size
}

/**
 * Writes a file so that `path` holds either what it held before or all of the new content: the chunks go to a temporary
 * name in the same folder, reach the disk, and then take the name. Where `path` is a link, the file behind it is
 * replaced. A process that is asked to end breaks off between two pieces and leaves nothing behind.
 *
 * @throws InputError when the folder does not exist or cannot be written.
 */
export const writeFileAtomic = (path: string, chunks: Chunks | Uint8Array | string): Promise<void> =>
  unbroken(async () => {
    const target = await realpath(path).catch(() => path)
    const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`
    let file: FileHandle | undefined
    try {
      file = await open(temporary, 'wx')
      const pieces = typeof chunks === 'string' || chunks instanceof Uint8Array ? [chunks] : chunks
      for await (const piece of pieces) await writeAll(file, typeof piece === 'string' ? Buffer.from(piece) : piece)
      await file.sync()
      await file.close()
      file = undefined
      await rename(temporary, target)
    } catch (error) {
      await file?.close()
      await rm(temporary, { force: true })
      throw fileError(error, path)
    }
    await syncFolder(dirname(target))
  })

/** Whether a file is one that a killed {@link writeFileAtomic} left. */
export const isUnfinished = (name: string): boolean => /\.[0-9a-f]{12}\.tmp$/.test(name)

/** Removes from a folder what killed writers left; for who alone writes there. */
export async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (isUnfinished(name)) await rm(join(folder, name), { force: true })
}

/** Bytes written at once. */
const PIECE = 2 ** 24

/**
 * All of the bytes into an open file, however few the system takes at once.
 *
 * @param position - where in the file; without it behind what was written last
 */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position?: number): Promise<void> {
  let done = 0
  while (done < bytes.byteLength) {
    breakOff()
    const at = position === undefined ? null : position + done
    const { bytesWritten } = await file.write(bytes, done, Math.min(PIECE, bytes.byteLength - done), at)
    done += bytesWritten
  }
}

/** Hands a new folder of the system's temporary files to `use`; afterwards, or when the process ends before, it is gone. */
export async function withTemporaryFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  breakOff()
  const folder = mkdtempSync(join(tmpdir(), 'idlevit-'))
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  const release = beforeEnd(remove)
  try {
    return await use(folder)
  } finally {
    release()
    remove()
  }
}

/** Makes the rename itself durable. Not every system lets a folder be opened: the content is safe all the same. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r')
    await folder.sync().finally(() => folder.close())
  } catch {}
}
