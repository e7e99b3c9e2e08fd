/** The page and the files of `idlevit visualize`: figures 2, 5 and 6 of the paper for pictures of one's own. */

import { stackedBars } from '../page/bars.js'
import { lineChart } from '../page/curves.js'
import {
  chartPicture,
  dataTable,
  dataUri,
  figure,
  gallery,
  type Html,
  html,
  keyNumbers,
  page,
  type Section,
} from '../page/page.js'
import type { Prediction } from '../runtime/classifier.js'
import { attentionSection, drawAttention } from './attention-section.js'
import type { FolderFiles } from './folder.js'
import { jpeg, tokenSvg } from './maps.js'
import { stateSwatch } from './marks.js'
import {
  type AddFile,
  explanation,
  type Inspected,
  idleText,
  mapStarts,
  percent,
  planOf,
  type Setting,
  twoDigits,
} from './setting.js'
import { type BlockSummary, type Summary, summarise } from './summary.js'
import { countStates, type TokenState } from './tokens.js'

/** Names that the files have at the top of their folder. */
export const visualizationNames = ['index.html', 'visualize.json', 'figures'] as const

/** The parts of a page about token idling, for pages of its own and for larger reports. */
export interface Visualization {
  readonly summary: Summary
  readonly sections: readonly Section[]
  /** Every picture of the sections as a file, by its name. */
  readonly figures: FolderFiles
}

/**
 * Draws pictures that were looked at.
 *
 * @param onPicture - called with the number of pictures done
 */
export async function drawSections(
  setting: Setting,
  pictures: readonly Inspected[],
  onPicture: (done: number) => void = () => {},
): Promise<Visualization> {
  const figures = new Map<string, Uint8Array | string>()
  const add: AddFile = (name, picture) => {
    figures.set(name, picture.content)
    return picture
  }
  const tokens: Html[] = []
  const attention: Html[] = []
  for (const [i, picture] of pictures.entries()) {
    const stem = `${twoDigits(i + 1)}-${fileStem(picture.name)}`
    const addOwn: AddFile = (name, drawn) => add(`${stem}-${name}`, drawn)
    tokens.push(await tokenTiles(setting, picture, addOwn))
    attention.push(await drawAttention(setting, picture, addOwn))
    onPicture(i + 1)
  }
  const summary = summarise(
    setting.keep,
    pictures.map(({ inspection }) => inspection),
  )
  const sections = [
    {
      id: 'tokens',
      title: 'Computed and idle tokens',
      body: html`<p>${explanation(setting)}</p>
${stateLegend(statesIn(pictures, setting), setting)}${tokens}`,
    },
    await attentionSection(setting, attention, add),
    { id: 'blocks', title: 'From block to block', body: gallery('large', await charts(summary.blocks, setting, add)) },
    { id: 'numbers', title: 'Numbers', body: numbersTable(summary.blocks, pictures.length, setting) },
  ]
  return { summary, sections, figures }
}

/**
 * Draws pictures that were looked at, on a page of their own.
 *
 * @param onPicture - called with the number of pictures done
 * @returns `index.html`, `visualize.json` with the numbers, and every figure as a file of `figures/`
 */
export async function drawVisualization(
  setting: Setting,
  pictures: readonly Inspected[],
  onPicture?: (done: number) => void,
): Promise<FolderFiles> {
  const { summary, sections, figures } = await drawSections(setting, pictures, onPicture)
  const content = page({
    title: 'Where tokens idle',
    lead: `${setting.model} on ${counted(pictures.length, 'picture')}, ${planOf(setting)}.`,
    summary: keyNumbers(headline(setting, summary)),
    sections,
    footer: html`After figures 2, 5 and 6 of IdleViT (Xu et al., arXiv 2310.05654). The numbers are also in <code>visualize.json</code>, every figure is a file in <code>figures/</code>.`,
  })
  return new Map<string, Uint8Array | string>([
    ['index.html', content],
    ['visualize.json', `${JSON.stringify(numbersOf(setting, summary, pictures), null, 1)}\n`],
    ...[...figures].map(([name, figure]) => [`figures/${name}`, figure] as const),
  ])
}

