/** The charts of a run, from its log. */
import { lineChart } from '../page/curves.js'
import { type HtmlValue, html, type Picture } from '../page/page.js'
import { type Range, rangeOf } from '../page/range.js'
import type { LineStyle, Series } from '../page/series.js'
import type { EpochEntry, Evaluation, LogEntry, ReferenceEntry, StartEntry, StepEntry } from './log.js'
import { updatesPerEpoch } from './loop.js'
import { lossLabel } from './losses.js'

/** One chart of a run: curves over updates or epochs. */
export interface RunChart {
  readonly title: string
  readonly caption: HtmlValue
  readonly x: string
  /** From the beginning of the run to its end, so that a chart tells how far it is. */
  readonly xRange: Range
  readonly range: Range
  readonly curves: readonly Series[]
  readonly format?: string
}

/** Points of one curve, at most; more would not be seen. */
const RESOLUTION = 300

/** Means over bins of neighbouring entries, so that a curve of any length has at most {@link RESOLUTION} points. */
function binned<T>(entries: readonly T[], value: (entry: T) => number): { readonly at: T; readonly mean: number }[] {
  const size = Math.max(1, Math.ceil(entries.length / RESOLUTION))
  return Array.from({ length: Math.ceil(entries.length / size) }, (_, bin) => {
    const part = entries.slice(bin * size, (bin + 1) * size)
    return { at: part.at(-1) as T, mean: part.reduce((sum, entry) => sum + value(entry), 0) / part.length }
  })
}

/** A curve of the places where there is a value. */
function curve(
  name: string,
  points: readonly (readonly [x: number, y: number | undefined])[],
  style: Omit<Series, 'name' | 'at' | 'values'>,
): Series[] {
  const known = points.filter((point): point is readonly [number, number] => point[1] !== undefined)
  return known.length === 0 ? [] : [{ name, at: known.map(([x]) => x), values: known.map(([, y]) => y), ...style }]
}

/** Accuracies lie between these; a chart shows at least two points of them. */
const PERCENT = { within: [0, 100], least: 2, margin: 0.05 } as const

/** Charts of accuracy over epochs. */
function accuracyCharts(log: readonly LogEntry[], xRange: Range): RunChart[] {
  const epochs = log.filter((entry): entry is EpochEntry => entry.kind === 'epoch')
  const reference = (name: ReferenceEntry['name']) =>
    log.findLast((entry): entry is ReferenceEntry => entry.kind === 'reference' && entry.name === name)?.evaluation
  const [before, dense] = [reference('before'), reference('dense')]
  const over = (
    name: string,
    value: (entry: EpochEntry) => Evaluation | Omit<Evaluation, 'byKeepRatio'> | undefined,
    line: LineStyle,
  ) =>
    curve(
      name,
      epochs.map((entry) => [entry.epoch + 1, value(entry)?.top1Percent]),
      { meaning: 'idled', line },
    )
  const level = (name: string, value: number | undefined, meaning: 'dense' | 'reference', line: LineStyle): Series[] =>
    value === undefined ? [] : [{ name, meaning, line, at: [...xRange], values: [value, value], level: true }]
  const chart = (title: string, caption: HtmlValue, curves: readonly Series[]): RunChart[] => {
    const range = rangeOf(
      curves.flatMap(({ values }) => values),
      PERCENT,
    )
    return curves.length === 0 ? [] : [{ title, caption, x: 'epoch', xRange, range, curves }]
  }
  const average = over('moving average', (entry) => entry.average, 'solid')
  const ratios = new Set(epochs.flatMap(({ evaluation }) => Object.keys(evaluation?.byKeepRatio ?? {})))
  const elastic = [...ratios].sort((a, b) => Number(a) - Number(b))
  const lines = ['solid', 'dashed', 'dotted'] as const
  const denseLevel = level('dense', dense?.top1Percent, 'dense', 'dotted')
  return [
    ...chart(
      'Top-1 accuracy, %',
      html`<strong>Top-1 accuracy, %</strong>${elastic.length > 0 ? ', over all keep ratios that are evaluated' : ''}`,
      [
        ...over('weights', ({ evaluation }) => evaluation, average.length > 0 ? 'dashed' : 'solid'),
        ...average,
        ...level('before', before?.top1Percent, 'reference', 'dotted'),
        ...denseLevel,
      ],
    ),
    ...(elastic.length === 0
      ? []
      : chart(
          'Top-1 accuracy by keep ratio, %',
          html`<strong>Top-1 accuracy by keep ratio, %</strong>, of the weights`,
          [
            ...elastic.flatMap((ratio, i) =>
              over(`k = ${ratio}`, ({ evaluation }) => evaluation?.byKeepRatio?.[ratio], lines[i % 3] as LineStyle),
            ),
            ...elastic.flatMap((ratio, i) =>
              level(
                `before, ${ratio}`,
                before?.byKeepRatio?.[ratio]?.top1Percent,
                'reference',
                lines[i % 3] as LineStyle,
              ),
            ),
            ...denseLevel,
          ],
        )),
  ]
}

