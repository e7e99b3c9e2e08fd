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
  type Picture,
  page,
  type Section,
} from '../page/page.js'
import { rampLegend } from '../page/ramp.js'
import { ATTENTION_RANGE } from './attention.js'
import type { FolderFiles } from './folder.js'
import type { Inspection } from './inspect.js'
import { attentionPng, jpeg, receivedPng, tokenSvg } from './maps.js'
import { stateSwatch } from './marks.js'
import { type BlockSummary, type Summary, summarise } from './summary.js'
import { countStates, type TokenState } from './tokens.js'

/** A picture and what the model did with it. */
export interface Inspected {
  /** What people call it: the file's name. */
  readonly name: string
  /** 8-bit RGB `[S, S, 3]`, what the model sees of it. */
  readonly rgb: Uint8Array
  readonly inspection: Inspection
}

/**
 * What a token of a pyramid does in a block that does not select it: it passes the whole block by (`block`), or the MLP alone
 * (`ffn`); it takes a light path in place of the MLP (`light`); or it is zero (`dead`).
 */
export type Left = 'block' | 'ffn' | 'light' | 'dead'

/** What the pictures were looked at with. */
export interface Setting {
  readonly model: string
  /** The token reduction method, and what it does in a line. */
  readonly method: string
  readonly summary: string
  readonly imageSize: number
  /** Image tokens that every block computes. */
  readonly keep: readonly number[]
  /** All image tokens; of a pyramid those of its first map. */
  readonly tokens: number
  /** Whether a class token ranks them. */
  readonly classToken: boolean
  /** Of a pyramid all tokens of every block, fewer from stage to stage. */
  readonly maps?: readonly number[]
  /** Of a pyramid what tokens do that are not selected. */
  readonly left?: Left
  readonly gmacs: { readonly dense: number; readonly idle: number }
}

/** Names that the files have at the top of their folder. */
export const visualizationNames = ['index.html', 'visualize.json', 'figures'] as const

/** Puts a picture among the files and hands it on. */
type AddFile = (name: string, picture: Picture) => Picture

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
    attention.push(await (setting.maps ? windowTiles : attentionTiles)(setting, picture, addOwn))
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
  const { imageSize: side } = setting
  const { name, rgb, inspection } = picture
  const photo = await jpeg(rgb, side)
  const firstIdle = inspection.tokens.findIndex((states) => states.some((state) => state !== 'selected'))
  const leading = firstIdle < 0 ? inspection.tokens.length : firstIdle
  const tiles = inspection.tokens.flatMap((states, block) => {
    if (block > 0 && block < leading) return []
    const blocks = block === 0 && leading > 1 ? `Blocks 0–${leading - 1}` : `Block ${block}`
    const all = states.length
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
      content: tokenSvg({ photo, side, states }),
      alt: `${name}, ${blocks.toLowerCase()}: ${computed} of ${all} tokens computed, ${returned} of them back from idling${told.map((each) => `, ${each}`).join('')}.`,
      width: side,
      height: side,
    })
    const shared = merged ? `, ${merged} of them merged` : ''
    const caption =
      computed === all && !merged
        ? `all ${all} tokens`
        : `${computed} tokens${shared}${returned ? `, ${returned} back` : ''}`
    return [figure(drawn, html`<strong>${blocks}</strong> ${caption}`)]
  })
  const { dense, idle } = inspection.predictions
  const told = ({ label, score }: typeof dense) => `${label} (${percent(score)})`
  return html`<h3>${name} <small>dense: ${told(dense)} · idle: ${told(idle)}</small></h3>
${gallery('small', tiles)}`
}

/** What a token does that is not selected. */
const leftText: Readonly<Record<Left, string>> = {
  block: 'Tokens that are not selected idle: they pass the block by unchanged.',
  ffn: 'Tokens that are not selected idle in part: they attend, and pass the MLP by.',
  light: 'Tokens that are not selected attend, and take a light path in place of the MLP; they fade to hatched paper.',
  dead: 'Tokens that are not selected are dead: zero, attended to by none, in this stage and all later ones.',
}

const idleText: Readonly<Record<Left, string>> = {
  block: 'idle: passes by unchanged',
  ffn: 'idle: attends, and passes the MLP by',
  light: 'light path in place of the MLP',
  dead: 'idle',
}

/** Blocks that begin a new map. */
const mapStarts = ({ maps = [] }: Setting): number[] =>
  maps.flatMap((tokens, l) => (l > 0 && tokens !== maps[l - 1] ? [l] : []))

/** Attention as far as it can be shown, and what it shows. */
async function attentionSection(setting: Setting, tiles: readonly Html[], add: AddFile): Promise<Section> {
  const { maps, left, classToken } = setting
  const id = 'attention'
  if (maps && left === 'dead')
    return {
      id,
      title: 'Attention',
      body: html`<p>Not drawn: nothing attends to dead tokens, and what would be left of a window differs from block to block.</p>`,
    }
  if (maps)
    return {
      id,
      title: 'Attention received within windows',
      body: html`<p>What every token receives of the attention of its window in the last block of each stage of the idle model, averaged over heads and over the window’s tokens, idle ones among them. A sorted map of who attends to whom is not drawn: no token attends beyond its window.</p>
${await attentionScale(add)}${tiles}`,
    }
  const ranks = classToken ? 'class attention' : 'rank'
  const order = classToken
    ? 'The class token comes first, then the image tokens from most to least class attention'
    : 'Tokens stand in the order in which they rank, by attention that they receive where all are computed'
  return {
    id,
    title: `Attention, sorted by ${ranks}`,
    body: html`<p>Who (rows) attends to whom (columns) in the last block of each stage of the idle model, averaged over heads. ${order}; white lines part the computed tokens from the idle ones. Only the square at the top left is computed, the rest shows what the idle tokens would do.</p>
${await attentionScale(add)}${tiles}`,
  }
}

