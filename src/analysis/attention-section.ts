/** Attention on the page of `idlevit visualize`, the paper's Figure 5, as far as it means something. */

import { dataUri, figure, gallery, type Html, html, type Section } from '../page/page.js'
import { rampLegend } from '../page/ramp.js'
import { ATTENTION_RANGE } from './attention.js'
import { attentionPng, receivedPng } from './maps.js'
import { type AddFile, type Inspected, type Setting, twoDigits } from './setting.js'

/** Attention of one picture. */
export const drawAttention = (setting: Setting, picture: Inspected, add: AddFile): Promise<Html> =>
  setting.maps ? windowTiles(setting, picture, add) : attentionTiles(setting, picture, add)

/** Attention as far as it can be shown, and what it shows. */
export async function attentionSection(setting: Setting, tiles: readonly Html[], add: AddFile): Promise<Section> {
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
