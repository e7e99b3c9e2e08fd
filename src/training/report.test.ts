import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogEntry } from './log.js'
import { makeRecipe } from './options.js'
import { chartsOf, reportHtml } from './report.js'

const evaluation = (top1: number) => ({
  images: 800,
  top1,
  top5: top1,
  top1Percent: top1 / 8,
  top5Percent: 90,
  loss: 1,
})

function log(updates: number): LogEntry[] {
  const recipe = makeRecipe('quick', { epochs: 2 })
  const steps: LogEntry[] = Array.from({ length: updates }, (_, i) => ({
    kind: 'step',
    step: i + 1,
    epoch: 0,
    loss: 5 - i / updates,
    parts: { classification: 2, cut: 0.1 },
    lr: 1e-4,
    gradientNorm: 1,
    imagesPerSecond: 12,
    waiting: 0,
  }))
  const epoch = {
    kind: 'epoch',
    step: updates,
    epoch: 0,
    loss: 4.5,
    parts: {},
    seconds: 9,
    imagesPerSecond: 12,
  } as const
  return [
    {
      kind: 'start',
      step: 0,
      time: '2026-01-01T00:00:00Z',
      model: '<b>deit-tiny</b>',
      data: 'train & more',
      pictures: 1750,
      recipe,
    },
    ...steps,
    { kind: 'skip', step: 1, epoch: 0, name: 'a.jpg', reason: 'damaged' },
    { ...epoch, evaluation: evaluation(600), average: evaluation(616) },
  ]
}

test('charts: accuracy of weights and average, the loss and each of its parts, rates', () => {
  const charts = chartsOf(log(54))
  assert.deepEqual(
    charts.map(({ title }) => title),
    [
      'Top-1 accuracy, %',
      'Loss',
      'Loss: classification, before its coefficient',
      'Loss: cut, before its coefficient',
      'Learning rate',
      'Norm of the gradient',
      'Pictures per second',
    ],
  )
  assert.deepEqual(
    charts[0]?.curves.map(({ name, at, values }) => [name, at, values]),
    [
      ['weights', [1], [75]],
      ['average', [1], [77]],
    ],
  )
  assert.equal(charts[1]?.curves[0]?.values.length, 54)
})

test('a long run is thinned by means', () => {
  const { at = [], values = [] } = chartsOf(log(10_000))[1]?.curves[0] ?? {}
  assert.ok(values.length <= 300)
  assert.equal(at.at(-1), 10_000)
  const mean = values.reduce((sum, y) => sum + y, 0) / values.length
  assert.ok(Math.abs(mean - 4.5) < 0.01, `mean ${mean}`)
})

test('the page stands alone, escapes names and follows the colours of the reader', async () => {
  const html = await reportHtml(log(54))
  assert.equal(html.match(/src="data:image\/svg\+xml,/g)?.length, 7)
  assert.ok(html.includes('&lt;b&gt;deit-tiny&lt;/b&gt;') && !html.includes('<b>'))
  assert.ok(html.includes('1 of 2 epochs') && html.includes('1 unreadable pictures skipped'))
  assert.ok(html.includes('prefers-color-scheme: dark'))
  assert.deepEqual(html.match(/(src|href)="(?!#|data:)/g), null)
})

test('a run without any update yet has a page too', async () => {
  assert.ok((await reportHtml(log(1).slice(0, 1))).includes('0 of 2 epochs'))
})
