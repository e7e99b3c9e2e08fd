/**
 * Writes `src/labels/imagenet-synsets.ts`: the WordNet ids and synonyms of ImageNet-1K's classes, from WordNet 3.0
 * (Debian's package wordnet-base; file format: wndb(5WN)).
 *
 *   node --import tsx scripts/synsets.ts [/usr/share/wordnet/data.noun]
 *
 * A class's id is the position of its synset in that file, and classes stand in the order of their ids. So names that
 * occur in several synsets are mostly told apart by what stands before and behind them; `chosen` holds the others.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { imagenetLabels } from '../src/labels/imagenet.js'

/** Ids of the ILSVRC 2012 list whose name and order leave several synsets. */
const chosen = new Set(
  `
01531178 01729977 01807496 01872401 01910747 01981276 02119022 02119789 02403003 02666196 02699494 02730930
02782093 02795169 02804414 02815834 02834397 02860847 02879718 02950826 02966193 02980441 02999410 03014705
03045698 03047690 03065424 03100240 03131574 03188531 03216828 03220513 03249569 03259280 03291819 03372029
03388043 03447447 03450230 03459775 03478589 03481172 03495258 03527444 03532672 03584829 03661043 03690938
03709823 03724870 03782006 03786901 03787032 03873416 03877472 03877845 03933933 03944341 03956157 03976657
04004767 04009552 04040759 04041544 04067472 04086273 04111531 04125021 04141975 04147183 04152593 04153751
04192698 04208210 04251144 04270147 04275548 04277352 04296562 04330267 04336792 04350905 04372370 04389033
04404412 04465501 04523525 04550184 04553703 04579432 04592741 04597913 04612504 09472597 10148035 12144580
12768682
`.match(/\d+/g),
)

const [, , path = '/usr/share/wordnet/data.noun'] = process.argv

interface Synset {
  readonly offset: number
  readonly words: readonly string[]
}

/** `offset lex_filenum ss_type w_cnt word lex_id …`, w_cnt in hexadecimal. Two blanks start a line of the licence. */
function parse(line: string): Synset {
  const fields = line.split(' ')
  const count = Number.parseInt(fields[3] as string, 16)
  const words = Array.from({ length: count }, (_, i) => (fields[4 + 2 * i] as string).replaceAll('_', ' '))
  return { offset: Number(fields[0]), words }
}

const byWord = new Map<string, Synset[]>()
for (const line of readFileSync(path, 'latin1').split('\n')) {
  if (line === '' || line.startsWith('  ')) continue
  const synset = parse(line)
  for (const word of new Set(synset.words.map((word) => word.toLowerCase())))
    byWord.set(word, [...(byWord.get(word) ?? []), synset])
}

/** As in `n01440764`: eight digits. */
const id = (offset: number): string => String(offset).padStart(8, '0')

const candidates = imagenetLabels.map((label) => byWord.get(label.replace(/ \(.*/, '').toLowerCase()) ?? [])

/** Keeps the candidates that some increasing sequence of all classes goes through. */
function reachable(lists: readonly (readonly Synset[])[]): Synset[][] {
  let least = -1
  const forward = lists.map((list) => {
    const kept = list.filter(({ offset }) => offset > least)
    least = Math.min(...kept.map(({ offset }) => offset))
    return kept
  })
  let most = Number.POSITIVE_INFINITY
  return forward
    .reverse()
    .map((list) => {
      const kept = list.filter(({ offset }) => offset < most)
      most = Math.max(...kept.map(({ offset }) => offset))
      return kept
    })
    .reverse()
}

const found = reachable(candidates)
const lines = found.map((list, i) => {
  const [only, other] = list.length > 1 ? list.filter(({ offset }) => chosen.has(id(offset))) : list
  if (!only || other) throw new Error(`class ${i}, ${imagenetLabels[i]}: not decided`)
  return `${id(only.offset)} ${only.words.join(', ')}`
})
writeFileSync(
  new URL('../src/labels/imagenet-synsets.ts', import.meta.url),
  `/**
 * WordNet 3.0 ids and synonyms of ImageNet-1K's classes in index order, written by scripts/synsets.ts.
 *
 * WordNet 3.0 Copyright 2006 by Princeton University; https://wordnet.princeton.edu/license-and-commercial-use.
 */

/** One class a line: the digits of its id (\`n01440764\` without the n), then its synonyms. */
export const imagenetSynsets = \`
${lines.join('\n')}
\`
`,
)
