/** What a page's memory does over many runs, and over many models that are loaded and closed. */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { imagenetPreprocess } from '../src/images/preprocess.js'
import { modelConfigJson } from '../src/weights/config-file.js'
import { writeSafetensors } from '../src/weights/safetensors.js'
import type { StateDict } from '../src/weights/state.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { randomWeights, tiny } from './support/models.js'
import { wasmBytes, watchWasm } from './support/wasm-memory.js'
import { withPage } from './support/web-page.js'
import { isolation, type Site, startSite } from './support/web-site.js'

/** Wide enough that weights that stay behind would be seen: 3.4 MB each. */
const config = { ...tiny, width: 128, hidden: 512 }

/** What the JavaScript heap may grow by, in bytes: less than one model's weights, whatever it is that grows. */
const slack = 1_000_000

let browser: Browser
let site: Site

before(async () => {
  if (needsChromium.skip) return
  site = await startSite(isolation)
  const preprocess = imagenetPreprocess(config.imageSize)
  site.files.set('/model/config.json', JSON.stringify(modelConfigJson({ config, preprocess })))
  site.files.set('/model/model.safetensors', Buffer.concat(writeSafetensors(randomWeights(config, 9) as StateDict)))
  // The page keeps an eye on what WebAssembly takes, from before anything is loaded.
  const watch = `<script>${watchWasm}</script>`
  site.files.set('/', `${site.files.get('/')}`.replace('<script', `${watch}<script`))
  browser = await launchChromium()
})

after(async () => {
  await browser?.close()
  site?.close()
})

/** Bytes of the JavaScript heap and of array buffers after a collection, and of WebAssembly's memories. */
async function memoryOf(page: Page) {
  const session = await page.context().newCDPSession(page)
  await session.send('HeapProfiler.enable')
  for (let i = 0; i < 3; i++) await session.send('HeapProfiler.collectGarbage')
  const { usedSize, backingStorageSize } = await session.send('Runtime.getHeapUsage')
  await session.detach()
  const wasm = await page.evaluate(wasmBytes)
  return { heap: usedSize, buffers: backingStorageSize, wasm }
}

const megabytes = (memory: Awaited<ReturnType<typeof memoryOf>>): string =>
  Object.entries(memory)
    .map(([name, bytes]) => `${name} ${(bytes / 1e6).toFixed(2)} MB`)
    .join(', ')

describe('memory of a page', { ...needsChromium, timeout: 300_000 }, () => {
  it('does not grow over 200 pictures', (t) =>
    withPage(browser, site, async (page) => {
      const run = (count: number) =>
        page.evaluate(async (count) => {
          const { classifier } = globalThis as unknown as {
            classifier: Awaited<ReturnType<typeof idlevit.loadWebClassifier>>
          }
          const canvas = new OffscreenCanvas(160, 120)
          canvas.getContext('2d')?.fillRect(0, 0, 80, 60)
          for (let i = 0; i < count; i++) await classifier.classify(canvas)
        }, count)
      await page.evaluate(async () => {
        const classifier = await idlevit.loadWebClassifier('/model/', { keepRatio: 0.7 })
        Object.assign(globalThis, { classifier })
      })
      await run(20)
      const first = await memoryOf(page)
      await run(200)
      const last = await memoryOf(page)
      t.diagnostic(`after 20 pictures ${megabytes(first)}; after 220 ${megabytes(last)}`)
      assert.ok(first.wasm > 0)
      assert.equal(last.wasm, first.wasm)
      assert.ok(last.heap - first.heap < slack && last.buffers - first.buffers < slack)
    }))

  for (const worker of [false, true])
    it(`does not grow over 20 models that are loaded and closed${worker ? ', in workers' : ''}`, (t) =>
      withPage(browser, site, async (page) => {
        const cycle = (count: number) =>
          page.evaluate(
            async ({ count, worker }) => {
              for (let i = 0; i < count; i++) {
                const classifier = await idlevit.loadWebClassifier('/model/', { keepRatio: 0.7, worker })
                await classifier.classify(new ImageData(40, 40))
                await classifier.dispose()
              }
            },
            { count, worker },
          )
        await cycle(3)
        const first = await memoryOf(page)
        await cycle(20)
        const last = await memoryOf(page)
        t.diagnostic(`after 3 models ${megabytes(first)}; after 23 ${megabytes(last)}`)
        assert.equal(last.wasm, first.wasm)
        assert.equal(last.wasm > 0, !worker)
        assert.ok(last.heap - first.heap < slack && last.buffers - first.buffers < slack)
        while (page.workers().length > 0) await page.workers()[0]?.waitForEvent('close')
      }))
})
