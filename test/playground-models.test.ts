/** The playground with other models than its own: from the hub, from files, in every method, on WebGPU, again and again. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { CDPSession, Page } from 'playwright-core'
import { idleStatistics, tokenMap } from '../src/analysis/tokens.js'
import { scene, sceneSeeds } from '../src/data/scenes/scene.js'
import { imagenetPreprocess, preprocessImage, preprocessOf } from '../src/images/preprocess.js'
import type { VitConfig } from '../src/models/config.js'
import { methodNames } from '../src/reduction/registry.js'
import { openNodeClassifier } from '../src/runtime/node.js'
import { modelConfigJson } from '../src/weights/config-file.js'
import { loadModel } from '../src/weights/load.js'
import { writeSafetensors } from '../src/weights/safetensors.js'
import type { StateDict } from '../src/weights/state.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { temporaryFolder } from './support/folder.js'
import { randomWeights, tiny, tinySwin } from './support/models.js'
import { goesOn, type Playground, playground, says, slide, text } from './support/playground.js'
import { shareRepository } from './support/web-hub.js'
import { shared, startSite } from './support/web-site.js'

const start = playground()
const folder = temporaryFolder()
let shown: Playground

/** Writes a folder of random weights and returns its two files. */
function write(name: string, config: VitConfig): string[] {
  const preprocess = imagenetPreprocess(config.imageSize)
  const weights = Buffer.concat(writeSafetensors(randomWeights(config, 5) as StateDict))
  folder.write(`${name}.json`, '')
  return [
    folder.write('config.json', JSON.stringify(modelConfigJson({ config, preprocess }))),
    folder.write('model.safetensors', weights),
  ]
}

/** Opens a model of one's own and waits until it answers. */
async function choose(page: Page, files: readonly string[], patches: RegExp): Promise<void> {
  await page.setInputFiles('#model-files', [...files])
  await says(page, '#computed-of', patches)
}

