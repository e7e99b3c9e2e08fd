/** Line charts. */
import type { Legend, Mark } from 'vega'
import { type Chart, draw, font, plain } from './chart.js'
import { axes, type ChartOptions, rowsOf, type Series, seriesScale, size } from './series.js'

/** Curves with a point at every place where places are few, lowest values not cut off at zero. */
export function lineChart(series: readonly Series[], options: ChartOptions): Promise<Chart> {
  const at = {
    x: { scale: 'x', field: 'x' },
    y: { scale: 'y', field: 'y' },
  }
  const dots = series.every(({ values }) => values.length <= 40) // more would be a thick line
  const labelled = series.some(({ labels }) => labels)
  const marks: Mark[] = [
    {
      type: 'group',
      from: { facet: { name: 'curve', data: 'points', groupby: 'name' } },
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
            },
          },
        },
        {
          type: 'symbol',
          from: { data: 'curve' },
          encode: { enter: { ...at, fill: { scale: 'colour', field: 'name' }, size: { value: dots ? 26 : 0 } } },
        },
        ...(labelled ? [pointLabels(at)] : []),
      ],
    },
  ]
  return draw({
    ...size,
    data: [{ name: 'points', values: rowsOf(series, options) }],
    scales: [
      {
        name: 'x',
        range: 'width',
        domain: { data: 'points', field: 'x' },
        ...(series.some(({ at }) => at)
          ? ({ type: 'linear', zero: false, nice: true, ...(labelled && { padding: 20 }) } as const)
          : ({ type: 'point', padding: 0.3 } as const)),
      },
      {
        name: 'y',
        type: 'linear',
        range: 'height',
        nice: true,
        zero: false,
        ...(labelled && { padding: 24 }), // room for what is written there
        domain: options.range ? [...options.range] : { data: 'points', field: 'y' },
      },
      seriesScale(
        'colour',
        'ordinal',
        series,
        series.map(({ colour }) => plain(colour)),
      ),
      seriesScale(
        'dash',
        'ordinal',
        series,
        series.map(({ dashed }) => (dashed ? [5, 3] : [1, 0])),
      ),
    ],
    axes: axes(options),
    ...(series.length > 1 && { legends: [legend] }),
    marks,
  })
}

const legend: Legend = {
  stroke: 'colour',
  strokeDash: 'dash',
  orient: 'top',
  direction: 'horizontal',
  symbolType: 'stroke',
  symbolSize: 400,
}

/** What is written at the points of a curve. */
const pointLabels = (at: { readonly x: object; readonly y: object }): Mark => ({
  type: 'text',
  from: { data: 'curve' },
  encode: {
    enter: {
      ...at,
      dy: { field: 'shift' },
      text: { field: 'label' },
      align: { value: 'center' },
      font: { value: font },
      fontSize: { value: 12 },
      fill: { value: plain('soft') },
    },
  },
})
