/** Labelled pictures in folders: one sub-folder per class, torchvision's `ImageFolder`. */

import { join } from 'node:path'
import { fail } from '../errors.js'
import type { Dataset, Sample } from './dataset.js'
import { countByReason, type LeftOut } from './left-out.js'
import { listFolder, picturesBelow } from './walk.js'

/**
 * Opens an image folder. The sub-folders' names, sorted, are the class names; a class holds every picture below its
 * folder. Names that start with a dot are passed over; everything else that is not used is in `leftOut`.
 *
 * @throws InputError when there are no sub-folders, or a class without pictures
 */
export async function openFolder(root: string): Promise<Dataset> {
  const { folders, pictures, leftOut: besideClasses } = await listFolder(root, true)
  if (folders.length === 0) {
    const found = pictures.length > 0 ? `${pictures.length} pictures without a class` : 'none'
    fail(`${root}: wanted one sub-folder per class, found ${found}`)
  }
  const samples: Sample[] = []
  const leftOut: LeftOut[] = [...besideClasses]
  for (const name of pictures) leftOut.push({ path: join(root, name), reason: 'a picture beside the class folders' })
  const empty: { readonly path: string; readonly leftOut: readonly LeftOut[] }[] = []
  for (const [label, folder] of folders.entries()) {
    const below = await picturesBelow(join(root, folder))
    if (below.pictures.length === 0) empty.push({ path: join(root, folder), leftOut: below.leftOut })
    for (const name of below.pictures) samples.push({ name: `${folder}/${name}`, label })
    for (const item of below.leftOut) leftOut.push(item)
  }
  refuseEmpty(empty)
  return {
    name: root,
    samples,
    classNames: folders,
    leftOut,
    source: (index) => ({ kind: 'file', path: join(root, samples[index]?.name ?? '') }),
    close: async () => {},
  }
}

/** As torchvision does: a class that cannot be seen or learned is a mistake more often than an intention. */
function refuseEmpty(empty: readonly { readonly path: string; readonly leftOut: readonly LeftOut[] }[]): void {
  const [first] = empty
  if (!first) return
  const found = first.leftOut.length > 0 ? `, but ${countByReason(first.leftOut).join('; ')}` : ''
  const others = empty.length > 1 ? `; ${empty.length - 1} more are empty too` : ''
  fail(`${first.path}: a class folder without pictures${found}${others}`)
}