/** The paper's Figure 2. Leading blocks without idle tokens share one tile, which shows the picture as it is. */
async function tokenTiles(setting: Setting, picture: Inspected, add: AddFile): Promise<Html> {
  const { imageSize: side, imageHeight: height = side } = setting
  const { name, rgb, inspection } = picture
  const photo = await jpeg(rgb, side, height)
  const firstIdle = inspection.tokens.findIndex((states) => states.some((state) => state !== 'selected'))
  const leading = firstIdle < 0 ? inspection.tokens.length : firstIdle
  const tiles = inspection.tokens.flatMap((states, block) => {
    if (block > 0 && block < leading) return []
    const blocks = block === 0 && leading > 1 ? `Blocks 0–${leading - 1}` : `Block ${block}`
    const all = states.length
    const columns = Math.round(Math.sqrt((all * side) / height)) // patches are square
    const { idle, returned, merged, gone } = countStates(states)
    const others = [
      [idle, setting.left === 'light' ? 'on the light path' : 'idle'],
      [merged, 'in one row with others'],
      [gone, 'gone'],
    ] as const
    const told = others.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
    const computed = all - idle - gone
    const drawn = add(`tokens-${twoDigits(block)}.svg`, {
      type: 'image/svg+xml',
      content: tokenSvg({ photo, side, height, states, columns }),
      alt: `${name}, ${blocks.toLowerCase()}: ${computed} of ${all} tokens computed, ${returned} of them back from idling${told.map((each) => `, ${each}`).join('')}.`,
      width: side,
      height,
    })
    const shared = merged ? `, ${merged} of them merged` : ''
    const caption =
      computed === all && !merged
        ? `all ${all} tokens`
        : `${computed} tokens${shared}${returned ? `, ${returned} back` : ''}`
    return [figure(drawn, html`<strong>${blocks}</strong> ${caption}`)]
  })
  const { predictions } = inspection
  const told = ({ label, score }: Prediction) => `${label} (${percent(score)})`
  const answers = predictions && `dense: ${told(predictions.dense)} · idle: ${told(predictions.idle)}`
  return html`<h3>${name} <small>${answers ?? ''}</small></h3>
${gallery('small', tiles)}`
}

/** The paper's Figure 6, and the tokens beside it. */
async function charts(blocks: readonly BlockSummary[], setting: Setting, add: AddFile): Promise<Html[]> {
  const breaks = mapStarts(setting)
  const dead = setting.left === 'dead'
  const always = dead ? ['computed'] : ['computed', 'back from idling', 'idle', 'light path']
  const [dense, idle] = [
    blocks.map(({ similarity }) => similarity.dense),
    blocks.map(({ similarity }) => similarity.idle),
  ]
  const shares = (state: TokenState) => blocks.map((block) => block.shares[state])
  const ends = (values: readonly number[]) => `from ${values[0]?.toFixed(2)} to ${values.at(-1)?.toFixed(2)}`
  const similarity = await chartPicture(
    (shape) =>
      lineChart(
        [
          { name: 'dense', meaning: 'dense', line: 'dashed', values: dense, breaks },
          { name: 'idle model', meaning: 'idled', values: idle, breaks },
        ],
        { shape, x: 'after block', y: 'mean cosine similarity' },
      ),
    `Mean cosine similarity of image tokens from the first to the last block: dense ${ends(dense)}, idle model ${ends(idle)}.`,
  )
  const states = await chartPicture(
    (shape) =>
      stackedBars(
        [
          { name: 'computed', meaning: 'computed' as const, values: shares('selected') },
          { name: 'back from idling', meaning: 'returned' as const, values: shares('returned') },
          { name: setting.left === 'light' ? 'light path' : 'idle', meaning: 'idle' as const, values: shares('idle') },
          { name: 'merged', meaning: 'merged' as const, values: shares('merged') },
          { name: dead ? 'dead' : 'gone', meaning: 'reference' as const, values: shares('gone') },
        ].filter(({ name, values }) => always.includes(name) || values.some((share) => share > 0)),
        { shape, x: 'block', y: 'tokens', range: [0, 1], format: '.0%' },
      ),
    `Share of tokens that each block computes, computes after they idled in the block before, and leaves out; in the last block ${percent(shares(dead ? 'gone' : 'idle').at(-1) ?? 0)} are left out.`,
  )
  return [
    figure(
      add('over-smoothing.svg', similarity),
      html`<strong>Over-smoothing.</strong> Mean cosine similarity over all pairs of image tokens after each block. At 1 all tokens are alike.${breaks.length > 0 ? ' Every stage has a line of its own: merging makes other tokens.' : ''}${dead ? ' Dead tokens are not counted.' : ''}`,
    ),
    figure(
      add('tokens.svg', states),
      dead
        ? html`<strong>Tokens.</strong> Those that are dead stay so; merged tokens live where one of their four does.`
        : html`<strong>Tokens.</strong> Those back from idling are computed here and were idle in the block just before. A method that prunes tokens would have lost them.`,
    ),
  ]
}

