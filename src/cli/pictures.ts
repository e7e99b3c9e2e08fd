/** The pictures of commands that take them by name or as `--data`. */

import type { Command } from 'commander'
import type { Dataset } from '../data/dataset.js'

/** Refuses both of two ways to name pictures, and neither: wrong usage. */
export function checkPictures(
  command: Command,
  images: readonly string[],
  data: string | undefined,
  use: string,
): void {
  if (data !== undefined && images.length > 0)
    command.error('error: --data: wanted pictures by name or --data, found both')
  if (data === undefined && images.length === 0)
    command.error(`error: nothing to ${use}: wanted pictures by name, or --data`)
}

/** Pictures with labels where `data` is given, else those of these names. */
export async function openPictures(
  images: readonly string[],
  data: string | undefined,
  classes?: number,
): Promise<Dataset> {
  if (data !== undefined) {
    const { openDataset } = await import('../data/open.js')
    return openDataset(data, classes === undefined ? {} : { classes })
  }
  const [{ expandPictures, closeStdin }, { openUnlabelled }] = await Promise.all([
    import('../data/pictures.js'),
    import('../data/unlabelled.js'),
  ])
  const found = await expandPictures(images)
  const dataset = await openUnlabelled(nameOf(images), found)
  closeStdin(found.pictures)
  return dataset
}

const nameOf = ([first = '', ...others]: readonly string[]): string =>
  others.length === 0 ? first : `${first} and ${others.length} more`
