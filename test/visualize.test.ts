/** `idlevit visualize` from pictures to the page, which is then opened in a browser. */

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import type { VitConfig } from '../src/models/config.js'
import type { SwinConfig } from '../src/models/swin-config.js'
import { modelConfigJson } from '../src/weights/config-file.js'
import { saveSafetensors } from '../src/weights/files.js'
import type { StateDict } from '../src/weights/state.js'
import { brightness, launchChromium, needsChromium, openPage } from './support/chromium.js'
import { runCommand } from './support/command.js'
import { temporaryFolder } from './support/folder.js'
import { randomWeights, tinySwin } from './support/models.js'
import { golden } from './support/shared.js'

const folder = temporaryFolder()
const weights = join(folder.path, 'small <model>.safetensors')
const out = join(folder.path, 'out')

/** 36 image tokens, eight blocks. */
const config: VitConfig = {
  imageSize: 96,
  patchSize: 16,
  width: 64,
  depth: 8,
  heads: 1,
  hidden: 128,
  classes: 10,
  distilled: false,
  layerNormEps: 1e-6,
}

/** No file beside the weights says heads and statistics: they are said by hand. */
const byHand = ['--heads', '1', '--mean', '0.485,0.456,0.406', '--std', '0.229,0.224,0.225']
const visualize = (...args: string[]) => runCommand(['visualize', ...args, ...byHand, '--threads', '1'])

before(async () => {
  const state: StateDict = new Map()
  for (const [name, { shape, data }] of randomWeights(config, 1, 0.15))
    state.set(name, { dtype: 'F32', shape, data: data as Float32Array })
  await saveSafetensors(weights, state)
})

