/** Labelled pictures named by a text file: one `path index` a line. */

import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fail } from '../errors.js'
import { readWholeFile } from '../files.js'
import type { Dataset, DatasetOptions, Sample } from './dataset.js'
import { checkLabel } from './label.js'
import type { LeftOut } from './left-out.js'

/**
 * Opens a list file. The index is what stands after the last blank, so paths may hold blanks; they are relative to the
 * list file, or absolute. Empty lines are passed over; a `#` followed by a blank starts a comment, which is listed in
 * `leftOut`. A picture that stands there twice counts twice, and a warning says so.
 *
 * @throws InputError with the line's number: no index, an index out of range, no such picture
 */
export async function openList(path: string, { classes }: DatasetOptions = {}): Promise<Dataset> {
  const bytes = await readWholeFile(path)
  if (bytes.subarray(0, 4096).includes(0)) fail(`${path}: not a text file of 'path index' lines`)
  const samples: Sample[] = []
  const numbers: number[] = [] // of their lines
  const leftOut: LeftOut[] = []
  const missing: string[] = []
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\r|\n/)
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue
    const where = `${path}:${i + 1}`
    if (/^\s*#(\s|$)/.test(line)) {
      leftOut.push({ path: where, reason: 'a comment' })
      continue
    }
    const sample = readLine(line, classes, where)
    samples.push(sample)
    numbers.push(i + 1)
    if (!isFile(resolve(dirname(path), sample.name))) missing.push(`${where}: no such picture: ${sample.name}`)
  }
  if (samples.length === 0) fail(`${path}: holds no pictures ('path index' lines)`)
  if (missing.length > 0) fail(`${missing[0]} (${missing.length} of ${samples.length} are missing)`)
  return {
    name: path,
    samples,
    leftOut,
    warnings: repeats(path, samples, numbers),
    source: (index) => ({ kind: 'file', path: resolve(dirname(path), samples[index]?.name ?? '') }),
    close: async () => {},
  }
}

function readLine(line: string, classes: number | undefined, where: string): Sample {
  const text = line.trim()
  const [, name = '', index = ''] = /^(.*\S)\s+(\S+)$/.exec(text) ?? []
  const separator = /[,;]\s*\d+$/.exec(text)?.[0][0]
  if (separator !== undefined && !(/^\d+$/.test(index) && !name.endsWith(separator)))
    fail(`${where}: wanted a blank between path and index, found '${separator}' in '${text.slice(0, 80)}'`)
  if (name === '') fail(`${where}: no 'path index' but '${text.slice(0, 80)}'`)
  if (/^\d+\s/.test(text) && !/^\d+$/.test(index))
    fail(`${where}: wanted 'path index' in this order, found '${text.slice(0, 80)}'`)
  return { name, label: checkLabel(index, classes, where) }
}

/** Tells of pictures that stand in the list more than once: all the same, and under several indices. */
function repeats(path: string, samples: readonly Sample[], numbers: readonly number[]): string[] {
  const seen = new Map<string, number>()
  const again: number[] = []
  const torn: number[] = []
  for (const [i, { name, label }] of samples.entries()) {
    const first = seen.get(name)
    if (first === undefined) seen.set(name, i)
    else (samples[first]?.label === label ? again : torn).push(i)
  }
  const tell = (found: readonly number[], what: string) => {
    const [example] = found
    if (example === undefined) return []
    const { name = '' } = samples[example] ?? {}
    const both = [seen.get(name) ?? 0, example].map((i) => numbers[i])
    return [`${path}: ${found.length} lines ${what} (${name}: lines ${both.join(' and ')})`]
  }
  return [
    ...tell(again, 'name a picture that stood there before; it counts every time'),
    ...tell(torn, 'give a picture another index than an earlier line'),
  ]
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}
