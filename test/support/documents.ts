/** What the documents print for readers to copy. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A fenced block, as printed. */
export interface Block {
  /** Where its first line is: `README.md:12`. */
  readonly place: string
  /** What stands behind the fence; empty where nothing does. */
  readonly language: string
  readonly text: string
}

/** Paths of the documents, from the package's root: README files and everything under docs. */
export const documents = (): string[] => [
  'README.md',
  'CONTRIBUTING.md',
  'models/README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path.replaceAll('\\', '/')}`)
    .sort(),
]

export const readDocument = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Every fenced block of a document; a fence that is never closed is an error. */
export function fencedBlocks(path: string): Block[] {
  const blocks: Block[] = []
  let open: { place: string; language: string; fence: string; lines: string[] } | undefined
  for (const [i, line] of readDocument(path).split('\n').entries()) {
    const [, fence = '', language = ''] = /^ {0,3}(`{3,}|~{3,})\s*(\S*)/.exec(line) ?? []
    if (open === undefined) {
      if (fence !== '') open = { place: `${path}:${i + 2}`, language, fence, lines: [] }
    } else if (line.trim() === open.fence) {
      blocks.push({ place: open.place, language: open.language, text: `${open.lines.join('\n')}\n` })
      open = undefined
    } else open.lines.push(line)
  }
  if (open !== undefined) throw new Error(`${open.place}: the block is never closed`)
  return blocks
}

/** Code between single backticks in running text. */
export function inlineCode(path: string): string[] {
  const prose = readDocument(path).replace(/^ {0,3}(`{3,})[\s\S]*?^ {0,3}\1\s*$/gm, '')
  return [...prose.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replaceAll('\n', ' '))
}