/** The states that occur, and those that could without reduction. */
function statesIn(pictures: readonly Inspected[], { left }: Setting): TokenState[] {
  const found = new Set(pictures.flatMap(({ inspection }) => inspection.tokens.flat()))
  const reduces = found.has('merged') || found.has('gone') || left === 'dead'
  const all = ['selected', 'idle', 'returned', 'merged', 'gone'] as const
  return all.filter((state) => found.has(state) || (!reduces && state !== 'merged' && state !== 'gone'))
}

function stateLegend(states: readonly TokenState[], { left }: Setting): Html {
  const entries = {
    selected: 'computed',
    idle: idleText[left ?? 'block'],
    returned: 'back: computed here, idle in the block just before',
    merged: 'merged: computed in one row with others',
    gone: left === 'dead' ? 'dead: zero from here on' : 'gone: dropped for good',
  } as const
  const swatch = (state: TokenState) => dataUri('image/svg+xml', stateSwatch(state))
  return html`<ul class="legend">${states.map(
    (state) => html`<li><img src="${swatch(state)}" width="22" height="22" alt="sample:">${entries[state]}</li>`,
  )}</ul>
`
}

function numbersTable(blocks: readonly BlockSummary[], pictures: number, { left, maps }: Setting): Html {
  const idle = left === 'light' ? 'light path' : left === 'dead' ? 'dead' : 'idle'
  return dataTable(
    pictures === 1 ? 'By block.' : `By block, means over ${pictures} pictures.`,
    [
      'block',
      'tokens',
      ...(maps ? ['of'] : []),
      idle,
      'back from idling',
      'similarity, dense',
      'similarity, idle model',
    ],
    blocks.map(({ block, kept, shares, similarity }) => [
      String(block),
      kept,
      ...(maps ? [maps[block] as number] : []),
      percent(left === 'dead' ? shares.gone : shares.idle),
      percent(shares.returned),
      similarity.dense.toFixed(3),
      similarity.idle.toFixed(3),
    ]),
  )
}

const headline = ({ gmacs, left, maps }: Setting, { idled, returned, blocks }: Summary) => [
  ...(left === 'dead'
    ? [{ value: percent(blocks.at(-1)?.shares.gone ?? 0), label: 'of the last map is dead' }]
    : [
        {
          value: percent(idled),
          label: `of ${maps ? 'the tokens of all stages' : 'tokens'} ${left === 'light' ? 'take the light path' : 'idle'} in some block`,
        },
        {
          value: percent(returned),
          label: `${left === 'light' ? 'of them all' : 'of tokens idle and'} come back later`,
        },
      ]),
  {
    value: percent(gmacs.idle / gmacs.dense),
    label: `of the work: ${gmacs.idle.toFixed(2)} of ${gmacs.dense.toFixed(2)} GMACs`,
  },
]

/** What `visualize.json` holds. */
const numbersOf = (setting: Setting, summary: Summary, pictures: readonly Inspected[]) => ({
  ...setting,
  ...summary,
  pictures: pictures.map(({ name, inspection: { predictions, similarity, tokens } }) => ({
    name,
    ...(predictions && { predictions }),
    similarity,
    // One letter a token in raster order: selected, idle, returned, merged, gone.
    tokens: tokens.map((states) => states.map((state) => state[0]).join('')),
  })),
})

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

/** A file name's own part in letters that every file system takes. */
export const fileStem = (name: string): string =>
  name
    .replace(/\.[^.]*$/, '')
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/^-|-$/g, '') || 'picture'
