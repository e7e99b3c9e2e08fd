/** The page of a tuning: the front that was found, what was predicted and what was measured. */

import { tones } from '../compare/chart.js'
import { describePreprocess } from '../images/preprocess.js'
import {
  chartPicture,
  dataTable,
  figure,
  gallery,
  html,
  keyNumbers,
  notice,
  page,
  record,
  records,
  type Section,
} from '../page/page.js'
import { MANY, type MeasuredPoint, type PointSeries, pointChart } from '../page/points.js'
import type { MethodName } from '../reduction/registry.js'
import type { Candidate } from './front.js'
import { tuneFiles } from './journal.js'
import type { TuneReport } from './report.js'

/** Draws the page as the text of an HTML file. */
export async function drawTunePage(report: TuneReport): Promise<string> {
  const { model, target, measured, predicted, missed, method } = report
  const points = measured.pointsToDense
  return page({
    title: `A plan for ${target}`,
    lead: html`${model.name} under ${method}, sought among ${report.methods.join(', ')} on ${report.pictures.search} pictures of ${report.data}, on this machine and without training.`,
    summary: html`${keyNumbers([
      {
        value: `${measured.speedup.toFixed(2)}×`,
        label: `as fast as dense, measured (${predicted.speedup.toFixed(2)}× predicted)`,
      },
      {
        value: `${((100 * measured.gmacs) / measured.denseGmacs).toFixed(0)} %`,
        label: `of the work: ${measured.gmacs.toFixed(3)} GMACs a picture`,
      },
      {
        value: `${measured.agreementPercent.toFixed(1)} %`,
        label: `answered as the dense model does, measured (${predicted.agreementPercent.toFixed(1)} % predicted)`,
      },
      ...(points === null
        ? []
        : [
            {
              value: signed(points),
              label: `points of top-1 to dense, measured (${signed(predicted.pointsToDense)} predicted)`,
            },
          ]),
    ])}${missed === undefined ? undefined : notice(`The target was missed: ${missed}.`)}`,
    sections: [
      await frontSection(report),
      planSection(report),
      checkSection(report),
      costSection(report),
      howSection(report),
    ],
    footer: html`Written by idlevit tune; everything here was measured on this machine. ${tuneFiles.plan} beside it is what commands take as --plan.`,
  })
}

/** What agreement is drawn against. */
type Cost = 'milliseconds' | 'gmacs'

function seriesOf({ candidates, dense }: TuneReport, cost: Cost): PointSeries[] {
  const methods = [...new Set(candidates.map(({ method }) => method))]
  const exactly = (value: number) => ({ value, low: value, high: value })
  const best = (each: Candidate) => each.best[cost === 'gmacs' ? 'gmacs' : 'speed']
  const pointOf = (each: Candidate): MeasuredPoint => ({
    label: each.chosen ? 'chosen' : '',
    best: best(each),
    x: exactly(each[cost]),
    y: { value: each.agreementPercent, low: each.agreementInterval[0], high: each.agreementInterval[1] },
  })
  return [
    {
      name: 'dense',
      meaning: 'dense',
      points: [{ label: 'dense', best: true, x: exactly(dense[cost]), y: exactly(100) }],
    },
    ...methods.map((method) => ({
      name: method,
      meaning: tones[method as MethodName],
      points: candidates
        .filter((each) => each.method === method)
        .sort((a, b) => a.gmacs - b.gmacs)
        .map(pointOf),
    })),
  ]
}

function told({ candidates }: TuneReport, cost: Cost): string {
  const unit = cost === 'gmacs' ? 'GMACs' : 'ms'
  const best = candidates
    .filter((each) => each.best[cost === 'gmacs' ? 'gmacs' : 'speed'])
    .sort((a, b) => a[cost] - b[cost])
    .map(
      (each) =>
        `${each.method} ${each.agreementPercent.toFixed(1)} % at ${each[cost].toFixed(cost === 'gmacs' ? 3 : 2)} ${unit}`,
    )
  return `Agreement with the dense model against ${cost === 'gmacs' ? 'work' : 'time'}. The best: ${best.join('; ')}.`
}

async function frontSection(report: TuneReport): Promise<Section> {
  const { candidates, pictures } = report
  const least = Math.min(...candidates.map(({ agreementInterval: [low] }) => low))
  const range = [Math.max(0, 10 * Math.floor(least / 10)), 102] as const // nothing is above 100 %
  const draw = (cost: Cost, x: string) =>
    chartPicture(
      (shape) => pointChart(seriesOf(report, cost), { shape, front: true, x, y: 'answered as dense, %', range }),
      told(report, cost),
    )
  const of = `Bars: 95 % intervals over ${pictures.prediction} pictures that had no say in the search.`
  return {
    id: 'front',
    title: 'The front that was found',
    body: html`<p>Every point is a plan; a filled one is one of the best: no other agrees more with the dense model in less time, or with less work.${candidates.length > MANY ? ' The chosen one is named.' : ''}</p>
${gallery('large', [
  figure(await draw('milliseconds', 'predicted ms a picture'), html`<strong>Agreement against time.</strong> ${of}`),
  figure(
    await draw('gmacs', '10⁹ multiply-adds a picture, executed'),
    html`<strong>Agreement against work.</strong> ${of}`,
  ),
])}
${dataTable(
  'Bold: one of the best in time. Points: of top-1 to dense, expected. Any row is a plan that --method and --keep-tokens take.',
  ['method', 'GMACs', 'ms', 'times as fast', 'as dense', 'points', 'tokens by block'],
  [...candidates]
    .sort((a, b) => a.milliseconds - b.milliseconds)
    .map((each) => [
      each.chosen ? `${each.method}, chosen` : each.method,
      each.gmacs.toFixed(3),
      each.best.speed ? html`<strong>${each.milliseconds.toFixed(2)}</strong>` : each.milliseconds.toFixed(2),
      `${each.speedup.toFixed(2)}×`,
      `${each.agreementPercent.toFixed(1)} %`,
      signed(each.pointsToDense),
      each.tokens.join(', '),
    ]),
)}`,
  }
}

