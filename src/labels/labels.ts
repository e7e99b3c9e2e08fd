/**
 * Class names from a label file, in any of the forms such files come in:
 *
 * - one name a line (TensorFlow's and most model zoos' `labels.txt`);
 * - a JSON array of names;
 * - a JSON object from index to name (`id2label` in a Hugging Face `config.json`);
 * - `wnid<TAB>name, synonym, …` lines (ImageNet's `words.txt`), of which the first synonym is taken.
 */
import { fail } from '../errors.js'

const WORDNET_LINE = /^n\d{8}\t/

/**
 * Reads the text of a label file.
 *
 * @param text - the whole file, without regard to a byte order mark or to line ends
 * @param source - what errors call the file
 * @returns the class names; the index is the class. A name may occur twice, as it does in ImageNet
 * @throws InputError when a name is missing, empty or no text, or an index is missing
 *
 * @example
 * parseLabels('cat\ndog\n') // ['cat', 'dog']
 */
export function parseLabels(text: string, source = 'label file'): string[] {
  const content = text.replace(/^\uFEFF/, '').trimEnd()
  if (content === '') fail(`${source}: wanted class names, found an empty file`)
  if (/^\s*[[{]/.test(content)) return fromJson(content, source)
  const lines = content.split(/\r\n|\n|\r/)
  return WORDNET_LINE.test(content) ? lines.map(wordnetName(source)) : lines.map(plainName(source))
}

function fromJson(content: string, source: string): string[] {
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch (error) {
    fail(`${source}: wanted JSON, as its first character says, found ${(error as Error).message.replace(/\s+/g, ' ')}`)
  }
  if (Array.isArray(value)) {
    if (value.length === 0) fail(`${source}: wanted class names, found an empty array`)
    return value.map((name, index) => checked(name, `${source}: class ${index}`))
  }
  const byIndex = new Map(Object.entries(value as Record<string, unknown>))
  if (byIndex.size === 0) fail(`${source}: wanted class names, found an empty object`)
  for (const key of byIndex.keys()) {
    if (!/^(0|[1-9]\d*)$/.test(key)) fail(`${source}: wanted class indices as keys, found ${JSON.stringify(key)}`)
  }
  // As many names as keys: a gap in the indices shows as a missing one below the count.
  return Array.from({ length: byIndex.size }, (_, index) => {
    if (!byIndex.has(String(index))) fail(`${source}: wanted indices 0 to ${byIndex.size - 1}, found no ${index}`)
    return checked(byIndex.get(String(index)), `${source}: class ${index}`)
  })
}

const plainName = (source: string) => (line: string, index: number) => checked(line, `${source}: line ${index + 1}`)

const wordnetName = (source: string) => (line: string, index: number) => {
  const where = `${source}: line ${index + 1}`
  if (!WORDNET_LINE.test(line)) fail(`${where}: wanted wnid<TAB>names like the first line, found ${quoted(line)}`)
  return checked(line.split('\t')[1]?.split(',')[0], where)
}

/** A name that can be shown: text, not blank, and without control characters, which could drive a terminal. */
function checked(name: unknown, where: string): string {
  if (typeof name !== 'string') fail(`${where}: wanted a class name, found ${quoted(name)}`)
  const trimmed = name.trim()
  if (trimmed === '') fail(`${where}: wanted a class name, found an empty one`)
  if (/\p{Cc}/u.test(trimmed)) fail(`${where}: wanted a class name, found control characters in ${quoted(trimmed)}`)
  return trimmed
}

/** JSON spelling, cut short: control characters are escaped and the error stays one line. */
function quoted(value: unknown): string {
  const spelled = JSON.stringify(value) ?? String(value)
  return spelled.length > 60 ? `${spelled.slice(0, 60)}…` : spelled
}
