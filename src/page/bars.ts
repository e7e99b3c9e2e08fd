/** Bar charts. */
import type { Data } from 'vega'
import { type Chart, draw, plain } from './chart.js'
import { axes, type ChartOptions, rowsOf, type Series, seriesScale, size } from './series.js'

/** Bars of parts, one on the other in the order of the series. */
export function stackedBars(series: readonly Series[], options: ChartOptions): Promise<Chart> {
  const data: Data = {
    name: 'parts',
    values: rowsOf(series, options),
    transform: [{ type: 'stack', groupby: ['x'], field: 'y' }],
  }
  return draw({
    ...size,
    data: [data],
    scales: [
      { name: 'x', type: 'band', range: 'width', padding: 0.15, domain: { data: 'parts', field: 'x' } },
      {
        name: 'y',
        type: 'linear',
        range: 'height',
        domain: options.range ? [...options.range] : { data: 'parts', field: 'y1' },
      },
      seriesScale(
        'colour',
        'ordinal',
        series,
        series.map(({ colour }) => plain(colour)),
      ),
    ],
    axes: axes(options),
    legends: [{ fill: 'colour', orient: 'top', direction: 'horizontal', symbolType: 'square', symbolSize: 120 }],
    marks: [
      {
        type: 'rect',
        from: { data: 'parts' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'x' },
            width: { scale: 'x', band: 1 },
            y: { scale: 'y', field: 'y0' },
            y2: { scale: 'y', field: 'y1' },
            fill: { scale: 'colour', field: 'name' },
          },
        },
      },
    ],
  })
}