/** What tokens receive within their windows, map by map. */
async function windowTiles({ imageSize }: Setting, picture: Inspected, add: AddFile): Promise<Html> {
  const tiles: Html[] = []
  for (const seen of picture.inspection.windows) {
    const { png, side } = await receivedPng(seen, imageSize)
    const [rows, columns] = seen.map
    const drawn = add(`attention-${twoDigits(seen.block)}.png`, {
      type: 'image/png',
      content: png,
      alt: `${picture.name}, block ${seen.block}: attention that each of ${rows} × ${columns} tokens receives within its window.`,
      width: side,
      height: side,
    })
    tiles.push(
      figure(
        drawn,
        html`<strong>Block ${seen.block}</strong> ${rows} × ${columns} tokens, windows of ${seen.windowRows ** 0.5} × ${seen.windowRows ** 0.5}`,
      ),
    )
  }
  return html`<h3>${picture.name}</h3>
${gallery('medium', tiles)}`
}

/** The paper's Figure 5. */
async function attentionTiles({ tokens: all }: Setting, picture: Inspected, add: AddFile): Promise<Html> {
  const tiles: Html[] = []
  for (const map of picture.inspection.attention) {
    const { png, side } = await attentionPng(map)
    const kept = map.kept === all ? `all ${all} tokens` : `${map.kept} of ${all} tokens`
    const drawn = add(`attention-${twoDigits(map.block)}.png`, {
      type: 'image/png',
      content: png,
      alt: `${picture.name}, block ${map.block}: attention among ${map.rows} tokens sorted by class attention, ${kept} computed.`,
      width: side,
      height: side,
    })
    tiles.push(figure(drawn, html`<strong>Block ${map.block}</strong> ${kept}`))
  }
  return html`<h3>${picture.name}</h3>
${gallery('medium', tiles)}`
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

async function attentionScale(add: AddFile): Promise<Html> {
  const [low, high] = ATTENTION_RANGE
  const legend = await rampLegend('times an even share of attention', ATTENTION_RANGE, [low, 1 / 4, 1, 4, high])
  const alt = `Colour scale: dark is ${low} of an even share of attention or less, bright ${high} times or more.`
  const { content, width, height } = add('attention-scale.svg', {
    type: 'image/svg+xml',
    content: legend.svg,
    alt,
    width: legend.width,
    height: legend.height,
  })
  return html`<p class="scale"><img src="${dataUri('image/svg+xml', content)}" width="${width}" height="${height}" alt="${alt}"></p>
`
}

/** What a method does to tokens, in a few sentences. */
function explanation({ method, summary, left, classToken, maps }: Setting): string {
  if (maps) {
    const what =
      method === 'dynamicswin' ? `${method}: ${summary}.` : 'Every block computes the tokens that rank first.'
    const again =
      left === 'dead' ? '' : ' A frame marks a token that the block just before, of the same stage, left out.'
    return `${what} ${leftText[left ?? 'block']} Between stages two by two tokens become one, which covers twice the side, and every stage begins anew.${again}`
  }
  if ((method === 'idle' || method === 'none') && !classToken)
    return 'Every block computes the tokens that rank first; this model has no class token to rank them, so something else does. The others idle: they pass by unchanged, and a later block may compute them again. A frame marks the block in which a token comes back: computed here, idle in the block just before.'
  if (method === 'idle' || method === 'none')
    return 'Every block computes the tokens that the class token attends to most. The others idle: they pass by unchanged, and a later block may compute them again. A frame marks the block in which a token comes back: computed here, idle in the block just before.'
  return `${method}: ${summary}. Tokens that are gone fade to hatched paper, as those that idle do.`
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
    predictions,
    similarity,
    // One letter a token in raster order: selected, idle, returned, merged, gone.
    tokens: tokens.map((states) => states.map((state) => state[0]).join('')),
  })),
})

/** How many tokens each stage keeps, in words. */
function planOf({ keep, tokens, maps }: Setting): string {
  if (maps) {
    const kept = keep.flatMap((n, l) =>
      n === keep[l - 1] && maps[l] === maps[l - 1] ? [] : [n === maps[l] ? `all ${n}` : `${n} of ${maps[l]}`],
    )
    return keep.every((n, l) => n === maps[l])
      ? 'without idling'
      : `keeping ${kept.join(', ')} tokens from stage to stage`
  }
  const stages = keep.filter((kept, l) => kept !== keep[l - 1])
  return stages.length === 1 && stages[0] === tokens
    ? 'without idling'
    : `keeping ${stages.join(', ')} of ${tokens} tokens from stage to stage`
}

const percent = (share: number): string => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`
const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
const twoDigits = (n: number): string => String(n).padStart(2, '0')

/** A file name's own part in letters that every file system takes. */
export const fileStem = (name: string): string =>
  name
    .replace(/\.[^.]*$/, '')
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/^-|-$/g, '') || 'picture'
