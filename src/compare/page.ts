/** The page of a comparison: accuracy against work and against measured speed, and every number behind the pictures. */

import { describePreprocess } from '../images/preprocess.js'
import {
  chartPicture,
  dataTable,
  figure,
  gallery,
  type Html,
  html,
  keyNumbers,
  page,
  record,
  records,
  type Section,
} from '../page/page.js'
import { MANY, pointChart } from '../page/points.js'
import { type Cost, seriesOf, told } from './chart.js'
import type { CompareReport } from './compare.js'
import { type CompareRow, matchCells, matchHeadings } from './results.js'

/** What the page is drawn from. */
export interface Findings extends CompareReport {
  /** The first model. */
  readonly model: string
  /** Whether the methods' rates were adjusted to the same work. */
  readonly matched: boolean
  /** Methods that the model cannot run. */
  readonly refused: readonly { readonly method: string; readonly reason: string }[]
}

/** Draws the page as the text of an HTML file. */
export async function drawPage(findings: Findings): Promise<string> {
  const { model, images, data, rows, matched } = findings
  const precisions = [...new Set(rows.map(({ precision }) => precision))]
  const charts = []
  for (const precision of precisions) charts.push(await chartSection(findings, precision, precisions.length > 1))
  return page({
    title: 'Methods compared',
    lead: html`${model} with every token, and ${rows.length - 1} rows beside it, on ${images} pictures of ${data}. Every row answered exactly the same decoded pictures; its work is counted on the graph that ran, and its speed was measured in turns with the others’.`,
    summary: keyNumbers(headline(findings)),
    sections: [
      ...charts,
      numbersSection(findings),
      answersSection(findings),
      ...(matched ? [matchSection(rows)] : []),
      howSection(findings),
    ],
    footer: html`Written by idlevit compare; everything here was measured on this machine.`,
  })
}

/** Within so many points a row counts as about as right as the dense one. */
const NEAR = 1

function headline({ rows, images }: CompareReport) {
  const [dense, ...others] = rows
  const near = others.filter(({ toDense }) => toDense && toDense.points >= -NEAR)
  const fastest = near.reduce<CompareRow | undefined>(
    (best, row) => (best && best.speedup >= row.speedup ? best : row),
    undefined,
  )
  const lightest = near.reduce<CompareRow | undefined>(
    (best, row) => (best && best.gmacs <= row.gmacs ? best : row),
    undefined,
  )
  const called = (row: CompareRow) => nameOf(row, rows)
  return [
    ...(dense
      ? [{ value: `${dense.top1Percent.toFixed(1)} %`, label: `of ${images} pictures right with every token` }]
      : []),
    ...(fastest && fastest.speedup > 1
      ? [
          {
            value: `${fastest.speedup.toFixed(2)}×`,
            label: `as fast: ${called(fastest)}, the fastest within ${NEAR} point of dense`,
          },
        ]
      : []),
    ...(lightest && lightest.macRatio > 1
      ? [
          {
            value: `${(100 / lightest.macRatio).toFixed(0)} %`,
            label: `of the work: ${called(lightest)}, the lightest within ${NEAR} point of dense`,
          },
        ]
      : []),
  ]
}

/** A row's name, with its numbers where there are several kinds. */
function nameOf({ name, precision }: CompareRow, rows: readonly CompareRow[]): string {
  return rows.some((row) => row.precision !== precision) ? `${name}, ${precision}` : name
}

async function chartSection(
  { rows, batch, rounds }: CompareReport,
  precision: string,
  several: boolean,
): Promise<Section> {
  const own = rows.filter((row) => row.precision === precision)
  const draw = (x: string, of: Cost) => {
    const series = seriesOf(own, rows[0] as CompareRow, of)
    return chartPicture((shape) => pointChart(series, { shape, front: true, x, y: 'top-1 accuracy, %' }), told(own, of))
  }
  const paired = 'Bars: 95 % intervals of the difference to dense on the same pictures.'
  return {
    id: `accuracy-${precision}`,
    title: several ? `Accuracy, work and speed in ${precision}` : 'Accuracy, work and speed',
    body: html`<p>Numbers are keep ratios. A filled point is one of the best: no other is as right with less work, or as right and faster. The grey band joins them.${own.length > MANY ? ' On narrow screens only the best are named.' : ''} Whether a point is really better than its neighbour, <a href="#answers">the same pictures</a> tell.</p>
${gallery('large', [
  figure(
    await draw('10⁹ multiply-adds a picture, executed', 'gmacs'),
    html`<strong>Accuracy against work.</strong> Up and to the left is better. ${paired}`,
  ),
  figure(
    await draw(`images per second, batch ${batch}`, 'speed'),
    html`<strong>Accuracy against measured speed.</strong> Up and to the right is better. ${paired} Level bars: the middle half of the rounds, ${rounds} in all.`,
  ),
])}`,
  }
}

