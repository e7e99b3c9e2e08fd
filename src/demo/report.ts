/** The demo's report: one HTML file with everything in it. */

import type { Visualization } from '../analysis/visualization.js'
import type { Chart } from '../page/chart.js'
import { lineChart } from '../page/curves.js'
import { dataTable, figure, gallery, type Html, html, keyNumbers, page, type Section } from '../page/page.js'
import type { Row } from './measure.js'
import type { Fate, Watched } from './watch.js'

/** What the demo found. */
export interface Findings {
  /** Pictures that every row was measured on. */
  readonly images: number
  /** The embedded model; the first row is the dense one in fp32. */
  readonly rows: readonly Row[]
  /** The model that it was finetuned from, dense. */
  readonly reference: Row
  readonly watched: Watched
}

/** Draws the report. */
export async function drawReport(findings: Findings, visualization: Visualization): Promise<string> {
  const { images, watched } = findings
  const [tokens, ...others] = visualization.sections
  return page({
    title: 'Token idling, demonstrated',
    lead: html`A small vision transformer with every token and with ever fewer, on ${images} generated pictures that nothing was trained on. The pictures further down were idled at keep ratio ${watched.keepRatio}.`,
    summary: keyNumbers(headline(findings)),
    sections: [
      await resultsSection(findings),
      ...(tokens ? [tokens] : []),
      await objectSection(watched),
      selfCorrectionSection(watched),
      ...others,
    ],
    footer: html`Method: IdleViT (Xu et al., arXiv 2310.05654). Everything here was computed when this page was written, on this machine.`,
  })
}

function headline({ rows, watched }: Findings) {
  const [dense] = rows
  const half = rows.find(({ keepRatio, precision }) => keepRatio === 0.5 && precision === 'fp32')
  const last = watched.coverage.at(-1)
  const { object } = watched.selfCorrection
  return [
    ...(dense && half
      ? [
          { value: `${half.speedup.toFixed(2)}×`, label: 'as fast at keep ratio 0.5' },
          { value: points(half.top1Percent - dense.top1Percent), label: 'points of top-1 accuracy there' },
        ]
      : []),
    ...(last
      ? [
          {
            value: percent(last.idle),
            label: `of the object in the last block’s ${last.kept} tokens, by chance ${percent(last.random)}`,
          },
        ]
      : []),
    { value: percent(object.recovered), label: 'of the object tokens that idle are computed again' },
  ]
}

async function resultsSection({ rows, reference, images }: Findings): Promise<Section> {
  const of = (precision: string) => rows.filter((row) => row.precision === precision)
  const curve = (name: string, own: readonly Row[]) => ({
    name,
    values: own.map(({ top1Percent }) => top1Percent),
    at: own.map(({ imagesPerSecond }) => imagesPerSecond),
    labels: own.map(({ keepRatio }) => String(keepRatio)),
  })
  const chart = await lineChart(
    [
      { ...curve('fp32', of('fp32')), colour: 'blue' },
      { ...curve('int8', of('int8')), colour: 'orange', dashed: true },
    ],
    { x: 'images per second', y: 'top-1 accuracy, %' },
  )
  const told = (row: Row | undefined) =>
    row ? `${row.top1Percent.toFixed(1)} % at ${row.imagesPerSecond.toFixed(0)} images/s` : 'nothing'
  return {
    id: 'results',
    title: 'Accuracy, work and speed',
    body: html`<p>All settings ran in turns on the same pictures; ratios are medians over rounds against the first row. Keep ratio 1 computes every token in every block.</p>
${gallery('large', [
  dataTable(
    `On ${images} pictures of 16 classes. The last row is the model before it learned to be idled.`,
    ['keep ratio', 'numbers', 'top-1', 'GMACs', 'images/s', 'ratio'],
    [...rows, reference].map((row) => [
      row === reference ? '1, before' : String(row.keepRatio),
      row.precision,
      `${row.top1Percent.toFixed(1)} %`,
      row.gmacs.toFixed(3),
      row.imagesPerSecond.toFixed(0),
      `${row.speedup.toFixed(2)}×`,
    ]),
  ),
  chartFigure(
    chart,
    `Accuracy against speed: fp32 from ${told(of('fp32')[0])} to ${told(of('fp32').at(-1))}, int8 from ${told(of('int8')[0])} to ${told(of('int8').at(-1))}.`,
    html`<strong>Accuracy against speed.</strong> Points are keep ratios, those of fp32 written above and those of int8 below.`,
  ),
])}`,
  }
}

async function objectSection({ coverage, pictures, keepRatio }: Watched): Promise<Section> {
  const chart = await lineChart(
    [
      { name: 'idle model', colour: 'orange', values: coverage.map(({ idle }) => 100 * idle) },
      { name: 'dense order', colour: 'blue', dashed: true, values: coverage.map(({ dense }) => 100 * dense) },
      { name: 'random', colour: 'grey', values: coverage.map(({ random }) => 100 * random) },
    ],
    { x: 'block', y: 'object pixels in computed tokens, %' },
  )
  const last = coverage.at(-1)
  const ends = last ? `${percent(last.idle)}, dense order ${percent(last.dense)}, random ${percent(last.random)}` : ''
  return {
    id: 'object',
    title: 'Is the object computed?',
    body: html`<p>The generator knows which pixels show the object. Their share in the tokens that each block computes at keep ratio ${keepRatio}; beside it as many tokens chosen by the class attention of the dense model’s block, and at random.</p>
${gallery('large', [
  chartFigure(
    chart,
    `Share of the object’s pixels in computed tokens by block; in the last block: idle model ${ends}.`,
    html`<strong>Object coverage.</strong> Means over ${pictures} pictures. A random choice covers as much of the object as of the picture.`,
  ),
  dataTable(
    'By block.',
    ['block', 'tokens', 'idle model', 'dense order', 'random'],
    coverage.map(({ block, kept, idle, dense, random }) => [
      String(block),
      kept,
      percent(idle),
      percent(dense),
      percent(random),
    ]),
  ),
])}`,
  }
}

function selfCorrectionSection({ selfCorrection, pictures, keepRatio }: Watched): Section {
  const { all, object, background } = selfCorrection
  const row = (name: string, { tokens, idled, returned, recovered }: Fate) => [
    name,
    tokens,
    percent(idled),
    percent(returned),
    percent(recovered),
  ]
  return {
    id: 'self-correction',
    title: 'Self-correction',
    body: html`<p>An idle token is not lost: a later block may compute it again. A token belongs to the object when the object covers half of it or more, and to the background when it shows nothing of it.</p>
${dataTable(
  `At keep ratio ${keepRatio}, over ${pictures} pictures. Recovered are those computed again of those that idle.`,
  ['tokens', 'number', 'idle in some block', 'idle, then computed again', 'recovered'],
  [row('all', all), row('of the object', object), row('of the background', background)],
)}`,
  }
}

const chartFigure = ({ svg, width, height }: Chart, alt: string, caption: Html): Html =>
  figure({ type: 'image/svg+xml', content: svg, alt, width, height }, caption)

const percent = (share: number): string => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '–')
const points = (difference: number): string => `${difference < 0 ? '−' : '+'}${Math.abs(difference).toFixed(1)}`
