/** Attention maps at the end of every stage, sorted by what the class token attends to (the paper's Figure 5). */

import { ramp } from 'virtual:ramp'
import { ATTENTION_RANGE, type BlockAttention, type Inspection } from 'idlevit'
import { rampColour } from '../board.js'
import { make } from '../dom.js'

export function attentionMaps({ attention }: Inspection): HTMLElement[] {
  return [
    make(
      'p',
      { class: 'hint' },
      'Rows attend to columns; what the class token attends to most comes first, and white lines part what the block computes from what idles.',
    ),
    legend(),
    make('div', { class: 'maps' }, attention.map(figure)),
  ]
}

function figure(map: BlockAttention): HTMLElement {
  const { block, kept, rows, prefix } = map
  const all = rows - prefix
  const alt = `Attention of block ${block} among ${rows} rows, mean over heads`
  return make(
    'figure',
    {},
    make('img', { src: drawn(map), alt, width: rows, height: rows }),
    make('figcaption', {}, `Block ${block}: ${kept === all ? `all ${all}` : `${kept} of ${all}`} computed`),
  )
}

function drawn({ rows, values, prefix, kept }: BlockAttention): string {
  const canvas = Object.assign(document.createElement('canvas'), { width: rows, height: rows })
  const context = canvas.getContext('2d')
  const data = new ImageData(rows, rows)
  for (let i = 0; i < values.length; i++) data.data.set([...rampColour(values[i] as number, rows), 255], i * 4)
  context?.putImageData(data, 0, 0)
  const border = prefix + kept
  if (context && border < rows) {
    context.fillStyle = '#fff'
    context.fillRect(border, 0, 1, rows)
    context.fillRect(0, border, rows, 1)
  }
  return canvas.toDataURL()
}

function legend(): HTMLElement {
  const colours = Array.from({ length: ramp.length / 3 }, (_, i) => `rgb(${ramp.slice(3 * i, 3 * i + 3).join(' ')})`)
  const bar = make('span', { class: 'ramp' })
  bar.style.backgroundImage = `linear-gradient(to right, ${colours.join()})`
  const [low, high] = ATTENTION_RANGE
  return make('p', { class: 'ramp-legend hint' }, `1/${1 / low}`, bar, `${high} times an even share of attention`)
}