function numbersSection({ rows, images }: CompareReport): Section {
  const best = (is: boolean, text: string): Html | string => (is ? html`<strong>${text}</strong>` : text)
  return {
    id: 'numbers',
    title: 'Every row',
    body: html`${dataTable(
      `${images} pictures. Bold GMACs: no row of the same numbers is as right with less; bold images per second: none is as right and faster. Ratios are to the first row; behind the speed’s, the middle half of the rounds.`,
      ['row', 'top-1', 'top-5', 'GMACs', 'work', 'images/s', 'ratio', 'middle half', 'parameters'],
      rows.map((row, i) => [
        nameOf(row, rows),
        `${row.top1Percent.toFixed(2)} %`,
        `${row.top5Percent.toFixed(2)} %`,
        best(row.best.gmacs, row.gmacs.toFixed(3)),
        `${(100 / row.macRatio).toFixed(0)} %`,
        best(row.best.speed, row.imagesPerSecond.toFixed(1)),
        `${row.speedup.toFixed(2)}×`,
        i === 0 ? '' : range(row.speedupQuartiles),
        `${(row.params / 1e6).toFixed(2)} M`,
      ]),
    )}`,
  }
}

function answersSection({ rows, images }: CompareReport): Section {
  return {
    id: 'answers',
    title: 'The same pictures',
    body: html`<p>All rows saw the same pictures, so what counts against the dense row is only where the two differ. Gained are pictures that the row alone gets right, lost those that dense alone gets right; p is how often chance alone would part them so unevenly (McNemar’s exact test, two-sided).</p>
${dataTable(
  `Of ${images} pictures.`,
  ['row', 'right', 'top-1', '95 % interval', 'gained', 'lost', 'points to dense', '95 % interval', 'p'],
  rows.map((row) => [
    nameOf(row, rows),
    row.top1,
    `${row.top1Percent.toFixed(2)} %`,
    `${row.top1Interval.map((end) => end.toFixed(1)).join('–')} %`,
    ...(row.toDense
      ? [
          row.toDense.gained,
          row.toDense.lost,
          signed(row.toDense.points),
          row.toDense.interval.map(signed).join(' to '),
          row.toDense.p < 0.001 ? '<0.001' : row.toDense.p.toFixed(3),
        ]
      : ['', '', '', '', '']),
  ]),
)}`,
  }
}

function matchSection(rows: readonly CompareRow[]): Section {
  const matched = rows.flatMap(({ match, ...row }) => (match ? [{ ...row, match }] : []))
  return {
    id: 'matched',
    title: 'Matched work',
    body:
      matched.length === 0
        ? html`<p>There is one method, so nothing had to be matched.</p>`
        : html`<p>Each method’s rate is the one whose executed multiply-adds come nearest to the target’s. Methods count in whole tokens, so most cannot meet it exactly.</p>
${dataTable(
  'How near they came.',
  ['row', ...matchHeadings],
  matched.map(({ name, precision, gmacs, match }) => [`${name}, ${precision}`, ...matchCells(gmacs, match, signed)]),
)}`,
  }
}

function howSection(findings: Findings): Section {
  const { machine, batch, rounds, rows, lanes, threads, device, timedTogether, skipped, refused, preprocessing } =
    findings
  const together = timedTogether === rows.length ? 'all rows' : `up to ${timedTogether} rows, dense always one of them`
  return {
    id: 'how',
    title: 'How it was measured',
    body: html`${records([
      record('Speed', [
        ['timed in turns', together],
        ['rounds', rounds],
        ['pictures a batch', batch],
        ['sessions side by side', lanes],
        ['threads', threads],
        ['device', device],
      ]),
      record('Machine', [
        ['processor', machine.cpu],
        ['processors', machine.processors],
        ['memory', `${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB`],
        ['ONNX Runtime', machine.onnxruntime],
        ['Node', machine.node],
      ]),
      record('Pictures', [
        ['data', findings.data],
        ['pictures', findings.images],
        ['could not be read', skipped.length],
        ...(findings.images + skipped.length < findings.available
          ? ([['in the data', findings.available]] as const)
          : []),
        ['made by', describePreprocess(preprocessing)],
      ]),
    ])}
${
  skipped.length > 0
    ? dataTable(
        'Pictures that could not be read.',
        ['picture', 'why'],
        skipped.map(({ name, reason }) => [name, reason]),
      )
    : undefined
}
${
  refused.length > 0
    ? dataTable(
        'Methods that the model cannot run.',
        ['method', 'why'],
        refused.map(({ method, reason }) => [method, reason]),
      )
    : undefined
}`,
  }
}

const range = ([low, high]: readonly [number, number]): string => `${low.toFixed(2)}–${high.toFixed(2)}`
const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`
