import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stackedBars } from './bars.js'
import { lineChart } from './curves.js'
import { rampColours, rampLegend } from './ramp.js'

const series = [
  { name: 'dense <1>', colour: 'blue', dashed: true, values: [0.2, 0.3, 0.5] },
  { name: 'idle', colour: 'orange', values: [0.2, 0.25, 0.3] },
] as const
const options = { x: 'block', y: 'similarity' }

describe('charts', () => {
  it('name their series and axes and have a size', async () => {
    for (const draw of [lineChart, stackedBars]) {
      const { svg, width, height } = await draw(series, options)
      for (const text of ['dense &lt;1&gt;', 'idle', 'block', 'similarity'])
        assert.ok(svg.includes(`>${text}</text>`), text)
      assert.equal(width, 500)
      assert.equal(height, 330)
    }
  })

  it('draw in no colour that a dark page has no other for', async () => {
    for (const { svg } of [await lineChart(series, options), await stackedBars(series, options)]) {
      const style = /<style>(.*?)<\/style>/.exec(svg)?.[1] ?? ''
      const used = new Set([...svg.matchAll(/(?:fill|stroke)="([^"]+)"/g)].map(([, colour]) => colour as string))
      const colours = [...used].filter((colour) => !['none', 'transparent'].includes(colour))
      assert.ok(colours.length >= 4)
      for (const colour of colours) assert.ok(style.includes(`"${colour}"`), colour)
    }
  })

  it('put points at places of their own on a linear axis, with labels', async () => {
    const placed = [{ ...series[0], at: [10, 20, 50], labels: ['k = 1', 'k = 0.7', 'k = 0.5'] }]
    const { svg } = await lineChart(placed, options)
    const points = [...svg.matchAll(/transform="translate\(([\d.]+),([\d.]+)\)" d="M[^"]*A/g)]
    const [a = 0, b = 0, c = 0] = points.slice(-3).map(([, x]) => Number(x))
    assert.ok(Math.abs((c - b) / (b - a) - 3) < 1e-6, `points at ${a}, ${b}, ${c}`)
    for (const label of placed[0]?.labels ?? []) assert.ok(svg.includes(`>${label}</text>`), label)
  })

  it('stack bars to the sum of their parts', async () => {
    const halves = series.map((each) => ({ ...each, values: [0.5, 0.5] }))
    const { svg } = await stackedBars(halves, { ...options, range: [0, 1] })
    const bars = [...svg.matchAll(/d="M([\d.]+),([\d.]+)h[\d.]+v([\d.]+)h[^"]*" fill="#(?:1666b0|c2470c)"/g)]
    const heights = bars.filter(([, x]) => Number(x) > 0).map(([, , , height]) => Number(height))
    assert.equal(heights.length, 4)
    assert.equal(new Set(heights).size, 1)
  })
})

describe('the ramp', () => {
  it('goes from dark to bright, each step brighter', async () => {
    const light = (await rampColours(16)).map(([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b)
    assert.equal(light.length, 16)
    for (const [i, value] of light.entries()) assert.ok(i === 0 || value > (light[i - 1] as number))
  })

  it('is explained', async () => {
    const { svg, width, height } = await rampLegend('attention', [1 / 4, 4], [1 / 4, 1, 4])
    for (const text of ['attention', '1/4', '1', '4']) assert.ok(svg.includes(`>${text}</text>`), text)
    assert.ok(width > 300 && height > 20 && height < 80, `${width} × ${height}`)
  })
})
