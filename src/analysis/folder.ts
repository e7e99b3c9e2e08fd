/** A folder of results that is there whole or not at all. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fail, InputError } from '../errors.js'
import { fileError, writeFileAtomic } from '../files.js'

/** Files by their path in the folder, with `/` between names. */
export type FolderFiles = ReadonlyMap<string, Uint8Array | string>

/**
 * Checks that results may be written to `out`: that it is new, empty, or holds nothing but earlier results.
 *
 * @param own - names that earlier results may have at the top of the folder
 * @throws InputError when it is a file or holds anything else
 */
export async function checkFolder(out: string, own: readonly string[]): Promise<void> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    if (error.code === 'ENOTDIR') return fail(`${out}: wanted a folder, found a file`)
    throw fileError(error, out)
  })
  const other = names.find((name) => !own.includes(name))
  if (other !== undefined)
    fail(`${out}: wanted a new or empty folder, or one with earlier results to replace, found ${other} in it`)
}

/**
 * Writes a folder under a temporary name beside `out`, then gives it the name, in place of earlier results.
 *
 * @param own - as for {@link checkFolder}
 * @returns the paths of the files, in the order given
 * @throws InputError when `out` holds something else, or cannot be written
 */
export async function writeFolder(out: string, files: FolderFiles, own: readonly string[]): Promise<string[]> {
  await checkFolder(out, own)
  const target = resolve(out)
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}`)
  const [fresh, old] = [`${temporary}.new`, `${temporary}.old`]
  try {
    await mkdir(fresh, { recursive: true })
    for (const [name, content] of files) {
      await mkdir(dirname(join(fresh, name)), { recursive: true })
      await writeFileAtomic(join(fresh, name), content)
    }
    const replaced = await moveAway(target, old)
    try {
      await rename(fresh, target)
    } catch (error) {
      if (replaced) await rename(old, target)
      throw error
    }
  } catch (error) {
    throw error instanceof InputError ? new InputError(error.message.replaceAll(fresh, out)) : fileError(error, out)
  } finally {
    await rm(fresh, { recursive: true, force: true })
    await rm(old, { recursive: true, force: true })
  }
  return [...files.keys()].map((name) => join(out, name))
}

/** Whether there was something to move. */
async function moveAway(path: string, to: string): Promise<boolean> {
  try {
    await rename(path, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
