/**
 * What `--data` takes, by what lies there: an image folder, a list file, tar shards, CIFAR batches, generated pictures.
 */

import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../errors.js'
import { expandBraces } from './braces.js'
import { openCifar } from './cifar.js'
import type { Dataset, DatasetOptions } from './dataset.js'
import { openFolder } from './folder.js'
import { openList } from './list.js'
import { asksForScenes, openScenes } from './scenes/dataset.js'
import { openWebDataset } from './webdataset.js'

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
