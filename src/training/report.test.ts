import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { launchChromium, needsChromium, openPage } from '../../test/support/chromium.js'
import { LETTERS } from '../page/chart.js'
import { chartsOf } from './charts.js'
import type { LogEntry } from './log.js'
import { makeRecipe, presets } from './options.js'
import type { Recipe } from './recipe.js'
import { recipeTable } from './recipe-table.js'
import { openReport, reportHtml } from './report.js'

const folder = await mkdtemp(join(tmpdir(), 'idlevit-report-'))
after(() => rm(folder, { recursive: true }))

const evaluation = (top1: number) => ({
  images: 800,
  top1,
  top5: top1,
  top1Percent: top1 / 8,
  top5Percent: 90,
  loss: 1,
})

const recipe = makeRecipe('quick', { epochs: 2 })
const UPDATES = Math.floor(1750 / 32)

const start: LogEntry = {
  kind: 'start',
  step: 0,
  time: '2026-01-01T00:00:00Z',
  model: '<b>deit-tiny</b>',
  data: 'train & more',
  pictures: 1750,
  dropped: 1750 - 32 * UPDATES,
  recipe,
}
const references: LogEntry[] = [
  { kind: 'reference', step: 0, name: 'before', evaluation: evaluation(560) },
  { kind: 'reference', step: 0, name: 'dense', evaluation: evaluation(647) },
]
const epoch = (n: number, top1: number, step = UPDATES): LogEntry => ({
  kind: 'epoch',
  step,
  epoch: n,
  loss: 4.5,
  parts: {},
  seconds: 9,
  imagesPerSecond: 12,
  evaluation: evaluation(top1),
  average: evaluation(top1 + 16),
})