describe('the playground', { ...needsChromium, timeout: 300_000 }, () => {
  before(async () => {
    shown = await start()
  })
  after(() => shown?.close())

  it('opens a model of the hub by its id', async () => {
    const hub = await startSite(shared)
    const content = await startSite(shared)
    const model = fileURLToPath(new URL('../models/scenes-dense', import.meta.url))
    const files = Object.fromEntries(
      ['config.json', 'model.safetensors'].map((name) => [name, readFileSync(join(model, name))]),
    )
    shareRepository(hub, content, 'owner/scenes', files)
    const context = await shown.newContext()
    try {
      // Its address is the hub's own: what is asked of it goes to loopback.
      await context.route('https://huggingface.co/**', async (route) => {
        const { pathname, search } = new URL(route.request().url())
        const answer = await fetch(new URL(pathname + search, hub.url), { redirect: 'manual' })
        const body = Buffer.from(await answer.arrayBuffer())
        await route.fulfill({ status: answer.status, headers: Object.fromEntries(answer.headers), body })
      })
      const { page, complaints } = await shown.open(context)
      await page.click('#open-models')
      await page.fill('#hub-id', 'owner/scenes')
      await page.click('#hub-form button')
      await says(page, '#model-name', /^owner\/scenes$/)
      await says(page, '#labels li', /clock/)
      await goesOn(page, 0.7)
      await page.waitForFunction(() => location.hash.includes('model=owner/scenes'))
      assert.deepEqual(
        content.requests.map((line) => line.replace(/\w{64}/, '…')),
        ['GET /content/… 200', 'GET /content/… 200'],
      )
      assert.deepEqual(complaints, [])
      await page.fill('#hub-id', 'owner/none').catch(() => {})
      await page.click('#open-models')
      await page.fill('#hub-id', 'owner/none')
      await page.click('#hub-form button')
      await says(page, '#model-status.error', /no model named owner\/none on https:\/\/huggingface\.co \(404\)/)
    } finally {
      await context.close()
      hub.close()
      content.close()
    }
  })

  it('shows whatever vision transformer has patches of one size, and refuses the others in words', async () => {
    const context = await shown.newContext()
    const { page, complaints } = await shown.open(context)
    const kinds: Readonly<Record<string, VitConfig>> = {
      'LV-ViT': { ...tiny, stem: 4, qkvBias: 'none', branchScale: 0.5, auxHead: true },
      DINOv2: { ...tiny, registers: 4, positions: 'class', layerScale: true, imageSize: 40 },
      SigLIP: { ...tiny, classToken: false, pool: 'mean', activation: 'gelu-tanh', imageSize: 48 },
      'DeiT, distilled': { ...tiny, distilled: true, depth: 5 },
    }
    for (const [kind, config] of Object.entries(kinds)) {
      const all = (config.imageSize / config.patchSize) ** 2 * config.depth
      await choose(page, write(kind, config), new RegExp(`of ${all} in all blocks`))
      await page.click('#tab-smoothing')
      await page.waitForFunction(
        (depth) => document.querySelectorAll('#similarity tbody tr').length === depth,
        config.depth,
      )
      await page.click('#tab-attention')
      await says(page, '#panel-attention figcaption', /computed/)
      assert.equal(await text(page, '#notices'), '', kind)
    }
    const refused: readonly (readonly [VitConfig, RegExp])[] = [
      [tinySwin, /is a Swin, whose patches merge from stage to stage/],
      [{ ...tiny, classes: 0 }, /has no classification head/],
    ]
    for (const [config, message] of refused) {
      await page.setInputFiles('#model-files', write('refused', config))
      await says(page, '#model-status.error', message)
      await page.click('#models .close')
    }
    await goesOn(page, 0.4)
    assert.deepEqual(complaints, [])
    await context.close()
  })

  it('shows every method as Node computes it, or says why it cannot be had', async () => {
    const model = await loadModel('demo')
    const pixels = preprocessImage(scene(sceneSeeds.test, 25).image, preprocessOf(model))
    const context = await shown.newContext()
    const { page, complaints } = await shown.open(context)
    await says(page, '#panel-methods', /GroupViT|Grouped idling/, 60_000)
    const cards = await page.$$eval('#panel-methods .card', (all) =>
      all.map((card) => ({
        title: card.querySelector('h3')?.textContent ?? '',
        lines: [...card.querySelectorAll('p')].map(({ textContent }) => textContent ?? ''),
        marks: card.querySelectorAll('.marks *').length,
      })),
    )
    assert.equal(new Set(cards.map(({ title }) => title)).size, methodNames.length)
    for (const [i, method] of methodNames.entries()) {
      const card = cards[i] ?? assert.fail(`no card for ${method}`)
      const asked = method === 'none' ? { method } : { method, keepRatio: 0.5 }
      let node: Awaited<ReturnType<typeof openNodeClassifier>>
      try {
        node = await openNodeClassifier(model, { ...asked, trace: true, threads: 1 })
      } catch (error) {
        assert.deepEqual(card.lines, [(error as Error).message], method)
        continue
      }
      const [[best] = []] = await node.predict(pixels, 1)
      const { selections } = await node.forward(pixels)
      await node.close()
      const states = tokenMap(selections?.[0] ?? [], model.config.depth, 144)
      const { idled, returned } = idleStatistics(states)
      const last = (state: string) => states.at(-1)?.filter((each) => each === state).length ?? 0
      const [answer, macs = '', fate = ''] = card.lines
      assert.equal(answer, `${best?.label}, ${Math.round((best?.score ?? 0) * 100)} %`, method)
      assert.match(macs, /^(at most )?\d+ M multiply-adds$/)
      if (idled > 0) assert.ok(fate.includes(`${idled} of 144 patches idled, ${returned} of them came back`), fate)
      if (last('gone') > 0) assert.ok(fate.includes(`${last('gone')} of 144 patches were thrown away for good`), fate)
      if (last('merged') > 0) assert.ok(fate.includes(`${last('merged')} of 144 patches share a row`), fate)
      assert.equal(card.marks > 0, new Set(states.at(-1)).size > 1, method)
    }
    assert.deepEqual(complaints, [])
    await context.close()
  })
})
