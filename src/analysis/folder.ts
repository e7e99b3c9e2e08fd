/** A folder of results that is there whole or not at all. */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fail } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import { fillFolder, namesIn } from '../folders.js'

/** Files by their path in the folder, with `/` between names. */
export type FolderFiles = ReadonlyMap<string, Uint8Array | string>

/**
 * Checks that results may be written to `out`: that it is new, empty, or holds earlier results and nothing else.
 *
 * @param own - names that results have at the top of the folder; earlier ones have all of them
 * @throws InputError when it is a file or holds anything else
 */
export async function checkFolder(out: string, own: readonly string[]): Promise<void> {
  const names = await namesIn(out)
  const other = names.find((name) => !own.includes(name)) ?? (names.length < own.length ? names[0] : undefined)
  if (other !== undefined)
    fail(`${out}: wanted a new or empty folder, or one with earlier results to replace, found ${other} in it`)
}

/**
 * Writes files into a folder, in place of earlier results.
 *
 * @param own - as for {@link checkFolder}
 * @returns the paths of the files, in the order given
 * @throws InputError when `out` holds something else, or cannot be written
 */
export async function writeFolder(out: string, files: FolderFiles, own: readonly string[]): Promise<string[]> {
  await checkFolder(out, own)
  const fill = async (folder: string) => {
    for (const [name, content] of files) {
      await mkdir(dirname(join(folder, name)), { recursive: true })
      await writeFileAtomic(join(folder, name), content)
    }
  }
  await fillFolder(out, fill, own)
  return [...files.keys()].map((name) => join(out, name))
}
