/** Swin in a real Chromium: idled in both variants, by a predictor, or with light paths, it answers as in Node. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import sharp from 'sharp'
import { scene, sceneSeeds } from '../src/data/scenes/scene.js'
import { exportModel } from '../src/export/folder.js'
import { shapeOf } from '../src/models/backbone.js'
import { planReduction, type ReductionRequest } from '../src/reduction/registry.js'
import { loadClassifier } from '../src/runtime/pictures.js'
import type { StateDict } from '../src/weights/state.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { temporaryFolder } from './support/folder.js'
import { maxAbsDiff, tinySwin, weightsUnder } from './support/models.js'
import { withPage } from './support/web-page.js'
import { type Site, startSite } from './support/web-site.js'

const folder = temporaryFolder()

const asked: Readonly<Record<string, ReductionRequest>> = {
  dense: { method: 'none' },
  block: { method: 'idle', keepRatio: 0.6, variant: 'block' },
  ffn: { method: 'idle', keepRatio: 0.6, variant: 'ffn', ranking: 'predictor' },
  dead: { method: 'idle', keepRatio: 0.6, dead: true },
  light: { method: 'dynamicswin', keepRatio: 0.7 },
}

let browser: Browser
let site: Site
let photo: Buffer

before(async () => {
  if (needsChromium.skip) return
  const { width, height, data } = scene(sceneSeeds.test, 3).image
  photo = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
  site = await startSite()
  site.files.set('/photo.png', photo)
  for (const [name, request] of Object.entries(asked)) {
    const values = weightsUnder(tinySwin, planReduction(request, shapeOf(tinySwin)))
    const state = new Map([...values].map(([key, value]) => [key, { dtype: 'F32', ...value }])) as StateDict
    const model = { name, source: 'random:1', config: tinySwin, state, labels: ['ape', 'bee', 'cat', 'dog', 'elk'] }
    const out = join(folder.path, name)
    const { files } = await exportModel(model, out, { ...request, precisions: ['fp32', 'int8'] })
    for (const { path } of files) site.files.set(`/${name}/${path}`, await readFile(join(out, path)))
  }
  browser = await launchChromium()
})

after(async () => {
  await browser?.close()
  site?.close()
})

describe('a Swin in Chromium', { ...needsChromium, timeout: 300_000 }, () => {
  for (const name of Object.keys(asked))
    it(`answers as in Node: ${name}`, async () => {
      const cases = [{}, { format: 'onnx' }, { format: 'onnx', precision: 'int8' }] as const
      const found = await withPage(browser, site, (tab) =>
        tab.evaluate(
          async ({ name, cases }) => {
            const answers = []
            for (const options of cases) {
              const classifier = await idlevit.loadWebClassifier(`/${name}/`, { cache: false, ...options })
              const { logits } = await classifier.forward(await classifier.read('/photo.png'))
              await classifier.close()
              answers.push([...logits])
            }
            return answers
          },
          { name, cases },
        ),
      )
      for (const [i, options] of cases.entries()) {
        const precision = 'precision' in options ? options.precision : 'fp32'
        const node = await loadClassifier(join(folder.path, name), { precision, threads: 1 })
        const { logits } = await node.forward(await node.read(photo))
        await node.close()
        const difference = maxAbsDiff(Float32Array.from(found[i] ?? []), logits)
        const most = precision === 'int8' ? 0.2 : 1e-3 // of integers a rounding more or less
        assert.ok(difference <= most, `${JSON.stringify(options)}: logits differ by ${difference}`)
        assert.equal(new Set(logits).size, 5) // not all alike
      }
    })
})
