/** Line charts. */
import type { Legend, Mark } from 'vega'
import { type Chart, draw, plain, shapes } from './chart.js'
import { rangeOf } from './range.js'
import { axes, type ChartOptions, type LineStyle, rowsOf, type Series, seriesScale, sized } from './series.js'

const dashes: Readonly<Record<LineStyle, readonly number[]>> = { solid: [1, 0], dashed: [6, 4], dotted: [1.5, 3.5] }

/** Curves with a point at every place where places are few, lowest values not cut off at zero. */
export function lineChart(series: readonly Series[], options: ChartOptions): Promise<Chart> {
  const at = {
    x: { scale: 'x', field: 'x' },
    y: { scale: 'y', field: 'y' },
  }
  const dots = series.every(({ values }) => values.length <= 20) // more would be a thick line
  const marks: Mark[] = [
    {
      type: 'group',
      from: { facet: { name: 'curve', data: 'points', groupby: ['name', 'part'] } },
      marks: [
        {
          type: 'line',
          from: { data: 'curve' },
          encode: {
            enter: {
              ...at,
              stroke: { scale: 'colour', field: 'name' },
              strokeDash: { scale: 'dash', field: 'name' },
              strokeWidth: { value: 2 },
              strokeCap: { value: 'round' },
            },
          },
        },
        {
          type: 'symbol',
          from: { data: 'curve' },
          encode: {
            enter: {
              ...at,
              fill: { scale: 'colour', field: 'name' },
              size: dots ? { signal: 'datum.level ? 0 : 30' } : { value: 0 },
            },
          },
        },
      ],
    },
  ]
  const range = options.range ?? rangeOf(series.flatMap(({ values }) => values))
  const { width } = shapes[options.shape ?? 'wide']
  return draw({
    ...sized(options.shape),
    data: [{ name: 'points', values: rowsOf(series, options) }],
    scales: [
      {
        name: 'x',
        range: 'width',
        domain: options.xRange ? [...options.xRange] : { data: 'points', field: 'x' },
        ...(series.some(({ at }) => at)
          ? ({ type: 'linear', zero: false, nice: options.xRange === undefined } as const)
          : ({ type: 'point', padding: 0.3 } as const)),
      },
      { name: 'y', type: 'linear', range: 'height', zero: false, domain: [...range] },
      seriesScale(
        'colour',
        series,
        series.map(({ meaning }) => plain(meaning)),
      ),
      seriesScale(
        'dash',
        series,
        series.map(({ line = 'solid' }) => dashes[line]),
      ),
    ],
    axes: axes(options),
    ...(series.length > 1 && { legends: [{ ...legend, columns: columnsFor(series, width) }] }),
    marks,
  })
}

const legend: Legend = {
  stroke: 'colour',
  strokeDash: 'dash',
  orient: 'top',
  direction: 'horizontal',
  symbolType: 'stroke',
  symbolSize: 500,
  symbolStrokeWidth: 2,
}

/** How many names stand side by side in a legend. */
export function columnsFor(series: readonly Pick<Series, 'name'>[], width: number): number {
  const longest = Math.max(...series.map(({ name }) => name.length))
  const one = 44 + 7 * longest // a line or square, letters, and a gap
  return Math.max(1, Math.min(series.length, Math.floor((width - 70) / one)))
}
