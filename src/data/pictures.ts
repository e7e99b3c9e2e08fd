/** Unlabelled pictures: what `classify` is given. */

import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../errors.js'
import { fileError } from '../files.js'
import { isPictureName, notPictureReason } from '../images/format.js'
import { isPictureUrl, type PictureInput, readContent } from '../images/input.js'
import { expandBraces } from './braces.js'
import type { Source } from './dataset.js'
import { countByReason, type LeftOut } from './left-out.js'
import { byCodeUnits, picturesBelow } from './walk.js'

/** Pictures, and what was found beside them. */
export interface Found {
  /** Paths and URLs; `-` is standard input. */
  readonly pictures: readonly string[]
  readonly leftOut: readonly LeftOut[]
}

/** Standard input among the names of pictures; a file of that name is `./-`. */
export const STDIN = '-'

/**
 * Pictures from files, folders (every picture below), URLs, `-` and globs: `*`, `?`, `[a-z]`, `**` for any depth,
 * `{a,b}`. What exists under the very name is taken as it is, whatever characters it holds.
 *
 * @throws InputError when there is no such file, a folder holds no pictures, or nothing matches
 */
export async function expandPictures(inputs: readonly string[]): Promise<Found> {
  if (inputs.filter((input) => input === STDIN).length > 1) fail(`${STDIN}: standard input can be read only once`)
  const pictures: string[] = []
  const leftOut: LeftOut[] = []
  for (const input of inputs) {
    if (input === STDIN || (isPictureUrl(input) && !existsSync(input))) {
      pictures.push(input)
      continue
    }
    const found = existsSync(input)
      ? await picturesAt(input)
      : /[*?[{]/.test(input)
        ? await glob(input)
        : fail(`${input}: no such file or folder`)
    for (const path of found.pictures) pictures.push(path)
    for (const item of found.leftOut) leftOut.push(item)
  }
  return { pictures, leftOut }
}

/**
 * What a name of {@link Found} stands for.
 *
 * @throws InputError when standard input is a terminal
 */
export function pictureNamed(name: string): PictureInput {
  if (name !== STDIN) return name
  if (process.stdin.isTTY) fail(`${STDIN}: standard input is a terminal; pipe a picture into it`)
  return process.stdin
}

/** Stops reading standard input, which would keep the process waiting for its end. */
export function closeStdin(names: readonly string[]): void {
  if (names.includes(STDIN)) process.stdin.destroy()
}

/**
 * Where the picture behind a name of {@link Found} is: files stay where they are, everything else is read.
 *
 * @throws InputError naming it
 */
export async function sourceNamed(name: string): Promise<Source> {
  const picture = pictureNamed(name)
  if (typeof picture === 'string' && !isPictureUrl(picture)) return { kind: 'file', path: picture }
  const content = await readContent(picture, {}, name)
  return content instanceof Uint8Array ? { kind: 'bytes', bytes: content } : { kind: 'rgb', ...content }
}

async function picturesAt(path: string): Promise<Found> {
  if (!statSync(path).isDirectory()) return { pictures: [path], leftOut: [] }
  const found = await picturesIn(path)
  if (found.pictures.length === 0) fail(`${path}: the folder holds no pictures${but(found.leftOut)}`)
  return found
}

async function picturesIn(folder: string): Promise<Found> {
  const { pictures, leftOut } = await picturesBelow(folder)
  return { pictures: pictures.map((name) => join(folder, name)), leftOut }
}

const but = (leftOut: readonly LeftOut[]): string =>
  leftOut.length === 0 ? '' : `, but ${countByReason(leftOut).join('; ')}`

async function glob(pattern: string): Promise<Found> {
  const found = new Set<string>()
  const leftOut = new Map<string, string>()
  for (const plain of expandBraces(pattern)) {
    const [first = '', ...rest] = plain.split('/')
    for (const path of await matches(first === '' ? '/' : '', first === '' ? rest : [first, ...rest], leftOut))
      found.add(path)
  }
  // A folder may have matched, and pictures in it.
  const pictures = new Set<string>()
  for (const path of [...found].sort(byCodeUnits)) {
    const below = await picturesOrFile(path)
    for (const picture of below.pictures) pictures.add(picture)
    for (const item of below.leftOut) leftOut.set(item.path, item.reason)
  }
  const others = [...leftOut].map(([path, reason]) => ({ path, reason }))
  if (pictures.size === 0) fail(`${pattern}: no picture matches${but(others)}`)
  return { pictures: [...pictures], leftOut: others }
}

/** A file that matched by chance need not be a picture: only those named like one count. */
async function picturesOrFile(path: string): Promise<Found> {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return { pictures: [], leftOut: [{ path, reason: 'a link that leads nowhere' }] }
  if (stat.isDirectory()) return picturesIn(path)
  if (isPictureName(path)) return { pictures: [path], leftOut: [] }
  return { pictures: [], leftOut: [{ path, reason: notPictureReason(path) }] }
}

/** Existing paths below `base` that match the remaining segments of a pattern. */
async function matches(base: string, segments: readonly string[], leftOut: Map<string, string>): Promise<string[]> {
  const [segment, ...rest] = segments
  if (segment === undefined) return [base]
  if (segment === '**') {
    const deeper = (await names(base, leftOut)).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    const below = await Promise.all(deeper.map((entry) => matches(join(base, entry.name), segments, leftOut)))
    return [...(await matches(base, rest.length > 0 ? rest : ['*'], leftOut)), ...below.flat()]
  }
  if (!/[*?[]/.test(segment)) {
    const path = join(base, segment)
    return existsSync(path) ? matches(path, rest, leftOut) : []
  }
  const pattern = segmentPattern(segment)
  const hidden = segment.startsWith('.')
  const entries = await names(base, leftOut)
  const fitting = entries.filter(({ name }) => pattern.test(name) && (hidden || !name.startsWith('.')))
  return (await Promise.all(fitting.map((entry) => matches(join(base, entry.name), rest, leftOut)))).flat()
}

/** What a folder holds; nothing when it is not one. One that may not be read is noted. */
function names(folder: string, leftOut: Map<string, string>) {
  return readdir(folder || '.', { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTDIR' && error.code !== 'ENOENT') {
      const { message } = fileError(error, folder) as Error
      leftOut.set(folder, `a folder that cannot be read (${message})`)
    }
    return []
  })
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
