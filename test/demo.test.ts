/** `idlevit demo` from the embedded model to the report, which is then opened in a browser. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { LETTERS } from '../src/page/chart.js'
import { loadModel } from '../src/weights/load.js'
import { brightness, launchChromium, needsChromium, openPage } from './support/chromium.js'
import { runCommand } from './support/command.js'
import { temporaryFolder } from './support/folder.js'

const folder = temporaryFolder()
const report = join(folder.path, 'demo.html')
const IMAGES = 32

const demo = (...args: string[]) => runCommand(['demo', '--images', String(IMAGES), ...args])

describe('idlevit demo', () => {
  it('measures the embedded model at every keep ratio and precision', async () => {
    const { code, stdout, stderr } = await demo('--out', report, '--json')
    assert.equal(code, 0, stderr)
    const found = JSON.parse(stdout)
    assert.equal(found.report, report)
    assert.equal(found.images, IMAGES)
    assert.equal(found.rounds, 1)
    const ratios = [1, 0.9, 0.8, 0.7, 0.6, 0.5]
    const asked = ['fp32', 'int8'].flatMap((precision) => ratios.map((keepRatio) => ({ keepRatio, precision })))
    assert.deepEqual(
      found.rows.map(({ keepRatio, precision }: (typeof asked)[number]) => ({ keepRatio, precision })),
      asked,
    )
    for (const [i, row] of [...found.rows, found.reference].entries()) {
      assert.equal(row.top1Percent, (100 * row.top1) / IMAGES)
      assert.ok(row.imagesPerSecond > 0 && row.speedup > 0)
      // Two columns, one measurement.
      assert.ok(Math.abs(row.imagesPerSecond / found.rows[0].imagesPerSecond - row.speedup) < 1e-9)
      assert.ok(row.speedupQuartiles[0] <= row.speedup && row.speedup <= row.speedupQuartiles[1])
      assert.ok(row.top1Interval[0] <= row.top1Percent && row.top1Percent <= row.top1Interval[1])
      assert.equal(row.ratios, row.precision === 'fp32' && [0, ratios.length - 1].includes(i) ? 3 : 1)
      if (i % ratios.length > 0) assert.ok(row.gmacs < found.rows[i - 1].gmacs)
    }
    assert.equal(found.rows[0].speedup, 1)
    // A model that learned its classes: 16 of them, so chance is 6 %.
    assert.ok(found.rows[0].top1Percent > 50, `top-1 ${found.rows[0].top1Percent} %`)
    assert.equal(found.reference.model, 'demo-dense')
    assert.equal(found.reference.gmacs, found.rows[0].gmacs)

    const { coverage, selfCorrection } = found.watched
    assert.deepEqual(
      coverage.map(({ kept }: { kept: number }) => kept),
      [144, 144, 100, 100, 70, 70, 49, 49], // k = 0.7
    )
    for (const { kept, idle, dense, random } of coverage) {
      assert.equal(random, kept / 144)
      for (const share of [idle, dense]) assert.ok(share >= 0 && share <= 1 + 1e-9)
    }
    const { all, object, background } = selfCorrection
    assert.equal(all.tokens, IMAGES * 144)
    assert.ok(object.tokens + background.tokens < all.tokens)
    for (const { idled, returned, recovered } of [all, object, background])
      assert.ok(Math.abs(returned - idled * recovered) < 1e-12 && idled <= 1)
  })

  it('writes a page for phones and desks, light and dark', needsChromium, async () => {
    const browser = await launchChromium()
    try {
      for (const width of [360, 1440]) {
        for (const colorScheme of ['light', 'dark'] as const) {
          const page = await openPage(browser, report, { width, colorScheme })
          assert.equal(await page.locator('#results tbody tr').count(), 13)
          // Four pictures: blocks 0 and 1 share a tile, a stage is two blocks long.
          assert.equal(await page.locator('#tokens .gallery img').count(), 4 * 7)
          assert.equal(await page.locator('#attention .gallery img').count(), 4 * 4)
          assert.equal(await page.locator('#blocks figure img').count(), 2)
          assert.equal(await page.locator('#self-correction tbody tr').count(), 3)
          const scales = await page.evaluate(() =>
            [...document.querySelectorAll<HTMLImageElement>('picture img')].map(
              (image) => image.getBoundingClientRect().width / image.naturalWidth,
            ),
          )
          assert.equal(scales.length, 4)
          for (const scale of scales) assert.ok(scale * LETTERS >= 12 && scale * LETTERS < 20, `${scale * LETTERS} px`)
          for (const chart of ['#results figure img', '#object figure img']) {
            const { mean, min, max } = await brightness(page, chart)
            if (colorScheme === 'light') assert.ok(mean > 0.85 && min < 0.5, `${chart}, light: ${mean}, ${min}`)
            else assert.ok(mean < 0.3 && max > 0.6, `${chart}, dark: ${mean}, ${max}`)
          }
          const shots = process.env.IDLEVIT_SCREENSHOTS
          if (shots) await page.screenshot({ path: join(shots, `demo-${width}-${colorScheme}.png`), fullPage: true })
          await page.close()
        }
      }
    } finally {
      await browser.close()
    }
  })

  it('finetunes the dense model, tells its accuracy and writes a model', async () => {
    const out = join(folder.path, 'finetuned')
    const { code, stdout, stderr } = await demo('--finetune', '--train-images', '128', '--out', out, '--json')
    assert.equal(code, 0, stderr)
    assert.match(stderr, /before finetuning: top-1 [\d.]+ % of 32 pictures/)
    assert.match(stderr, /after epoch 4: top-1 [\d.]+ % of 32 pictures/)
    const found = JSON.parse(stdout)
    for (const rows of [found.before, found.after]) {
      const ratios = rows.map(({ keepRatio }: { keepRatio: number }) => keepRatio)
      assert.deepEqual(ratios, [1, 0.7, 0.5])
    }
    const [before, after] = [await loadModel('demo-dense'), await loadModel(out)]
    assert.deepEqual([after.config, after.labels], [before.config, before.labels])
    assert.deepEqual(after.preprocess, before.preprocess)
    assert.notDeepEqual(after.state.get('head.weight')?.data, before.state.get('head.weight')?.data)
  })

  it('says before anything else where it cannot write', async () => {
    const file = folder.write('file', '')
    const theirs = folder.write('theirs.html', '<!doctype html><title>Thesis</title>')
    const cases = [
      { out: join(folder.path, 'absent', 'demo.html'), message: /^error: .*absent: no such folder\n$/ },
      { out: join(file, 'demo.html'), message: /^error: .*file: wanted a folder, found a file\n$/ },
      { out: theirs, message: /^error: .*theirs\.html: wanted a new file or an earlier report.*\n$/ },
      { out: folder.path, message: /^error: .*: wanted a file for the report, found a folder\n$/ },
    ]
    for (const { out, message } of cases) {
      const { code, stdout, stderr } = await demo('--out', out)
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, message)
    }
    assert.match(readFileSync(theirs, 'utf8'), /Thesis/)
    const finetuned = await demo('--finetune', '--out', folder.path)
    assert.equal(finetuned.code, 1)
    assert.match(finetuned.stderr, /^error: .*: wanted a new or empty folder, or that of an earlier run.*\n$/)
  })
})
