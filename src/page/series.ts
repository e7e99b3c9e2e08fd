/** Numbers over places, as charts take them, and the parts that charts of them share. */
import type { Spec } from 'vega'
import type { Colour } from './chart.js'

/** Of a whole chart, in pixels: charts side by side have their axes at one height. */
export const size = { width: 500, height: 330, padding: 4, autosize: { type: 'fit', contains: 'padding' } } as const

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
  /** Places are counts: nothing is marked between whole numbers. */
  readonly counts?: boolean
  /** How numbers on the y axis are written, as d3-format; default plain. */
  readonly format?: string
}

/** Rows for Vega: a point each. */
export const rowsOf = (series: readonly Series[], { places }: ChartOptions) =>
  series.flatMap(({ name, values, at, labels = [] }, of) =>
    // Labels of the first series stand above its points, those of the others below.
    values.map((y, i) => ({ x: at?.[i] ?? places?.[i] ?? i, y, name, label: labels[i] ?? '', shift: of ? 17 : -9 })),
  )

/** Scales by series: what a legend shows. */
export const seriesScale = (name: string, type: 'ordinal', series: readonly Series[], range: readonly unknown[]) => ({
  name,
  type,
  domain: series.map((each) => each.name),
  range: range as string[],
})

export const axes = ({ x, y, format, counts = false }: ChartOptions): NonNullable<Spec['axes']> => [
  { orient: 'bottom', scale: 'x', title: x, labelAngle: 0, labelOverlap: 'greedy', ...(counts && { tickMinStep: 1 }) },
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
