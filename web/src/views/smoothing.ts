/** Over-smoothing: how alike the patches become with depth, dense and idled (the paper's Figure 6). */

import type { Inspection } from 'idlevit'
import { make } from '../dom.js'
import { ratio } from '../format.js'

const SVG = 'http://www.w3.org/2000/svg'
const SIZE = { most: 560, least: 280, height: 240, left: 44, right: 76, top: 14, bottom: 36 } as const

/**
 * The chart and its numbers: the mean cosine similarity of all pairs of patches after every block.
 *
 * @param room - pixels that there are for the chart, whose text keeps its size
 */
export function smoothing({ similarity }: Inspection, keep: number, room: number): HTMLElement[] {
  const about = make(
    'p',
    { class: 'hint' },
    'Mean cosine similarity of all pairs of patches after every block: the closer to 1, the harder they are told apart. These are the numbers of ',
    make('code', {}, 'idlevit visualize'),
    '.',
  )
  const head = make(
    'tr',
    {},
    ...['Block', 'Dense', `Idled, k = ${ratio(keep)}`].map((t) => make('th', { scope: 'col' }, t)),
  )
  const rows = similarity.dense.map((dense, block) =>
    make(
      'tr',
      {},
      make('th', { scope: 'row' }, String(block)),
      make('td', {}, dense.toFixed(4)),
      make('td', {}, (similarity.idle[block] ?? Number.NaN).toFixed(4)),
    ),
  )
  const table = make('table', { id: 'similarity' }, make('thead', {}, head), make('tbody', {}, rows))
  return [
    about,
    make('div', { class: 'beside' }, chart(similarity, Math.min(SIZE.most, Math.max(SIZE.least, room))), table),
  ]
}

function chart({ dense, idle }: Inspection['similarity'], width: number): HTMLElement {
  const { height, left, right, top, bottom } = SIZE
  const all = [...dense, ...idle]
  const [low, high] = [Math.floor(Math.min(...all) * 10) / 10, Math.ceil(Math.max(...all) * 10) / 10]
  const x = (block: number) => left + (block / Math.max(1, dense.length - 1)) * (width - left - right)
  const y = (value: number) => height - bottom - ((value - low) / (high - low || 1)) * (height - top - bottom)
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', 'Similarity of patches by block, dense and idled; the table has the numbers')
  const ticks = Array.from({ length: 6 }, (_, i) => low + ((high - low) * i) / 5)
  const path = (values: readonly number[]) =>
    values.map((v, l) => `${l ? 'L' : 'M'}${x(l).toFixed(1)} ${y(v).toFixed(1)}`).join('')
  // Names stand at the ends of their lines, apart where the lines meet.
  const [yDense, yIdle] = [y(dense.at(-1) ?? 0), y(idle.at(-1) ?? 0)]
  const apart = Math.max(0, 18 - Math.abs(yDense - yIdle)) / 2
  const down = yDense > yIdle ? 1 : -1
  const name = (text: string, meaning: string, at: number) =>
    `<text class="name ${meaning}" x="${width - right + 10}" y="${at + 5}">${text}</text>`
  const series = (values: readonly number[], meaning: string) =>
    `<path class="curve ${meaning}" d="${path(values)}"/>${values.map((v, l) => `<circle class="dot ${meaning}" cx="${x(l)}" cy="${y(v)}" r="3"/>`).join('')}`
  svg.innerHTML = [
    ...ticks.map(
      (t) =>
        `<path class="grid" d="M${left} ${y(t)}H${width - right}"/><text x="${left - 8}" y="${y(t) + 5}" text-anchor="end">${t.toFixed(2)}</text>`,
    ),
    ...dense.map((_, l) => `<text x="${x(l)}" y="${height - bottom + 20}" text-anchor="middle">${l}</text>`),
    series(dense, 'dense'),
    series(idle, 'idled'),
    name('Dense', 'dense', yDense + down * apart),
    name('Idled', 'idled', yIdle - down * apart),
  ].join('')
  return make('div', { class: 'chart' }, svg as unknown as HTMLElement)
}
