/**
 * Charts as SVG text, drawn by Vega without a DOM.
 *
 * Their colours are plain, so that the files can be used anywhere; a style inside swaps them for dark readers. A chart is
 * drawn in two shapes, so that its letters are of one size on a phone and on a desk.
 */
import type { Spec } from 'vega'
import { inks, meanings, surfaces } from './palette.js'

const tones = { ...surfaces, ...inks, ...meanings }

/** A meaning's colour on a light page; dark pages swap it by {@link draw}'s style. */
export const plain = (colour: keyof typeof tones): string => tones[colour].light

const darkStyle = `<style>@media (prefers-color-scheme:dark){${[
  ...new Map(Object.values(tones).map(({ light, dark }) => [light, dark])),
]
  .map(([light, dark]) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`)
  .join('')}}</style>`

/** A chart and its size in pixels. */
export interface Chart {
  readonly svg: string
  readonly width: number
  readonly height: number
}

/** Of a whole chart, in pixels: `narrow` for phones and columns, `wide` where there is room. */
export const shapes = { narrow: { width: 340, height: 270 }, wide: { width: 540, height: 330 } } as const

export type Shape = keyof typeof shapes

/** Size of a chart's letters in pixels, where it is shown at its own size. */
export const LETTERS = 13

/** Draws a Vega specification. */
export async function draw(spec: Spec): Promise<Chart> {
  const { parse, View } = await import('vega')
  const view = new View(parse({ ...spec, config }), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  const [, width, height] = /width="([\d.]+)" height="([\d.]+)"/.exec(svg) ?? []
  return { svg: svg.replace('>', `>${darkStyle}`), width: Number(width), height: Number(height) }
}

export const font = 'system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif'
const config: NonNullable<Spec['config']> = {
  axis: {
    labelFont: font,
    labelFontSize: LETTERS,
    labelColor: plain('soft'),
    titleFont: font,
    titleFontSize: LETTERS,
    titleFontWeight: 'normal',
    titleColor: plain('soft'),
    titlePadding: 8,
    domainColor: plain('soft'),
    tickColor: plain('soft'),
    gridColor: plain('line'),
  },
  legend: {
    labelFont: font,
    labelFontSize: LETTERS,
    labelColor: plain('ink'),
    labelLimit: 320,
    titleFont: font,
    titleFontSize: LETTERS,
    titleFontWeight: 'normal',
    titleColor: plain('soft'),
    columnPadding: 16,
    rowPadding: 3,
  },
}
