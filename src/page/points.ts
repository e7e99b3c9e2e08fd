/** Points with their uncertainty in both directions, and what each is called. */
import type { Mark } from 'vega'
import { type Chart, draw, font, LETTERS, plain, shapes } from './chart.js'
import { columnsFor } from './curves.js'
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
}

/** Points of one kind, joined by a faint line in the order given. */
export interface PointSeries extends Pick<Series, 'name' | 'meaning'> {
  readonly points: readonly MeasuredPoint[]
}

/** Around the plot: room for legend, axes and their titles. */
const margin = { left: 52, right: 14, top: 34, bottom: 46 }
const symbols = ['circle', 'square', 'diamond', 'triangle-up']
/** Space a label takes, in pixels: its letters, and a line of them. */
const LETTER = 7.5
const LINE = 14

/**
 * A scatter of points with error bars. Labels of the first series stand above its error bars, those of the others below;
 * where one would meet another or an error bar it moves on.
 */
export function pointChart(series: readonly PointSeries[], options: Omit<ChartOptions, 'places'>): Promise<Chart> {
  const whole = shapes[options.shape ?? 'wide']
  const width = whole.width - margin.left - margin.right
  const height = whole.height - margin.top - margin.bottom
  const ends = (axis: 'x' | 'y') =>
    series.flatMap(({ points }) => points.flatMap(({ [axis]: { low, high, value } }) => [low, high, value]))
  const xRange = options.xRange ?? rangeOf(ends('x'), { margin: 0.04 })
  const range = options.range ?? rangeOf(ends('y'), { margin: 0.16 })
  const place = ([low, high]: Range, value: number) => (value - low) / (high - low)
  const at = {
    x: (value: number) => place(xRange, value) * width,
    y: (value: number) => (1 - place(range, value)) * height,
  }
  const rows = series.flatMap(({ name, points }, of) =>
    points.map(({ x, y, label }) => ({
      name,
      of,
      label,
      x: at.x(x.value),
      x1: at.x(x.low),
      x2: at.x(x.high),
      y: at.y(y.value),
      y1: at.y(y.high),
      y2: at.y(y.low),
    })),
  )
  const names = placeLabels(rows)
  const colour = { scale: 'colour', field: 'name' }
  const bar = (encoding: object): Mark => ({
    type: 'rule',
    from: { data: 'points' },
    encode: { enter: { ...encoding, stroke: colour, strokeWidth: { value: 1.5 }, strokeOpacity: { value: 0.65 } } },
  })
  const field = (name: string, offset = 0) => ({ field: name, offset })
  const vertical = { x: field('x'), y: field('y1'), y2: field('y2') }
  const horizontal = { y: field('y'), x: field('x1'), x2: field('x2') }
  const cap = (y: string) => ({ x: field('x', -3), x2: field('x', 3), y: field(y) })
  return draw({
    width,
    height,
    padding: margin,
    autosize: 'none',
    data: [
      { name: 'points', values: rows },
      { name: 'names', values: names },
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
        columns: columnsFor(series, whole.width),
      },
    ],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'curve', data: 'points', groupby: 'name' } },
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
        type: 'symbol',
        from: { data: 'points' },
        encode: {
          enter: {
            x: field('x'),
            y: field('y'),
            fill: colour,
            shape: { scale: 'symbol', field: 'name' },
            size: { value: 64 },
            stroke: { value: plain('page') },
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
            fill: colour,
          },
        },
      },
    ],
  })
}

/** A rectangle in pixels. */
interface Box {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

interface Row {
  readonly name: string
  readonly label: string
  /** Which series. */
  readonly of: number
  readonly x: number
  readonly x1: number
  readonly x2: number
  readonly y: number
  readonly y1: number
  readonly y2: number
}

/** Where labels stand, their middles in pixels: off every error bar and every other label. */
export function placeLabels(rows: readonly Row[]): { name: string; label: string; x: number; y: number }[] {
  const taken: Box[] = rows.flatMap(({ x, x1, x2, y, y1, y2 }) => [
    { left: x - 4, right: x + 4, top: y1, bottom: y2 },
    { left: x1, right: x2, top: y - 4, bottom: y + 4 },
  ])
  const meets = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
  return [...rows]
    .sort((a, b) => a.x - b.x)
    .map(({ name, label, of, x, y1, y2 }) => {
      const half = (LETTER * label.length) / 2
      const box = (y: number): Box => ({ left: x - half, right: x + half, top: y - LINE / 2, bottom: y + LINE / 2 })
      const step = of === 0 ? -2 : 2
      let y = of === 0 ? y1 - LINE / 2 - 2 : y2 + LINE / 2 + 2
      while (taken.some((each) => meets(each, box(y)))) y += step
      taken.push(box(y))
      return { name, label, x, y }
    })
}
