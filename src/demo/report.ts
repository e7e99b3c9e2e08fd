/** The demo's report: one HTML file with everything in it. */

import type { Visualization } from '../analysis/visualization.js'
import type { Interval } from '../evaluation/intervals.js'
import { lineChart } from '../page/curves.js'
import { chartPicture, dataTable, figure, gallery, html, keyNumbers, page, type Section } from '../page/page.js'
import { type MeasuredPoint, pointChart } from '../page/points.js'
import type { Row } from './measure.js'
import type { Fate, Watched } from './watch.js'

/** What the demo found. */
export interface Findings {
  /** Pictures that every row was measured on. */
  readonly images: number
  /** Rounds in which all rows were timed in turns. */
  readonly rounds: number
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
          {
            value: points(half.top1Gain),
            label: `points of top-1 accuracy there; 95 %: ${points(half.top1GainInterval[0])} to ${points(half.top1GainInterval[1])}`,
          },
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

async function resultsSection({ rows, reference, images, rounds }: Findings): Promise<Section> {
  const of = (precision: string) => rows.filter((row) => row.precision === precision)
  const told = (row: Row | undefined) =>
    row ? `${row.top1Percent.toFixed(1)} % at ${row.speedup.toFixed(2)} times the speed` : 'nothing'
  const pointsOf = (own: readonly Row[]) => own.map(pointOf)
  const chart = await chartPicture(
    (shape) =>
      pointChart(
        [
          { name: 'fp32', meaning: 'fp32', points: pointsOf(of('fp32')) },
          { name: 'int8', meaning: 'int8', points: pointsOf(of('int8')) },
        ],
        { shape, x: 'times as fast as dense in fp32', y: 'top-1 accuracy, %' },
      ),
    `Accuracy against speed: fp32 from ${told(of('fp32')[0])} to ${told(of('fp32').at(-1))}, int8 from ${told(of('int8')[0])} to ${told(of('int8').at(-1))}.`,
  )
  const [dense] = rows
  const most = Math.max(...rows.map(({ ratios }) => ratios))
  const pace = dense
    ? `The machine’s own pace, ${range(dense.imagesPerSecondQuartiles, 0)} images a second in the middle half of the first row’s turns, is not in the ratios.`
    : ''
  return {
    id: 'results',
    title: 'Accuracy, work and speed',
    body: html`<p>Keep ratio 1 computes every token in every block. All settings took turns on the same pictures in ${rounds} rounds${most > rounds ? `, keep ratio 0.5 in fp32 and the first row ${most / rounds} times in each` : ''}. A ratio is the median of the ratios to the first row inside the rounds, beside it their middle half; images per second are the first row’s median times the ratio. ${pace}</p>
${gallery('large', [
  dataTable(
    `On ${images} pictures of 16 classes. Behind ± half the 95 % interval of the accuracy. The last row is the model before it learned to be idled.`,
    ['keep ratio', 'top-1', 'GMACs', 'images/s', 'ratio', 'middle half'],
    [...rows, reference].map((row) => [
      `${row.keepRatio}, ${row.precision}${row === reference ? ', before' : ''}`,
      `${row.top1Percent.toFixed(1)} ± ${((row.top1Interval[1] - row.top1Interval[0]) / 2).toFixed(1)} %`,
      row.gmacs.toFixed(3),
      row.imagesPerSecond.toFixed(0),
      `${row.speedup.toFixed(2)}×`,
      row === dense ? '' : range(row.speedupQuartiles, 2),
    ]),
  ),
  figure(
    chart,
    html`<strong>Accuracy against speed.</strong> Numbers are keep ratios, from 1 at the left of each line. Upright bars: 95 % intervals of the accuracy. All points see the same pictures, so their differences are surer than the bars. Level bars: the middle half of the rounds.`,
  ),
])}`,
  }
}

const pointOf = ({ keepRatio, top1Percent, top1Interval, speedup, speedupQuartiles }: Row): MeasuredPoint => ({
  label: String(keepRatio),
  x: { value: speedup, low: speedupQuartiles[0], high: speedupQuartiles[1] },
  y: { value: top1Percent, low: top1Interval[0], high: top1Interval[1] },
})

async function objectSection({ coverage, pictures, keepRatio }: Watched): Promise<Section> {
  const last = coverage.at(-1)
  const ends = last ? `${percent(last.idle)}, dense order ${percent(last.dense)}, random ${percent(last.random)}` : ''
  const chart = await chartPicture(
    (shape) =>
      lineChart(
        [
          { name: 'idle model', meaning: 'idled', values: coverage.map(({ idle }) => 100 * idle) },
          { name: 'dense order', meaning: 'dense', line: 'dashed', values: coverage.map(({ dense }) => 100 * dense) },
          { name: 'random', meaning: 'reference', line: 'dotted', values: coverage.map(({ random }) => 100 * random) },
        ],
        { shape, x: 'block', y: 'object pixels in computed tokens, %', range: [0, 100] },
      ),
    `Share of the object’s pixels in computed tokens by block; in the last block: idle model ${ends}.`,
  )
  return {
    id: 'object',
    title: 'Is the object computed?',
    body: html`<p>The generator knows which pixels show the object. Their share in the tokens that each block computes at keep ratio ${keepRatio}; beside it as many tokens chosen by the class attention of the dense model’s block, and at random.</p>
${gallery('large', [
  figure(
    chart,
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

const percent = (share: number): string => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '–')
const points = (difference: number): string => `${difference < 0 ? '−' : '+'}${Math.abs(difference).toFixed(1)}`
const range = ([low, high]: Interval, digits: number): string => `${low.toFixed(digits)}–${high.toFixed(digits)}`
