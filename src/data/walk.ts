/** Pictures below a folder, and what else lies there. */

import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError } from '../files.js'
import { isPictureName, notPictureReason } from '../images/format.js'
import type { LeftOut } from './left-out.js'

/** What a folder holds, names sorted by code units. */
export interface Listing {
  readonly folders: readonly string[]
  readonly pictures: readonly string[]
  /** Paths below the folder's own. */
  readonly leftOut: readonly LeftOut[]
}

/** What macOS puts into archives beside the files; it holds no pictures, though its names look like it. */
export const isMacResidue = (name: string): boolean => name === '__MACOSX'

/**
 * What lies directly in a folder. Names that start with a dot are hidden: they are passed over and not listed.
 *
 * @param followLinks enter linked folders; a link can lead in circles
 * @throws InputError when the folder cannot be read
 */
export async function listFolder(folder: string, followLinks: boolean): Promise<Listing> {
  const folders: string[] = []
  const pictures: string[] = []
  const leftOut: LeftOut[] = []
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) =>
    Promise.reject(fileError(error, folder)),
  )
  for (const entry of entries) {
    const { name } = entry
    if (name.startsWith('.')) continue
    const target = entry.isSymbolicLink() ? await stat(join(folder, name)).catch(() => undefined) : entry
    const reason = reasonAgainst(entry, target, followLinks)
    if (reason !== undefined) leftOut.push({ path: join(folder, name), reason })
    else (target?.isDirectory() ? folders : pictures).push(name)
  }
  leftOut.sort((a, b) => byCodeUnits(a.path, b.path))
  return { folders: folders.sort(byCodeUnits), pictures: pictures.sort(byCodeUnits), leftOut }
}

type Kind = Pick<Dirent, 'isDirectory' | 'isFile' | 'isSymbolicLink'>

/** Why an entry is not used. */
function reasonAgainst(entry: Dirent, target: Kind | undefined, followLinks: boolean): string | undefined {
  if (target === undefined) return 'a link that leads nowhere'
  if (target.isDirectory()) {
    if (entry.isSymbolicLink() && !followLinks) return 'a linked folder, which is not entered'
    return isMacResidue(entry.name) ? 'what macOS adds to archives' : undefined
  }
  if (!target.isFile()) return 'not a regular file'
  return isPictureName(entry.name) ? undefined : notPictureReason(entry.name)
}

/**
 * Names of all pictures below `folder`, at any depth, relative to it, sorted; and what else is there. Linked folders are
 * not entered; linked pictures count.
 *
 * @throws InputError when a folder cannot be read
 */
export async function picturesBelow(folder: string): Promise<Omit<Listing, 'folders'>> {
  const pictures: string[] = []
  const leftOut: LeftOut[] = []
  const enter = async (prefix: string): Promise<void> => {
    const listing = await listFolder(join(folder, prefix), false)
    for (const name of listing.pictures) pictures.push(prefix + name)
    for (const item of listing.leftOut) leftOut.push(item)
    for (const name of listing.folders) await enter(`${prefix}${name}/`)
  }
  await enter('')
  return { pictures: pictures.sort(byCodeUnits), leftOut }
}

/** Not by locale: the class index must be the same on every machine. */
export function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
