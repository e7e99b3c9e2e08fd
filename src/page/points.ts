/** Points with their uncertainty in both directions, and what each is called. */
import type { Mark } from 'vega'
import { type Chart, draw, font, LETTERS, plain, shapes } from './chart.js'
import { columnsFor } from './curves.js'
import { placeLabels } from './labels.js'
import { type Range, rangeOf } from './range.js'
import { axes, type ChartOptions, type Series, seriesScale } from './series.js'

/** A measured value with its interval. */
export interface Measured {
  readonly value: number
  readonly low: number
  readonly high: number
}

export interface MeasuredPoint {
  readonly x: Measured
  readonly y: Measured
  readonly label: string
  /** Whether no other point is better in both directions: such points are filled, the others are hollow. */
  readonly best?: boolean
}

/** Points of one kind, joined by a faint line in the order given unless they have nothing to do with each other. */
export interface PointSeries extends Pick<Series, 'name' | 'meaning'> {
  readonly points: readonly MeasuredPoint[]
  /** Default true. */
  readonly joined?: boolean
}

export interface PointChartOptions extends Omit<ChartOptions, 'places'> {
  /** Draw a line through the best points. */
  readonly front?: boolean
}

/** Around the plot: room for axes and their titles, and for each line of the legend. */
const margin = { left: 52, right: 14, top: 14, bottom: 46 }
const LEGEND = 20
/** A star with five points, as large as the other symbols look. */
const star = `M${Array.from({ length: 10 }, (_, i) => {
  const [angle, radius] = [(i * Math.PI) / 5, i % 2 === 0 ? 1.5 : 0.65]
  return `${(radius * Math.sin(angle)).toFixed(3)},${(-radius * Math.cos(angle)).toFixed(3)}`
}).join('L')}Z`
const symbols = ['circle', 'square', 'diamond', 'triangle-up', 'triangle-down', 'cross', 'triangle-right', star]
/** More points than this get more room and fainter bars; a narrow chart then names the best only. */
export const MANY = 12
/** Height for each point above {@link MANY}, and for all of them, in pixels. */
const [MORE, MOST] = [7, 170]

/**
 * A scatter of points with error bars. Labels stand beside their points, where they meet no point and no other label,
 * and no bar or line if that can be.
 */