function planSection({ method, tokens, model }: TuneReport): Section {
  return {
    id: 'plan',
    title: 'The plan',
    body: html`${dataTable(
      `${method}: image tokens by block, of ${model.tokens}.`,
      ['block', ...tokens.map((_, l) => String(l))],
      [['tokens', ...tokens]],
    )}`,
  }
}

function checkSection({ predicted, measured, labelled }: TuneReport): Section {
  const { denseTop1Percent, top1Percent, pointsToDense, pointsInterval } = measured
  const range = ([low, high]: readonly [number, number]) => `${signed(low)} to ${signed(high)}`
  return {
    id: 'check',
    title: 'Predicted and measured',
    body: html`<p>The prediction rests on ${predicted.pictures} pictures that had no say in the search, what was measured afterwards on ${measured.pictures} others and on a run of its own. ${labelled ? 'What a changed answer costs was learned from labels.' : 'These pictures have no labels: what a changed answer costs is what the dense model’s own probabilities let expect.'}</p>
${dataTable(
  'Accuracy and speed.',
  ['', 'predicted', '95 % interval', 'measured', '95 % interval'],
  [
    [
      'answered as dense',
      `${predicted.agreementPercent.toFixed(2)} %`,
      `${predicted.agreementInterval.map((end) => end.toFixed(1)).join('–')} %`,
      `${measured.agreementPercent.toFixed(2)} %`,
      '',
    ],
    [
      'points of top-1 to dense',
      signed(predicted.pointsToDense),
      range(predicted.pointsInterval),
      pointsToDense === null ? '' : signed(pointsToDense),
      pointsInterval === null ? '' : range(pointsInterval),
    ],
    [
      'top-1',
      predicted.top1Percent === null ? '' : `${predicted.top1Percent.toFixed(2)} %`,
      '',
      top1Percent === null ? '' : `${top1Percent.toFixed(2)} % (dense ${denseTop1Percent?.toFixed(2)} %)`,
      '',
    ],
    [
      'times as fast as dense',
      `${predicted.speedup.toFixed(2)}×`,
      `±${predicted.timeErrorPercent.toFixed(1)} %`,
      `${measured.speedup.toFixed(2)}×`,
      `${measured.speedupQuartiles.map((end) => end.toFixed(2)).join('–')} (middle half)`,
    ],
    ['ms a picture', predicted.milliseconds.toFixed(2), '', measured.milliseconds.toFixed(2), ''],
    ['GMACs', predicted.gmacs.toFixed(4), '', measured.gmacs.toFixed(4), ''],
  ],
)}`,
  }
}

function costSection({ costs }: TuneReport): Section {
  return {
    id: 'cost',
    title: 'What work costs in time here',
    body: html`<p>Whole graphs of every method were timed in turns with the dense one; a line through them tells the time of the others: time = fixed + slope · work, all as shares of the dense model’s. The error is how far each timed plan is off by the line through the others.</p>
${dataTable(
  'Cost models.',
  ['method', 'fixed', 'slope', 'error', 'timed (work: time)'],
  costs.map(({ method, fixed, slope, error, timed }) => [
    method,
    fixed.toFixed(3),
    slope.toFixed(3),
    `${(100 * error).toFixed(1)} %`,
    timed.map(({ work, time }) => `${work.toFixed(2)}: ${time.toFixed(2)}`).join(', '),
  ]),
)}`,
  }
}

function howSection(report: TuneReport): Section {
  const { machine, pictures, skipped, refused, preprocessing } = report
  return {
    id: 'how',
    title: 'How it was found',
    body: html`${records([
      record('Search', [
        ['plans tried', report.tries],
        ['methods', report.methods.join(', ')],
        ['pictures to search on', pictures.search],
        ['to predict from', pictures.prediction],
        ['to measure on', pictures.measurement],
        ['in the data', report.available],
        ['could not be read', skipped.length],
        ['made by', describePreprocess(preprocessing)],
      ]),
      record('Device', [
        ['processor', machine.cpu],
        ['processors', machine.processors],
        ['device', report.device],
        ['numbers', report.precision],
        ['pictures a batch', report.batch],
        ['sessions side by side', report.lanes],
        ['threads', report.threads],
        ['ONNX Runtime', machine.onnxruntime],
        ['Node', machine.node],
      ]),
    ])}
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

const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`
