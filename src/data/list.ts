/** Labelled pictures named by a text file: one `path index` a line. */

import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fail } from '../errors.js'
import { readWholeFile } from '../files.js'
import type { Dataset, DatasetOptions, Sample } from './dataset.js'
import { checkLabel } from './label.js'

/**
 * Opens a list file. The index is what stands after the last blank, so paths may hold blanks; they are relative to the
 * list file, or absolute. Empty lines are passed over.
 *
 * @throws InputError with the line's number: no index, an index out of range, no such picture
 */
export async function openList(path: string, { classes }: DatasetOptions = {}): Promise<Dataset> {
  const bytes = await readWholeFile(path)
  if (bytes.subarray(0, 4096).includes(0)) fail(`${path}: not a text file of 'path index' lines`)
  const samples: Sample[] = []
  const missing: string[] = []
  const lines = new TextDecoder().decode(bytes).split(/\r?\n/)
  for (const [number, line] of lines.entries()) {
    if (line.trim() === '') continue
    const where = `${path}:${number + 1}`
    const [, name, index] =
      /^\s*(.*\S)\s+(\S+)\s*$/.exec(line) ?? fail(`${where}: no 'path index' but '${line.trim()}'`)
    const label = checkLabel(index as string, classes, where)
    const sample = { name: name as string, label }
    samples.push(sample)
    if (!isFile(resolve(dirname(path), sample.name))) missing.push(`${where}: no such picture: ${sample.name}`)
  }
  if (samples.length === 0) fail(`${path}: holds no pictures ('path index' lines)`)
  if (missing.length > 0) fail(`${missing[0]} (${missing.length} of ${samples.length} are missing)`)
  return {
    name: path,
    samples,
    source: (index) => ({ kind: 'file', path: resolve(dirname(path), samples[index]?.name ?? '') }),
    close: async () => {},
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}