export function pointChart(series: readonly PointSeries[], options: PointChartOptions): Promise<Chart> {
  const whole = shapes[options.shape ?? 'wide']
  const columns = columnsFor(series, whole.width)
  const legend = LEGEND * Math.ceil(series.length / columns)
  const width = whole.width - margin.left - margin.right
  const count = series.reduce((sum, { points }) => sum + points.length, 0)
  const crowded = count > MANY
  const more = Math.min(MOST, MORE * Math.max(0, count - MANY))
  const height = whole.height + more - margin.top - margin.bottom - LEGEND
  const ends = (axis: 'x' | 'y') =>
    series.flatMap(({ points }) => points.flatMap(({ [axis]: { low, high, value } }) => [low, high, value]))
  const xRange = options.xRange ?? rangeOf(ends('x'), { margin: 0.04 })
  const range = options.range ?? rangeOf(ends('y'), { margin: crowded ? 0.04 : 0.16 })
  const place = ([low, high]: Range, value: number) => (value - low) / (high - low)
  const at = {
    x: (value: number) => place(xRange, value) * width,
    y: (value: number) => (1 - place(range, value)) * height,
  }
  const rows = series.flatMap(({ name, points, joined = true }) =>
    points.map(({ x, y, label, best }) => ({
      name,
      joined,
      label: crowded && options.shape === 'narrow' && best === false ? '' : label,
      best,
      x: at.x(x.value),
      x1: at.x(x.low),
      x2: at.x(x.high),
      y: at.y(y.value),
      y1: at.y(y.high),
      y2: at.y(y.low),
    })),
  )
  const front = options.front ? rows.filter(({ best }) => best).sort((a, b) => a.x - b.x) : []
  const between = (points: readonly { x: number; y: number }[]) =>
    points.slice(1).map(({ x, y }, i) => ({ x: points[i]?.x ?? x, y: points[i]?.y ?? y, x2: x, y2: y }))
  const ranked = [...rows].sort((a, b) => Number(b.best ?? false) - Number(a.best ?? false) || a.x - b.x)
  const placed = placeLabels(ranked, {
    width,
    height,
    bars: rows.flatMap(({ x, x1, x2, y, y1, y2 }) => [
      { left: x - 4, right: x + 4, top: y1, bottom: y2 },
      { left: x1, right: x2, top: y - 4, bottom: y + 4 },
    ]),
    lines: [
      ...between(front),
      ...series.flatMap(({ name }) => between(rows.filter((row) => row.joined && row.name === name))),
    ],
  })
  const rated = rows.some(({ best }) => best !== undefined)
  const names = placed.map(({ of, label, x, y }) => ({ ...ranked[of], label, x, y }))
  const leads = placed.flatMap(({ lead }) => lead ?? [])
  const colour = { scale: 'colour', field: 'name' }
  const opacity = crowded ? 0.3 : 0.65
  const bar = (encoding: object): Mark => ({
    type: 'rule',
    from: { data: 'points' },
    encode: { enter: { ...encoding, stroke: colour, strokeWidth: { value: 1.5 }, strokeOpacity: { value: opacity } } },
  })
  const field = (name: string, offset = 0) => ({ field: name, offset })
  const vertical = { x: field('x'), y: field('y1'), y2: field('y2') }
  const horizontal = { y: field('y'), x: field('x1'), x2: field('x2') }
  const cap = (y: string) => ({ x: field('x', -3), x2: field('x', 3), y: field(y) })
  return draw({
    width,
    height,
    padding: { ...margin, top: margin.top + legend },
    autosize: 'none',
    data: [
      { name: 'points', values: rows },
      { name: 'joined', values: rows.filter(({ joined }) => joined) },
      { name: 'names', values: names },
      { name: 'leads', values: leads },
      { name: 'front', values: front },
    ],
    scales: [
      { name: 'x', type: 'linear', range: 'width', zero: false, domain: [...xRange] },
      { name: 'y', type: 'linear', range: 'height', zero: false, domain: [...range] },
      seriesScale(
        'colour',
        series,
        series.map(({ meaning }) => plain(meaning)),
      ),
      seriesScale('symbol', series, symbols),
    ],
    axes: axes({ ...options, ticks: options.shape === 'narrow' ? 4 : 6 }),
    legends: [
      {
        fill: 'colour',
        shape: 'symbol',
        orient: 'top',
        direction: 'horizontal',
        symbolSize: 80,
        columns,
      },
    ],
    marks: [
      {
        type: 'line',
        from: { data: 'front' },
        encode: {
          enter: {
            x: field('x'),
            y: field('y'),
            stroke: { value: plain('line') },
            strokeWidth: { value: 7 },
            strokeCap: { value: 'round' },
            strokeJoin: { value: 'round' },
          },
        },
      },
      {
        type: 'group',
        from: { facet: { name: 'curve', data: 'joined', groupby: 'name' } },
        marks: [
          {
            type: 'line',
            from: { data: 'curve' },
            encode: {
              enter: {
                x: field('x'),
                y: field('y'),
                stroke: colour,
                strokeWidth: { value: 1 },
                strokeOpacity: { value: 0.45 },
              },
            },
          },
        ],
      },
      bar(vertical),
      bar(horizontal),
      bar(cap('y1')),
      bar(cap('y2')),
      {
        type: 'rule',
        from: { data: 'leads' },
        encode: {
          enter: {
            x: field('x'),
            y: field('y'),
            x2: field('x2'),
            y2: field('y2'),
            stroke: { value: plain('soft') },
            strokeWidth: { value: 0.75 },
          },
        },
      },
      {
        type: 'symbol',
        from: { data: 'points' },
        encode: {
          enter: {
            x: field('x'),
            y: field('y'),
            fill: [{ test: 'datum.best === false', value: plain('page') }, colour],
            shape: { scale: 'symbol', field: 'name' },
            size: rated ? [{ test: 'datum.best', value: 100 }, { value: 50 }] : { value: 64 },
            stroke: [{ test: 'datum.best === false', ...colour }, { value: plain('page') }],
            strokeWidth: { value: 1.5 },
          },
        },
      },
      {
        type: 'text',
        from: { data: 'names' },
        encode: {
          enter: {
            x: field('x'),
            y: field('y'),
            text: { field: 'label' },
            align: { value: 'center' },
            baseline: { value: 'middle' },
            font: { value: font },
            fontSize: { value: LETTERS - 1 },
            fill: rated ? [{ test: 'datum.best', value: plain('ink') }, { value: plain('soft') }] : colour,
          },
        },
      },
    ],
  })
}
