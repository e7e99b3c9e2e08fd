/** The colours of maps, and the bar that explains them. */
import { type Chart, draw } from './chart.js'

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
