/**
 * Which of a model's classes a name means: the class's name, one of its synonyms, its WordNet id, or its number.
 *
 * People call the same class `golden retriever`, `golden_retriever`, `n02099601`, `n02099601_golden_retriever` or `207`.
 * Matching by name, not by order, is what makes a folder that lacks a class, or holds ten of a thousand, right.
 */
import { imagenetLabels } from './imagenet.js'
import { imagenetSynsets } from './imagenet-synsets.js'

/** What came of a list of names. */
export interface LabelMatch {
  /** By name: the class it means; -1 where it means none, or several. */
  readonly indices: readonly number[]
  /** Names that mean no class. */
  readonly unknown: readonly string[]
  /** Names that mean several classes, or a class that another name of the list means too; with the classes' numbers. */
  readonly ambiguous: readonly { readonly name: string; readonly classes: readonly number[] }[]
}

/**
 * Looks up `names` among a model's classes.
 *
 * A class answers to its label, to the parts of a label with commas (`tench, Tinca tinca`), and, where the labels are
 * ImageNet-1K's, to WordNet's synonyms and ids; without regard to case, and with blanks, `_` and `-` alike. A label goes
 * before a synonym of another class. Where every name is a whole number and none is a label, they are class numbers.
 *
 * @param labels - the model's class names in index order
 *
 * @example
 * matchLabels(['n01440764', 'gas_pump'], imagenetLabels).indices // [0, 571]
 */
export function matchLabels(names: readonly string[], labels: readonly string[]): LabelMatch {
  const tiers = [index(labels.map((label) => [label])), index(aliases(labels))]
  const meanings = names.map((name) => {
    for (const tier of tiers) {
      const found = lookUp(tier, name)
      if (found.length > 0) return found
    }
    return []
  })
  const numbers = meanings.every((found) => found.length === 0) ? classNumbers(names, labels.length) : undefined
  return summarise(names, numbers?.map((number) => [number]) ?? meanings)
}

/** Names that are all whole numbers below `classes`, as numbers: `0`, `07`, `123`. */
export function classNumbers(names: readonly string[], classes = Number.POSITIVE_INFINITY): number[] | undefined {
  const numbers = names.map((name) => (/^\d{1,9}$/.test(name) ? Number(name) : Number.NaN))
  return numbers.every((number) => number < classes) ? numbers : undefined
}

function summarise(names: readonly string[], meanings: readonly (readonly number[])[]): LabelMatch {
  const uses = new Map<number, number>()
  for (const found of meanings) for (const each of found) uses.set(each, (uses.get(each) ?? 0) + 1)
  const isSingle = (found: readonly number[]) => found.length === 1 && uses.get(found[0] as number) === 1
  return {
    indices: meanings.map((found) => (isSingle(found) ? (found[0] as number) : -1)),
    unknown: names.filter((_, i) => meanings[i]?.length === 0),
    ambiguous: names.flatMap((name, i) => {
      const classes = meanings[i] ?? []
      return classes.length > 0 && !isSingle(classes) ? [{ name, classes }] : []
    }),
  }
}

type Index = ReadonlyMap<string, readonly number[]>

/** From a plain name to the classes that bear it. */
function index(namesByClass: readonly (readonly string[])[]): Index {
  const classes = new Map<string, number[]>()
  for (const [i, names] of namesByClass.entries())
    for (const name of new Set(names.map(plain))) {
      const known = classes.get(name)
      if (known) known.push(i)
      else classes.set(name, [i])
    }
  return classes
}

/** A name, or the WordNet id in front of or behind one: `n01440764_tench`, `tench-n01440764`. */
function lookUp(tier: Index, name: string): readonly number[] {
  const [, front, back] = /^(n\d{8})[ _-].+$|^.+[ _-](n\d{8})$/i.exec(name) ?? []
  return tier.get(plain(name)) ?? tier.get(plain(front ?? back ?? '')) ?? []
}

/** Unicode's compatibility form, without case, with single blanks between words. */
const plain = (name: string): string =>
  name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s_-]+/g, ' ')
    .trim()

/** What else each class is called. */
function aliases(labels: readonly string[]): string[][] {
  const parts = labels.map((label) => [label.replace(/ \([^)]*\)$/, ''), ...label.split(',')])
  const synsets = imagenetNames()
  const wordnetIds = labels.every((label) => /^n\d{8}$/.test(label))
  const isImagenet =
    labels.length === synsets.length &&
    (wordnetIds || labels.filter((_, i) => shareName(parts[i] ?? [], synsets[i] ?? [])).length > 0.9 * labels.length)
  return isImagenet ? parts.map((names, i) => [...names, ...(synsets[i] ?? [])]) : parts
}

const shareName = (some: readonly string[], others: readonly string[]): boolean => {
  const known = new Set(others.map(plain))
  return some.some((name) => known.has(plain(name)))
}

/** Ids, synonyms and our own label of ImageNet-1K's classes. */
const imagenetNames = (): string[][] =>
  imagenetSynsets
    .trim()
    .split('\n')
    .map((line, i) => [`n${line.slice(0, 8)}`, ...line.slice(9).split(', '), imagenetLabels[i] as string])
