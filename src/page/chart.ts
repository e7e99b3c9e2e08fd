/**
 * Charts as SVG text, drawn by Vega without a DOM.
 *
 * Their colours are plain, so that the files can be used anywhere; a style inside swaps them for dark readers. Charts are
 * drawn small, so that their letters stay readable on a phone.
 */
import type { Spec } from 'vega'

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

/** A role's colour on a light page; dark pages swap it by {@link draw}'s style. */
export const plain = (colour: Colour): string => theme[colour][0]

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

export const font = 'system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif'
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
