/** Numbers over places, as charts take them, and the parts that charts of them share. */
import type { Spec } from 'vega'
import { type Shape, shapes } from './chart.js'
import type { Meaning } from './palette.js'
import type { Range } from './range.js'

/** Charts side by side have their axes at one height. */
export const sized = (shape: Shape = 'wide') =>
  ({ ...shapes[shape], padding: 4, autosize: { type: 'fit', contains: 'padding' } }) as const

/** How a line is drawn: told apart without colour. */
export type LineStyle = 'solid' | 'dashed' | 'dotted'

/** Numbers of one kind, one for each place on the x axis, or at places of their own. */
export interface Series {
  readonly name: string
  readonly meaning: Meaning
  readonly values: readonly number[]
  /** Where on a linear x axis the values are; for all series of a line chart or for none. */
  readonly at?: readonly number[]
  /** Default solid. */
  readonly line?: LineStyle
  /** Places at which the line begins anew, numbers there being of another kind than before. */
  readonly breaks?: readonly number[]
  /** A line without points: one value for the whole width, such as what others are held against. */
  readonly level?: boolean
}

export interface ChartOptions {
  readonly shape?: Shape
  /** Titles of the axes. */
  readonly x: string
  readonly y: string
  /** Names of the places on the x axis; default 0, 1, … */
  readonly places?: readonly (string | number)[]
  /** Range of y; default: what the values need. */
  readonly range?: Range
  /** Range of a linear x axis; default: what the values need. */
  readonly xRange?: Range
  /** Places are counts: nothing is marked between whole numbers. */
  readonly counts?: boolean
  /** How numbers on the y axis are written, as d3-format; default plain. */
  readonly format?: string
}

/** Rows for Vega: a point each. */
export const rowsOf = (series: readonly Series[], { places }: ChartOptions) =>
  series.flatMap(({ name, values, at, breaks = [], level = false }) =>
    values.map((y, i) => ({
      x: at?.[i] ?? places?.[i] ?? i,
      y,
      name,
      part: breaks.filter((place) => place <= i).length,
      level,
    })),
  )

/** Scales by series: what a legend shows. */
export const seriesScale = (name: string, series: readonly Pick<Series, 'name'>[], range: readonly unknown[]) => ({
  name,
  type: 'ordinal' as const,
  domain: series.map((each) => each.name),
  range: range as string[],
})

/** Axes; `ticks` is about how many numbers a linear x axis has. */
export const axes = ({
  x,
  y,
  format,
  counts = false,
  ticks,
}: Omit<ChartOptions, 'shape'> & { readonly ticks?: number }): NonNullable<Spec['axes']> => [
  {
    orient: 'bottom',
    scale: 'x',
    title: x,
    labelAngle: 0,
    labelOverlap: 'greedy',
    ...(ticks !== undefined && { tickCount: ticks }),
    ...(counts && { tickMinStep: 1, tickCount: 6 }),
  },
  {
    orient: 'left',
    scale: 'y',
    ...(y !== '' && { title: y }),
    grid: true,
    domain: false,
    ticks: false,
    tickCount: 5,
    ...(format && {
      encode: {
        labels: { update: { text: { signal: `datum.value === 0 ? '0' : format(datum.value, '${format}')` } } },
      },
    }),
  },
]
