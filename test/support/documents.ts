/** What the documents print for readers to copy: fenced blocks, and the command lines in them. */

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

/**
 * The commands of a shell block as words, one array each: prompts, comments, variables before a command and continued
 * lines are understood; of a `console` block only what stands behind a prompt.
 */
export function commandLines({ language, text }: Block): string[][] {
  const lines = text.replaceAll(/\\\n\s*/g, ' ').split('\n')
  const typed = language === 'console' ? lines.filter((line) => line.startsWith('$ ')) : lines
  return typed
    .flatMap((line) => splitCommands(words(line.replace(/^\$ /, ''))))
    .map((command) => command.slice(command.findIndex((word) => !/^[A-Za-z_]\w*=/.test(word))))
    .filter(([program]) => program !== undefined)
}

/** A line as a shell reads it, quotes removed, up to a comment. */
function words(line: string): string[] {
  const found: string[] = []
  for (const [word] of line.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)) {
    if (word.startsWith('#')) break
    found.push(word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'))
  }
  return found
}

/** Apart at `&&`, `|` and `;`. */
function splitCommands(line: readonly string[]): string[][] {
  const commands: string[][] = [[]]
  for (const word of line) {
    if (['&&', '||', '|', ';'].includes(word)) commands.push([])
    else commands.at(-1)?.push(word)
  }
  return commands.filter((command) => command.length > 0)
}
