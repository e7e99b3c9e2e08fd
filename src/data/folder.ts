/** Labelled pictures in folders: one sub-folder per class, torchvision's `ImageFolder`. */

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../errors.js'
import { fileError } from '../files.js'
import { isPictureName } from '../images/format.js'
import type { Dataset, Sample } from './dataset.js'

/**
 * Opens an image folder. The sub-folders' names, sorted, are the class names; a class holds every picture below its
 * folder. Names that start with a dot are passed over.
 *
 * @throws InputError when there are no sub-folders, or a class without pictures
 */
export async function openFolder(root: string): Promise<Dataset> {
  const { folders, pictures } = await listFolder(root)
  if (folders.length === 0) {
    const found = pictures.length > 0 ? `${pictures.length} pictures without a class` : 'none'
    fail(`${root}: wanted one sub-folder per class, found ${found}`)
  }
  const samples: Sample[] = []
  for (const [label, folder] of folders.entries()) {
    const names = await picturesBelow(join(root, folder))
    if (names.length === 0) fail(`${join(root, folder)}: a class folder without pictures`)
    for (const name of names) samples.push({ name: `${folder}/${name}`, label })
  }
  return {
    name: root,
    samples,
    classNames: folders,
    source: (index) => ({ kind: 'file', path: join(root, samples[index]?.name ?? '') }),
    close: async () => {},
  }
}

/**
 * Names of all pictures below `folder`, at any depth, relative to it, sorted. Linked folders are not entered (a link can
 * lead in circles); linked pictures count.
 */
export async function picturesBelow(folder: string): Promise<string[]> {
  const { folders, pictures } = await listFolder(folder, false)
  const below = await Promise.all(
    folders.map(async (name) => (await picturesBelow(join(folder, name))).map((picture) => `${name}/${picture}`)),
  )
  return [...pictures, ...below.flat()].sort(byCodeUnits)
}

/** What lies directly in a folder, sorted: folders, and files whose names are those of pictures. */
async function listFolder(folder: string, followLinks = true): Promise<{ folders: string[]; pictures: string[] }> {
  const folders: string[] = []
  const pictures: string[] = []
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) =>
    Promise.reject(fileError(error, folder)),
  )
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    const target = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => undefined) : entry
    const enter = followLinks || !entry.isSymbolicLink()
    if (target?.isDirectory() && enter) folders.push(entry.name)
    else if (target?.isFile() && isPictureName(entry.name)) pictures.push(entry.name)
  }
  return { folders: folders.sort(byCodeUnits), pictures: pictures.sort(byCodeUnits) }
}

// Not by locale: the class index must be the same on every machine.
function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
