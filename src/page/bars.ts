/** Bar charts. */
import type { Data } from 'vega'
import { type Chart, draw, plain, shapes } from './chart.js'
import { columnsFor } from './curves.js'
import { axes, type ChartOptions, rowsOf, type Series, seriesScale, sized } from './series.js'

/** Bars of parts, one on the other in the order of the series, parted by the colour of the page. */
export function stackedBars(series: readonly Series[], options: ChartOptions): Promise<Chart> {
  const data: Data = {
    name: 'parts',
    values: rowsOf(series, options),
    transform: [{ type: 'stack', groupby: ['x'], field: 'y' }],
  }
  return draw({
    ...sized(options.shape),
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
        series,
        series.map(({ meaning }) => plain(meaning)),
      ),
    ],
    axes: axes(options),
    legends: [
      {
        fill: 'colour',
        orient: 'top',
        direction: 'horizontal',
        symbolType: 'square',
        symbolSize: 120,
        columns: columnsFor(series, shapes[options.shape ?? 'wide'].width),
      },
    ],
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
            stroke: { value: plain('page') },
            strokeWidth: { signal: 'datum.y1 > datum.y0 ? 1.5 : 0' },
          },
        },
      },
    ],
  })
}
