/**
 * Charts as SVG text, drawn by Vega without a DOM.
 *
 * Their colours are plain, so that the files can be used anywhere; a style inside swaps them for dark readers. Charts are
 * drawn small, so that their letters stay readable on a phone.
 */
import type { Data, Mark, Spec } from 'vega'

/** Colours by their role, on light and on dark pages. */
const theme = {
  ink: ['#1c2024', '#e6e8ea'],
  soft: ['#5b636b', '#a0a8b0'],
  line: ['#d9dcdf', '#343a40'],
  blue: ['#1666b0', '#6db3f2'],
  orange: ['#c2470c', '#f6975b'],
  green: ['#2b7a2b', '#7fce7f'],
  violet: ['#8a3ab9', '#cf9bef'],
  grey: ['#b9bfc5', '#4c545c'],
} as const satisfies Record<string, readonly [light: string, dark: string]>

export type Colour = keyof typeof theme

const plain = (colour: Colour): string => theme[colour][0]

const darkStyle = `<style>@media (prefers-color-scheme:dark){${Object.values(theme)
  .map(([light, dark]) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`)
  .join('')}}</style>`

/** A chart and its size in pixels. */
export interface Chart {
  readonly svg: string
  readonly width: number
  readonly height: number
}

/** Draws a Vega specification. */
export async function draw(spec: Spec): Promise<Chart> {
  const { parse, View } = await import('vega')
  const view = new View(parse({ ...spec, config }), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  const [, width, height] = /width="([\d.]+)" height="([\d.]+)"/.exec(svg) ?? []
  return { svg: svg.replace('>', `>${darkStyle}`), width: Number(width), height: Number(height) }
}

const font = 'system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif'
const config: NonNullable<Spec['config']> = {
  axis: {
    labelFont: font,
    labelFontSize: 13,
    labelColor: plain('soft'),
    titleFont: font,
    titleFontSize: 13,
    titleFontWeight: 'normal',
    titleColor: plain('soft'),
    titlePadding: 8,
    domainColor: plain('soft'),
    tickColor: plain('soft'),
    gridColor: plain('line'),
  },
  legend: {
    labelFont: font,
    labelFontSize: 13,
    labelColor: plain('ink'),
    labelLimit: 320,
    titleFont: font,
    titleFontSize: 13,
    titleFontWeight: 'normal',
    titleColor: plain('soft'),
    columnPadding: 18,
  },
}

/** Of a whole chart, in pixels: charts side by side have their axes at one height. */
const size = { width: 500, height: 330, padding: 4, autosize: { type: 'fit', contains: 'padding' } } as const

/** Numbers of one kind, one for each place on the x axis, or at places of their own. */
export interface Series {
  readonly name: string
  readonly colour: Colour
  readonly values: readonly number[]
  /** Where on a linear x axis the values are; for all series of a line chart or for none. */
  readonly at?: readonly number[]
  /** What is written at the points of a line chart. */
  readonly labels?: readonly string[]
  /** A line told apart without colour. */
  readonly dashed?: boolean
}

export interface ChartOptions {
  /** Titles of the axes. */
  readonly x: string
  readonly y: string
  /** Names of the places on the x axis; default 0, 1, … */
  readonly places?: readonly (string | number)[]
  /** Range of y; default: what the values need. */
  readonly range?: readonly [number, number]
  /** How numbers on the y axis are written, as d3-format; default plain. */
  readonly format?: string
}

const rowsOf = (series: readonly Series[], { places }: ChartOptions) =>
  series.flatMap(({ name, values, at, labels = [] }, of) =>
    // Labels of the first series stand above its points, those of the others below.
    values.map((y, i) => ({ x: at?.[i] ?? places?.[i] ?? i, y, name, label: labels[i] ?? '', shift: of ? 17 : -9 })),
  )

/** Scales by series: what a legend shows. */
const seriesScale = (name: string, type: 'ordinal', series: readonly Series[], range: readonly unknown[]) => ({
  name,
  type,
  domain: series.map((each) => each.name),
  range: range as string[],
})

const axes = ({ x, y, format }: ChartOptions): NonNullable<Spec['axes']> => [
  { orient: 'bottom', scale: 'x', title: x, labelAngle: 0, labelOverlap: 'greedy' },
  {
    orient: 'left',
    scale: 'y',
    title: y,
    grid: true,
    domain: false,
    ticks: false,
    tickCount: 5,
    ...(format && { format }),
  },
]

/** Curves with a point at every place, lowest values not cut off at zero. */
export function lineChart(series: readonly Series[], options: ChartOptions): Promise<Chart> {
  const at = {
    x: { scale: 'x', field: 'x' },
    y: { scale: 'y', field: 'y' },
  }
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
          encode: { enter: { ...at, fill: { scale: 'colour', field: 'name' }, size: { value: 26 } } },
        },
        ...(series.some(({ labels }) => labels) ? [pointLabels(at)] : []),
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
          ? ({ type: 'linear', zero: false, nice: true, padding: 20 } as const)
          : ({ type: 'point', padding: 0.3 } as const)),
      },
      {
        name: 'y',
        type: 'linear',
        range: 'height',
        nice: true,
        zero: false,
        ...(series.some(({ labels }) => labels) && { padding: 24 }), // room for what is written there
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
    legends: [
      {
        stroke: 'colour',
        strokeDash: 'dash',
        orient: 'top',
        direction: 'horizontal',
        symbolType: 'stroke',
        symbolSize: 400,
      },
    ],
    marks,
  })
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

/** The ramp of maps: dark for little, bright for much. */
const RAMP = 'viridis'

/** Red, green and blue of `levels` steps along the ramp. */
export async function rampColours(levels: number): Promise<[number, number, number][]> {
  const { scheme } = await import('vega')
  const ramp = scheme(RAMP) as unknown as (t: number) => string
  return Array.from({ length: levels }, (_, i) => {
    const [r = 0, g = 0, b = 0] = (ramp(i / (levels - 1)).match(/\d+/g) ?? []).map(Number)
    return [r, g, b]
  })
}

/** A bar that tells which colour of the ramp is which number, on a logarithmic scale. */
export function rampLegend(
  title: string,
  [low, high]: readonly [number, number],
  values: readonly number[],
): Promise<Chart> {
  return draw({
    width: 340,
    height: 1,
    padding: 4,
    scales: [{ name: 'ramp', type: 'log', base: 2, domain: [low, high], range: { scheme: RAMP } }],
    legends: [
      {
        fill: 'ramp',
        type: 'gradient',
        orient: 'top',
        direction: 'horizontal',
        gradientLength: 340,
        gradientThickness: 14,
        title,
        titleLimit: 0,
        values: [...values],
        encode: { labels: { update: { text: { signal: "datum.value < 1 ? '1/' + 1 / datum.value : datum.value" } } } },
      },
    ],
  })
}
