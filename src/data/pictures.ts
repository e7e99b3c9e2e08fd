/** Unlabelled pictures: what `classify` is given. */

import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../errors.js'
import { isPictureName } from '../images/format.js'
import { expandBraces } from './braces.js'
import { picturesBelow } from './folder.js'

/**
 * Paths of pictures from files, folders (every picture below) and globs: `*`, `?`, `[a-z]`, `**` for any depth, `{a,b}`.
 * What exists under the very name is taken as it is, whatever characters it holds.
 *
 * @throws InputError when there is no such file, a folder holds no pictures, or nothing matches
 */
export async function expandPictures(inputs: readonly string[]): Promise<string[]> {
  const paths: string[] = []
  for (const input of inputs) {
    if (existsSync(input)) paths.push(...(await picturesAt(input)))
    else if (/[*?[{]/.test(input)) paths.push(...(await glob(input)))
    else fail(`${input}: no such file or folder`)
  }
  return paths
}

async function picturesAt(path: string): Promise<string[]> {
  if (!statSync(path).isDirectory()) return [path]
  const names = await picturesBelow(path)
  if (names.length === 0) fail(`${path}: the folder holds no pictures`)
  return names.map((name) => join(path, name))
}

async function glob(pattern: string): Promise<string[]> {
  const found = new Set<string>()
  for (const plain of expandBraces(pattern)) {
    const [first = '', ...rest] = plain.split('/')
    for (const path of await matches(first === '' ? '/' : '', first === '' ? rest : [first, ...rest])) found.add(path)
  }
  const paths = (await Promise.all([...found].sort().map(picturesOrFile))).flat()
  if (paths.length === 0) fail(`${pattern}: no picture matches`)
  return paths
}

/** A file that matched by chance need not be a picture: only those named like one count. */
async function picturesOrFile(path: string): Promise<string[]> {
  if (statSync(path).isDirectory()) return (await picturesBelow(path)).map((name) => join(path, name))
  return isPictureName(path) ? [path] : []
}

/** Existing paths below `base` that match the remaining segments of a pattern. */
async function matches(base: string, segments: readonly string[]): Promise<string[]> {
  const [segment, ...rest] = segments
  if (segment === undefined) return [base]
  if (segment === '**') {
    const deeper = (await names(base)).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    const below = await Promise.all(deeper.map((entry) => matches(join(base, entry.name), segments)))
    return [...(await matches(base, rest.length > 0 ? rest : ['*'])), ...below.flat()]
  }
  if (!/[*?[]/.test(segment)) {
    const path = join(base, segment)
    return existsSync(path) ? matches(path, rest) : []
  }
  const pattern = segmentPattern(segment)
  const hidden = segment.startsWith('.')
  const fitting = (await names(base)).filter(({ name }) => pattern.test(name) && (hidden || !name.startsWith('.')))
  return (await Promise.all(fitting.map((entry) => matches(join(base, entry.name), rest)))).flat()
}

/** What a folder holds; nothing when it is not one or may not be read. */
function names(folder: string) {
  return readdir(folder || '.', { withFileTypes: true }).catch(() => [])
}

function segmentPattern(segment: string): RegExp {
  const source = segment.replace(
    /\[(!?)([^\]]+)\]|[*?]|[\\^$.|+()[\]{}]/g,
    (found, not: string | undefined, set?: string) => {
      if (set !== undefined) return `[${not ? '^' : ''}${set.replace(/[\\^[]/g, '\\$&')}]`
      return found === '*' ? '.*' : found === '?' ? '.' : `\\${found}`
    },
  )
  try {
    return new RegExp(`^${source}$`, 's')
  } catch {
    return fail(`${segment}: not a pattern that can be matched`)
  }
}
