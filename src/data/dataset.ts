/**
 * Labelled pictures, wherever they lie: one shape for an image folder, a list file, tar shards, CIFAR batches and
 * generated pictures. A data set knows names and labels; `source(i)` says where the bytes of picture i are, as plain
 * data that travels to a worker, so pictures can be read in any order and by any thread.
 */

import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../errors.js'
import type { RgbImage } from '../images/resample.js'
import { expandBraces } from './braces.js'
import { openCifar } from './cifar.js'
import { openFolder } from './folder.js'
import type { LeftOut } from './left-out.js'
import { openList } from './list.js'
import { asksForScenes, openScenes } from './scenes/dataset.js'
import { openWebDataset } from './webdataset.js'

/** One labelled picture. */
export interface Sample {
  /** What messages and reports call it. */
  readonly name: string
  /** Index into the data's own classes: those of `classNames`, or numbers as they stand in the data. */
  readonly label: number
}

/** Where a picture's bytes are. A structured-cloneable value. */
export type Source =
  /** A whole picture file. */
  | { readonly kind: 'file'; readonly path: string }
  /** An encoded picture inside a larger file, named by path or by an open descriptor of this process. */
  | { readonly kind: 'range'; readonly file: string | number; readonly offset: number; readonly length: number }
  /** Uncompressed 8-bit planes inside a larger file, [3, height, width]: a CIFAR record. */
  | {
      readonly kind: 'planes'
      readonly file: string
      readonly offset: number
      readonly width: number
      readonly height: number
    }
  /** An encoded picture in memory. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A decoded picture in memory, RGB, [height, width, 3]. */
  | ({ readonly kind: 'rgb' } & RgbImage)
  /** A picture drawn where it is read: `scene(seed, index)`. */
  | { readonly kind: 'scene'; readonly seed: number; readonly index: number }

/** Labelled pictures with random access. */
export interface Dataset {
  /** What the user called it. */
  readonly name: string
  readonly samples: readonly Sample[]
  /** Names of the classes, by index, where the data itself has them. */
  readonly classNames?: readonly string[]
  /** What lies there too and is not used. Names that start with a dot are hidden and not listed. */
  readonly leftOut?: readonly LeftOut[]
  /** What is odd about it and still used, one line each. */
  readonly warnings?: readonly string[]
  /** Where picture `index` is. */
  source(index: number): Source
  /** Gives back open files; the data set is of no use afterwards. */
  close(): Promise<void>
}

/** Options of {@link openDataset}. */
export interface DatasetOptions {
  /** How many classes the model knows: a number outside 0 … classes - 1 in a list file or tar is refused, by line or entry. */
  readonly classes?: number
}

const isTar = (path: string) => /\.(tar|tar\.gz|tgz)$/i.test(path)
const isBinary = (path: string) => /\.bin$/i.test(path)

/**
 * Opens labelled pictures: what `--data` takes.
 *
 * @param spec an image folder (one sub-folder per class, sorted name = index); a text file of `path index` lines; tar
 *   shards (`train-{0..4}.tar.gz`); CIFAR-10 binary batches (`data_batch_{1..5}.bin`, or the folder they lie in, which
 *   means the training batches); `scenes[:SEED[:COUNT]]`, the procedural set
 * @throws InputError saying what was wanted and what was found
 */
export async function openDataset(spec: string, options: DatasetOptions = {}): Promise<Dataset> {
  if (asksForScenes(spec)) return openScenes(spec)
  const paths = existsSync(spec) ? [spec] : expandBraces(spec)
  const absent = paths.find((path) => !existsSync(path))
  if (absent !== undefined) fail(`${absent}: no such file or folder`)
  if (paths.every(isTar)) return openWebDataset(spec, paths, options)
  if (paths.every(isBinary)) return openCifar(spec, paths)
  const [path, second] = paths
  if (path === undefined || second !== undefined) fail(`${spec}: several files must all be .tar, .tar.gz or .bin`)
  if (!statSync(path).isDirectory()) return openList(path, options)
  const names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort()
  const batches = names.filter((name) => /^data_batch_\d+\.bin$/.test(name))
  if (batches.length > 0) {
    const inFolder = (chosen: readonly string[]) => chosen.map((name) => join(path, name))
    const others = inFolder(names.filter((name) => !batches.includes(name)))
    const leftOut = others.map((other) => ({ path: other, reason: 'beside the training batches' }))
    return { ...(await openCifar(spec, inFolder(batches))), leftOut }
  }
  return openFolder(path)
}