/** The charts of a log. */
export function chartsOf(log: readonly LogEntry[]): RunChart[] {
  const start = log.findLast((entry): entry is StartEntry => entry.kind === 'start' || entry.kind === 'resume')
  const steps = log.filter((entry): entry is StepEntry => entry.kind === 'step')
  const epochs = Math.max(
    start?.recipe.epochs ?? 1,
    ...log.flatMap((entry) => (entry.kind === 'epoch' ? [entry.epoch + 1] : [])),
  )
  const updates = Math.max(
    1,
    steps.at(-1)?.step ?? 1,
    start ? epochs * updatesPerEpoch(start.pictures, start.recipe) : 1,
  )
  const overSteps = (title: string, value: (entry: StepEntry) => number, note?: string): RunChart[] => {
    const points = binned(steps, value).map(({ at, mean }) => [at.step, mean] as const)
    const curves = curve(title, points, { meaning: 'quantity' })
    const values = curves.flatMap((each) => each.values)
    const tiny = Math.max(...values.map(Math.abs)) < 1e-3
    const caption = html`<strong>${title}</strong>${note && `, ${note}`}`
    const chart = { title, caption, x: 'update', xRange: [0, updates], range: rangeOf(values), curves } as const
    return values.length === 0 ? [] : [{ ...chart, ...(tiny && { format: '~e' }) }]
  }
  const parts = [...new Set(steps.flatMap(({ parts }) => Object.keys(parts)))]
  const coefficient = (part: string) => {
    const weight = start?.recipe.loss[part]
    return weight === undefined || weight === 1 ? undefined : `before its coefficient of ${weight}`
  }
  return [
    ...accuracyCharts(log, [0, epochs]),
    ...overSteps(
      'Loss',
      ({ loss }) => loss,
      parts.length > 1 ? 'the sum of its parts times their coefficients' : undefined,
    ),
    // Parts differ by orders of magnitude: a chart each.
    ...parts.flatMap((part) => overSteps(lossLabel(part), ({ parts }) => parts[part] ?? 0, coefficient(part))),
    ...overSteps('Learning rate', ({ lr }) => lr),
    ...overSteps('Norm of the gradient', ({ gradientNorm }) => gradientNorm),
    ...overSteps('Pictures per second', ({ imagesPerSecond }) => imagesPerSecond),
  ]
}

/** Draws a chart as it is shown: one of several side by side. */
export async function drawRunChart({ title, x, xRange, range, curves, format }: RunChart): Promise<Picture> {
  const options = { shape: 'narrow', x, y: '', xRange, range, counts: true, ...(format && { format }) } as const
  const { svg, width, height } = await lineChart(curves, options)
  return { type: 'image/svg+xml', content: svg, alt: altOf(title, curves), width, height }
}

/** What a chart shows, in words: where each curve begins and ends. */
function altOf(title: string, curves: readonly Series[]): string {
  const number = (value: number | undefined) => String(Number((value ?? Number.NaN).toPrecision(4)))
  const told = curves.map(({ name, values, level }) => {
    const ends =
      level || values.length === 1 ? number(values[0]) : `from ${number(values[0])} to ${number(values.at(-1))}`
    return curves.length === 1 ? ends : `${name} ${ends}`
  })
  return `${title}: ${told.join(', ')}.`
}