const steps = (updates: number): LogEntry[] =>
  Array.from({ length: updates }, (_, i) => ({
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

const log = (updates = UPDATES): LogEntry[] => [
  start,
  ...references,
  ...steps(updates),
  { kind: 'skip', step: 1, epoch: 0, name: 'a<i>.jpg', reason: 'damaged' },
  epoch(0, 600, updates),
]

describe('the charts of a run', () => {
  it('are accuracy beside what it is held against, the loss and each of its parts, and rates', () => {
    const charts = chartsOf(log())
    assert.deepEqual(
      charts.map(({ title }) => title),
      [
        'Top-1 accuracy, %',
        'Loss',
        'Cross entropy',
        'Token cut loss',
        'Learning rate',
        'Norm of the gradient',
        'Pictures per second',
      ],
    )
    const [accuracy] = charts
    assert.deepEqual(
      accuracy?.curves.map(({ name, at, values }) => [name, at, values]),
      [
        ['weights', [1], [75]],
        ['moving average', [1], [77]],
        ['before', [0, 2], [70, 70]],
        ['dense', [0, 2], [80.875, 80.875]],
      ],
    )
    for (const { values } of accuracy?.curves ?? [])
      for (const value of values)
        assert.ok(value >= (accuracy?.range[0] as number) && value <= (accuracy?.range[1] as number))
    assert.equal(charts[1]?.curves[0]?.values.length, UPDATES)
    assert.deepEqual(charts[1]?.xRange, [0, 2 * UPDATES], 'to the end of the run')
  })

  it('show what they are held against however far away it is', () => {
    const chance: LogEntry = { kind: 'reference', step: 0, name: 'before', evaluation: evaluation(8) }
    const [accuracy] = chartsOf([start, chance, epoch(0, 600), epoch(1, 620)])
    assert.deepEqual(accuracy?.curves.at(-1)?.values, [1, 1])
    assert.deepEqual(accuracy?.range, [0, 100])
  })

  it('of an elastic run tell its ratios apart, each beside where it began', () => {
    const both = (low: number, high: number) => ({
      ...evaluation((low + high) / 2),
      byKeepRatio: { 0.5: evaluation(low), 1: evaluation(high) },
    })
    const charts = chartsOf([
      start,
      { kind: 'reference', step: 0, name: 'before', evaluation: both(400, 640) },
      {
        kind: 'epoch',
        step: 1,
        epoch: 0,
        loss: 1,
        parts: {},
        seconds: 1,
        imagesPerSecond: 1,
        evaluation: both(500, 648),
      },
    ])
    const [, byRatio] = charts
    assert.deepEqual(
      byRatio?.curves.map(({ name, values }) => [name, values[0]]),
      [
        ['k = 0.5', 62.5],
        ['k = 1', 81],
        ['before, 0.5', 50],
        ['before, 1', 80],
      ],
    )
    const styles = byRatio?.curves.map(({ meaning, line }) => `${meaning} ${line}`)
    assert.equal(new Set(styles).size, 4, 'told apart by colour or line')
  })

  it('are thinned by means where a run is long', () => {
    const { at = [], values = [] } = chartsOf(log(10_000))[1]?.curves[0] ?? {}
    assert.ok(values.length <= 300)
    assert.equal(at.at(-1), 10_000)
    const mean = values.reduce((sum, y) => sum + y, 0) / values.length
    assert.ok(Math.abs(mean - 4.5) < 0.01, `mean ${mean}`)
  })
})

describe('the recipe in words', () => {
  it('tells every field: another value is another table', () => {
    const text = (of: Recipe) => JSON.stringify(recipeTable(of))
    const everything: Recipe = {
      ...presets.paper,
      warmupEpochs: 2,
      clip: 1,
      dropPath: 0.1,
      freeze: ['cls_token'],
      smoothing: 0.1,
    }
    const change = (value: unknown): unknown => {
      if (typeof value === 'number') return value + 1
      if (typeof value === 'string')
        return { paper: 'official', softmax: 'logits', step: 'epoch-late', all: 'class' }[value] ?? 'other'
      if (Array.isArray(value)) return value.length > 0 ? [change(value[0]), ...value.slice(1)] : ['other']
      return value
    }
    /** The record with one of its leaves changed, for every leaf. */
    function* variants(of: object, path = ''): Generator<[string, object]> {
      for (const [key, value] of Object.entries(of)) {
        if (value !== null && typeof value === 'object' && !Array.isArray(value))
          for (const [inner, changed] of variants(value, `${path}${key}.`)) yield [inner, { ...of, [key]: changed }]
        else yield [path + key, { ...of, [key]: change(value) }]
      }
    }
    const all = [...variants(everything)]
    assert.ok(all.length > 35, `${all.length} leaves`)
    for (const [path, changed] of all) assert.notEqual(text(changed as Recipe), text(everything), path)
  })

  it('speaks in words and keeps unknown fields', () => {
    const table = recipeTable({ ...presets.quick, later: 3 } as Recipe)
    assert.deepEqual(
      table.map(({ title }) => title),
      ['Run', 'Optimizer', 'Tokens', 'Loss', 'Pictures', 'Other'],
    )
    const rows = new Map(table.flatMap(({ rows }) => rows))
    assert.equal(rows.get('pictures of an update'), '32')
    assert.equal(rows.get('moving average of the weights (EMA)'), 'decay 0.99')
    assert.equal(rows.get('RandAugment'), 'none')
    assert.equal(rows.get('random crop'), '35 % to 100 % of the area')
    assert.equal(rows.get('later'), '3')
    assert.ok(![...rows.values()].some((value) => /undefined|NaN|object/.test(value)))
  })
})

describe('the page of a run', () => {
  it('stands alone, escapes names and follows the colours of the reader', async () => {
    const page = await reportHtml(log(), 'running')
    assert.equal(page.match(/<img src="data:image\/svg\+xml,/g)?.length, 7)
    assert.ok(page.includes('&lt;b&gt;deit-tiny&lt;/b&gt;') && !page.includes('<b>') && !page.includes('<i>'))
    assert.ok(page.includes('prefers-color-scheme: dark'))
    assert.deepEqual(page.match(/(src|href)="(?!#|data:)/g), null)
  })

  it('names what training does not see', async () => {
    const page = await reportHtml(log(), 'running')
    assert.match(page, /22 pictures of 1,750<\/strong> are left out of every epoch/) // 1750 - 54 · 32
    assert.match(page, /1 picture<\/strong> could not be read/)
    assert.match(page, /a&lt;i&gt;\.jpg<\/dt><dd>damaged/)
    const whole = await reportHtml([{ ...start, pictures: 1728, dropped: 0 } as LogEntry], 'running')
    assert.doesNotMatch(whole, /left out of every epoch|could not be read|Left out of the data/)
    const notes = [1, 2].map((i) => ({ path: `notes-${i}.txt`, reason: '.txt is no picture' }))
    const picked = await reportHtml([{ ...start, leftOut: notes } as LogEntry], 'running')
    assert.match(picked, /Left out of the data:<\/strong> [^<]*2[^<]*\.txt is no picture/)
  })

  it('reads itself again while the run goes on, and not behind its end', async () => {
    const refresh = /<meta http-equiv="refresh" content="(\d+)">/
    assert.match(await reportHtml(log(), 'running'), refresh)
    assert.match(await reportHtml(log(), 'running'), /epoch 2 of 2 is running/)
    for (const state of ['finished', 'interrupted', 'failed'] as const)
      assert.doesNotMatch(await reportHtml(log(), state), refresh)
    assert.match(await reportHtml(log(), 'interrupted'), /interrupted after 54 updates/)
  })

  it('explains the average and what the run is held against', async () => {
    const page = await reportHtml(log(), 'finished')
    assert.match(page, /“Moving average” \(EMA\) are the weights averaged over the updates so far[^.]*decay 0\.99/)
    assert.match(page, /70\.00 %/)
    assert.match(page, /80\.88 %/)
    assert.doesNotMatch(
      await reportHtml([{ ...start, recipe: { ...recipe, emaDecay: 0 } } as LogEntry], 'running'),
      /EMA\) are/,
    )
  })

  it('is there before the first update', async () => {
    for (const beginning of [[], [start], [start, ...references]])
      assert.match(await reportHtml(beginning, 'running'), /<h2 id="recipe-title">Recipe/)
  })

  it('is written at what is rare and now and then between, and once more at the end', async () => {
    let clock = 0
    const report = openReport(folder, () => clock)
    const page = () => readFile(join(folder, 'report.html'), 'utf8')
    const logged: LogEntry[] = []
    const tell = async (entry: LogEntry) => {
      logged.push(entry)
      await writeFile(join(folder, 'log.jsonl'), logged.map((each) => `${JSON.stringify(each)}\n`).join(''))
      await report.onEntry(entry)
    }
    assert.equal(report.isBegun(), false)
    await tell(start)
    assert.equal(report.isBegun(), true)
    const [first, second] = steps(2) as [LogEntry, LogEntry]
    await tell(first)
    assert.doesNotMatch(await page(), /Cross entropy<\/strong>/)
    clock += 30_000
    await tell(second)
    assert.match(await page(), /Cross entropy<\/strong>/)
    await tell(epoch(0, 600))
    assert.match(await page(), /epoch 2 of 2 is running/)
    await report.end('interrupted')
    assert.match(await page(), /interrupted after 2 updates/)
  })

  it('has letters of twelve pixels or more at any width', needsChromium, async () => {
    const file = join(folder, 'page.html')
    await writeFile(file, await reportHtml(log(), 'finished'))
    const browser = await launchChromium()
    try {
      for (const width of [360, 700, 1024, 1440]) {
        const page = await openPage(browser, file, { width, colorScheme: 'light' })
        const scales = await page.evaluate(() =>
          [...document.images].map((image) => image.getBoundingClientRect().width / image.naturalWidth),
        )
        for (const scale of scales)
          assert.ok(scale * LETTERS >= 12 && scale * LETTERS <= 20, `${scale * LETTERS} px letters at ${width} px`)
        await page.close()
      }
    } finally {
      await browser.close()
    }
  })
})