describe('idlevit visualize', () => {
  it('writes one page and its figures', async () => {
    const pictures = [golden('images/0-gradient.png'), golden('images/4-rings.jpg')]
    const { code, stdout, stderr } = await visualize(...pictures, '--model', weights, '--out', out, '--json')
    assert.equal(code, 0, stderr)
    assert.doesNotMatch(stderr, /warning/)
    const result = JSON.parse(stdout) as { out: string; files: string[] }
    assert.equal(result.out, out)
    for (const file of result.files) assert.ok(readFileSync(file).length > 0, file)
    const names = result.files.map((file) => file.slice(out.length + 1))
    // Blocks 0 and 1 compute all tokens and share a tile; a stage is two blocks long.
    for (const stem of ['01-0-gradient', '02-4-rings']) {
      for (const block of ['00', '02', '03', '07']) assert.ok(names.includes(`figures/${stem}-tokens-${block}.svg`))
      for (const block of ['01', '03', '05', '07']) assert.ok(names.includes(`figures/${stem}-attention-${block}.png`))
    }
    assert.equal(names.length, 2 + 2 * (7 + 4) + 3)

    const numbers = JSON.parse(readFileSync(join(out, 'visualize.json'), 'utf8'))
    assert.deepEqual(numbers.keep, [36, 36, 25, 25, 17, 17, 12, 12]) // k = 0.7
    assert.ok(numbers.returned <= numbers.idled && numbers.idled > 0)
    for (const { tokens } of numbers.pictures)
      assert.deepEqual(
        tokens.map((states: string) => states.replaceAll('i', '').length),
        numbers.keep,
      )
    for (const { similarity } of numbers.blocks) assert.ok(Math.abs(similarity.idle) <= 1)
  })

  it('draws in light and dark, on a phone and on a desk, in a browser', needsChromium, async () => {
    const browser = await launchChromium()
    try {
      const chart = '#blocks figure img'
      for (const width of [360, 1440]) {
        for (const colorScheme of ['light', 'dark'] as const) {
          const page = await openPage(browser, join(out, 'index.html'), { width, colorScheme })
          assert.equal(await page.locator('#tokens .gallery img').count(), 14)
          assert.equal(await page.locator('#attention .gallery img').count(), 8)
          const { mean, min, max } = await brightness(page, chart)
          // A chart without the colours of its page would be a blank, or dark on dark.
          if (colorScheme === 'light') assert.ok(mean > 0.85 && min < 0.45, `light chart: ${mean}, darkest ${min}`)
          else assert.ok(mean < 0.3 && max > 0.6, `dark chart: ${mean}, brightest ${max}`)
          await page.close()
        }
      }
      const page = await openPage(browser, join(out, 'index.html'), { width: 700, colorScheme: 'light' })
      assert.ok((await page.pdf({ format: 'A4' })).length > 10_000)
      await page.emulateMedia({ media: 'print' })
      const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 700))
      await page.emulateMedia({ media: 'print', colorScheme: 'dark' })
      assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), paper)
    } finally {
      await browser.close()
    }
  })

  it('replaces earlier results and nothing else', async () => {
    const picture = golden('images/4-rings.jpg')
    const again = await visualize(picture, '--model', weights, '--out', out, '--method', 'none')
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stdout, /index\.html\n/)
    assert.ok(!existsSync(join(out, 'figures/02-4-rings-tokens-00.svg')))
    assert.match(readFileSync(join(out, 'index.html'), 'utf8'), /without idling/)

    const precious = join(folder.path, 'precious')
    mkdirSync(precious)
    writeFileSync(join(precious, 'thesis.txt'), 'years of work')
    const refused = await visualize(picture, '--model', weights, '--out', precious)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /^error: .*precious: wanted a new or empty folder.*thesis\.txt.*\n$/)

    // Somebody else's page, and results of ours that are pictures to be drawn.
    const site = join(folder.path, 'site')
    mkdirSync(site)
    writeFileSync(join(site, 'index.html'), 'theirs')
    const page = await visualize(picture, '--model', weights, '--out', site)
    assert.match(page.stderr, /^error: .*site: wanted a new or empty folder.*index\.html.*\n$/)
    const figure = join(out, 'figures/01-4-rings-attention-07.png')
    const onto = await visualize(figure, '--model', weights, '--out', out)
    assert.match(onto.stderr, /^error: .*holds .*attention-07\.png, which would be replaced.*\n$/)
    assert.deepEqual([page.code, onto.code], [1, 1])
    assert.equal(readFileSync(join(site, 'index.html'), 'utf8'), 'theirs')
    assert.ok(existsSync(figure))
  })

  it('draws a Swin stage by stage, in a browser too', needsChromium, async () => {
    const [swin, drawn] = [join(folder.path, 'swin'), join(folder.path, 'drawn')]
    mkdirSync(swin)
    const config: SwinConfig = { ...tinySwin, imageSize: 64, patchSize: 4 }
    writeFileSync(join(swin, 'config.json'), JSON.stringify(modelConfigJson({ config })))
    const state = [...randomWeights(config, 1, 0.2)].map(([name, value]) => [name, { dtype: 'F32', ...value }] as const)
    await saveSafetensors(join(swin, 'model.safetensors'), new Map(state) as StateDict)
    const picture = golden('images/4-rings.jpg')
    const draw = (...args: string[]) => runCommand(['visualize', picture, '--model', swin, '--out', drawn, ...args])
    const cases = [
      { args: [], attention: 3, says: /Attention received within windows/ },
      { args: ['--method-option', 'variant=ffn'], attention: 3, says: /attends, and passes the MLP by/ },
      { args: ['--method-option', 'dead=true'], attention: 0, says: /nothing attends to dead tokens/ },
    ]
    const browser = await launchChromium()
    try {
      for (const { args, attention, says } of cases) {
        const { code, stderr } = await draw('--keep-ratio', '0.6', '--threads', '1', ...args)
        assert.equal(code, 0, stderr)
        const page = await openPage(browser, join(drawn, 'index.html'), { width: 900, colorScheme: 'light' })
        assert.match(await page.locator('main').innerText(), says)
        // Blocks 0 and 1 share a tile.
        assert.equal(await page.locator('#tokens .gallery img').count(), 5)
        assert.equal(await page.locator('#attention .gallery img').count(), attention)
        assert.equal(await page.evaluate(() => [...document.images].every((image) => image.naturalWidth > 0)), true)
        await page.close()
        const { maps, keep, pictures } = JSON.parse(readFileSync(join(drawn, 'visualize.json'), 'utf8'))
        assert.deepEqual(maps, [256, 256, 64, 64, 16, 16])
        assert.deepEqual(
          pictures[0].tokens.map((states: string) => states.replaceAll(/[ig]/g, '').length),
          keep,
        )
      }
    } finally {
      await browser.close()
    }
  })

  it('says what is wrong in one line and writes nothing', async () => {
    const text = folder.write('text.jpg', 'hello')
    const fresh = join(folder.path, 'fresh')
    const cases = [
      { args: ['absent.jpg'], message: /^error: absent\.jpg: no such file or folder\n$/ },
      { args: [text], message: /^error: .*text\.jpg.*\n$/ },
      { args: [golden('images/4-rings.jpg'), '--keep-ratios', '1,0.5'], message: /^error: .*wanted 8 values.*\n$/ },
    ]
    for (const { args, message } of cases) {
      const { code, stderr } = await visualize(...args, '--model', weights, '--out', fresh)
      assert.equal(code, 1)
      assert.match(stderr, message)
      assert.ok(!existsSync(fresh))
    }
  })

  it('draws the first pictures of many', async () => {
    const many = join(folder.path, 'many')
    const { code, stderr, stdout } = await visualize(
      golden('images'),
      ...['--model', weights, '--out', many, '--limit', '1', '--json'],
    )
    assert.equal(code, 0)
    assert.match(stderr, /warning: only the first 1 of 10 pictures/)
    assert.equal(JSON.parse(stdout).files.length, 2 + 7 + 4 + 3)
  })
})
