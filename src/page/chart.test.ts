import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stackedBars } from './bars.js'
import { shapes } from './chart.js'
import { lineChart } from './curves.js'
import { type PointSeries, pointChart } from './points.js'
import { rampColours, rampLegend } from './ramp.js'

const series = [
  { name: 'dense <1>', meaning: 'dense', line: 'dashed', values: [0.2, 0.3, 0.5] },
  { name: 'idle', meaning: 'idled', values: [0.2, 0.25, 0.3] },
] as const
const options = { x: 'block', y: 'similarity' }

describe('charts', () => {
  it('name their series and axes and have a size', async () => {
    for (const draw of [lineChart, stackedBars]) {
      const { svg, width, height } = await draw(series, options)
      for (const text of ['dense &lt;1&gt;', 'idle', 'block', 'similarity'])
        assert.ok(svg.includes(`>${text}</text>`), text)
      assert.deepEqual({ width, height }, shapes.wide)
      const { svg: _, ...narrow } = await draw(series, { ...options, shape: 'narrow' })
      assert.deepEqual(narrow, shapes.narrow)
    }
  })

  it('give one value an axis with numbers of its own kind', async () => {
    const one = [{ name: 'top-1', meaning: 'quantity', at: [1], values: [70] }] as const
    const { svg } = await lineChart(one, { ...options, xRange: [0, 1], counts: true })
    const numbers = [...svg.matchAll(/>([\d.]+)<\/text>/g)].map(([, text]) => text)
    assert.ok(numbers.includes('70') && !numbers.some((text) => /\.0{2}/.test(text as string)), numbers.join(' '))
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

  it('put points at places of their own on a linear axis', async () => {
    const { svg } = await lineChart([{ ...series[0], at: [10, 20, 50] }], options)
    const points = [...svg.matchAll(/transform="translate\(([\d.]+),([\d.]+)\)" d="M[^"]*A/g)]
    const [a = 0, b = 0, c = 0] = points.slice(-3).map(([, x]) => Number(x))
    assert.ok(Math.abs((c - b) / (b - a) - 3) < 1e-6, `points at ${a}, ${b}, ${c}`)
  })

  it('stack bars to the sum of their parts', async () => {
    const halves = series.map((each) => ({ ...each, values: [0.5, 0.5] }))
    const { svg } = await stackedBars(halves, { ...options, range: [0, 1] })
    const bars = [...svg.matchAll(/d="M([\d.]+),([\d.]+)h[\d.]+v([\d.]+)h[^"]*" fill="(?:#1b66b1|#c2470c)"/g)]
    const heights = bars.filter(([, x]) => Number(x) > 0).map(([, , , height]) => Number(height))
    assert.equal(heights.length, 4)
    assert.equal(new Set(heights).size, 1)
  })
})

describe('points', () => {
  const point = (x: number, y: number, label: string) => ({
    label,
    x: { value: x, low: x - 0.05, high: x + 0.1 },
    y: { value: y, low: y - 2, high: y + 3 },
  })
  const points: PointSeries[] = [
    { name: 'fp32', meaning: 'fp32', points: [point(1, 65, '1'), point(1.1, 64, '0.9'), point(1.12, 64.5, '0.8')] },
    { name: 'int8', meaning: 'int8', points: [point(1.3, 65, '1'), point(1.31, 64, '0.9')] },
  ]

  it('are drawn with what is unsure about them in both directions', async () => {
    const { svg, width, height } = await pointChart(points, { x: 'speed', y: 'accuracy' })
    assert.deepEqual({ width, height }, shapes.wide)
    for (const text of ['fp32', 'int8', 'speed', 'accuracy', '0.8']) assert.ok(svg.includes(`>${text}</text>`), text)
    // Five points with an upright and a level bar and two caps each; upright bars reach from 2 below to 3 above.
    const lines = [
      ...svg.matchAll(
        /<line transform="translate\([^"]*\)" x2="([-\d.]+)" y2="([-\d.]+)" stroke="#(?:4a35a5|c03a86)"/g,
      ),
    ]
    assert.equal(lines.length, 20)
    const upright = lines.map(([, x, y]) => [Number(x), Number(y)]).filter(([x, y]) => x === 0 && y !== 0)
    assert.equal(upright.length, 5)
    assert.equal(new Set(upright.map(([, y]) => Math.round(y as number))).size, 1)
  })

  it('are filled where nothing is better and hollow elsewhere, with a line through the best', async () => {
    const rated = points.map((each, of) => ({
      ...each,
      points: each.points.map((point, i) => ({ ...point, best: of === 0 ? i !== 1 : i === 0 })),
    }))
    const { svg } = await pointChart(rated, { x: 'speed', y: 'accuracy', front: true })
    const marks = [
      ...svg.matchAll(/transform="translate\(([\d.]+),([\d.]+)\)" d="[^"]*" fill="(#\w+)" stroke="(#\w+)"/g),
    ]
    const filled = marks.filter(([, , , fill]) => ['#4a35a5', '#c03a86'].includes(fill as string))
    const hollow = marks.filter(([, , , , stroke]) => ['#4a35a5', '#c03a86'].includes(stroke as string))
    assert.deepEqual([filled.length, hollow.length], [3, 2])
    const [, front = ''] = /d="(M[^"]*)" stroke="[^"]*" stroke-width="7"/.exec(svg) ?? []
    const place = (x: unknown, y: unknown) => `${Number(x).toFixed(2)},${Number(y).toFixed(2)}`
    const places = [...front.matchAll(/[ML]([\d.]+),([\d.]+)/g)].map(([, x, y]) => place(x, y))
    const byX = filled.map(([, x, y]) => [Number(x), place(x, y)] as const).sort(([a], [b]) => a - b)
    assert.deepEqual(
      places,
      byX.map(([, at]) => at),
    )
  })

  it('are many without shrinking: the chart grows, and a narrow one names the best', async () => {
    const many = Array.from({ length: 30 }, (_, i) => ({ ...point(i, 60 + (i % 7), `k${i}`), best: i % 10 === 0 }))
    const crowd = [{ name: 'idle', meaning: 'idled', points: many }] as const
    for (const shape of ['wide', 'narrow'] as const) {
      const { svg, height, width } = await pointChart(crowd, { x: 'work', y: 'accuracy', shape })
      assert.equal(width, shapes[shape].width)
      assert.ok(height > shapes[shape].height)
      const named = many.filter(({ label }) => svg.includes(`>${label}</text>`))
      if (shape === 'narrow')
        assert.deepEqual(
          named,
          many.filter(({ best }) => best),
        )
      else assert.ok(named.length > 20)
    }
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
