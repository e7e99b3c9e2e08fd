/** What goes wrong with the playground's downloads, storage, files and devices is said in words, and the page goes on. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { needsChromium } from './support/chromium.js'
import { temporaryFolder } from './support/folder.js'
import { goesOn, type Playground, playground, ready, says, text } from './support/playground.js'

const model = fileURLToPath(new URL('../models/scenes-dense', import.meta.url))
const start = playground({ args: ['--use-fake-device-for-media-stream'] })
const folder = temporaryFolder()

let shown: Playground
let weights: Buffer

/** Types an address into the dialog of models and asks for it. */
async function fetchModel(page: Page, address: string): Promise<void> {
  if (!(await page.isVisible('#models'))) await page.click('#open-models')
  await page.fill('#hub-id', address)
  await page.click('#hub-form button')
}

/** What the dialog says of a model that cannot be had; and then the page answers. */
async function refused(page: Page, address: string, wanted: RegExp, keep: number): Promise<void> {
  await fetchModel(page, address)
  await says(page, '#model-status.error', wanted)
  await page.click('#models .close')
  await goesOn(page, keep)
  assert.equal(await text(page, '#model-name'), 'demo')
}

describe('the playground', { ...needsChromium, timeout: 300_000 }, () => {
  before(async () => {
    shown = await start()
    const { others } = shown.site
    weights = await readFile(join(model, 'model.safetensors'))
    const config = await readFile(join(model, 'config.json'))
    for (const name of ['whole', 'broken', 'slow']) others.set(`${name}/config.json`, (_, out) => out.end(config))
    others.set('whole/model.safetensors', (_, out) => out.end(weights))
    others.set('broken/model.safetensors', (_, out) => {
      out.writeHead(200, { 'content-length': weights.length })
      out.write(weights.subarray(0, 500_000), () => setTimeout(() => out.destroy(), 100))
    })
    others.set('slow/model.safetensors', (_, out) => {
      out.writeHead(200, { 'content-length': weights.length })
      out.write(weights.subarray(0, 500_000))
    })
    others.set('page/model.safetensors', (_, out) => out.end('<!doctype html><title>not found</title>'))
  })
  after(() => shown?.close())

  it('says how a download failed', async () => {
    const context = await shown.newContext()
    const { page } = await shown.open(context)
    const { url } = shown.site
    await refused(page, `${url}broken/`, /the connection broke off after \d+ of \d+ bytes$/, 0.61)
    await refused(page, `${url}none/`, /holds no model: wanted model\.safetensors/, 0.62)
    await refused(page, `${url}page/`, /a web page, not a model/, 0.63)
    await refused(page, 'http://127.0.0.1:9/', /the server cannot be reached, or there is none/, 0.64)
    await fetchModel(page, `${url}slow/`)
    await says(page, '#model-status', /Fetching model\.safetensors 0\.5 MB of 1\.\d MB/)
    await page.click('#cancel-model')
    await says(page, '#model-status.error', /^Cancelled\.$/)
    await page.click('#models .close')
    await goesOn(page, 0.65)
    await context.setOffline(true)
    await refused(page, `${url}whole/`, /there is no network/, 0.66)
    await context.setOffline(false)
    await fetchModel(page, `${url}whole/`)
    await says(page, '#model-name', /^whole$/)
    await goesOn(page, 0.67)
    await context.close()
  })

  it('says when there is no room to keep a model, and runs it', async () => {
    const context = await shown.newContext()
    const { page, complaints } = await shown.open(context)
    const session = await context.newCDPSession(page)
    const { origin } = new URL(shown.site.url)
    await page.evaluate(() => navigator.serviceWorker.ready)
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 20_000 })
    await fetchModel(page, `${shown.site.url}whole/`)
    await says(page, '#notices', /is not kept for the next visit: this browser's storage for the page is full/)
    await says(page, '#model-name', /^whole$/)
    await goesOn(page, 0.6)
    assert.deepEqual(complaints, [])
    await context.close()
  })

  it('does without its service worker where there is no room for one', async () => {
    const context = await shown.newContext()
    const page = await context.newPage()
    await page.goto(`${shown.site.url}models/demo/config.json`)
    const session = await context.newCDPSession(page)
    await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(shown.site.url).origin, quotaSize: 20_000 })
    await page.goto(shown.site.url)
    await ready(page)
    const installed = await page.evaluate(async () => {
      const { installing } = await navigator.serviceWorker.register('service-worker.js')
      if (!installing) return 'nothing installs'
      await new Promise((resolve) => installing.addEventListener('statechange', resolve, { once: true }))
      return installing.state
    })
    assert.equal(installed, 'redundant')
    await goesOn(page, 0.6)
    assert.equal(await text(page, '#notices'), '')
    await context.close()
  })

  it('says that the camera was denied, or takes a picture with it', async () => {
    const denied = await shown.newContext()
    await denied.grantPermissions([]) // all others are denied
    const first = await shown.open(denied)
    await first.page.click('#open-camera')
    await says(first.page, '#notices', /^The camera was denied: allow it in the browser, or open a picture instead\./)
    await goesOn(first.page, 0.6)
    assert.deepEqual(first.complaints, [])
    await denied.close()

    const allowed = await shown.newContext({ permissions: ['camera'] })
    const second = await shown.open(allowed)
    await second.page.click('#open-camera')
    await second.page.click('#shoot:enabled')
    await second.page.waitForFunction(() => location.hash.includes('picture=own'))
    assert.ok(await second.page.isHidden('#camera'))
    await goesOn(second.page, 0.6)
    assert.deepEqual(second.complaints, [])
    await allowed.close()
  })

  it('calls a picture or a model by what it is not', async () => {
    const context = await shown.newContext()
    const { page, complaints } = await shown.open(context)
    const pictures: Readonly<Record<string, [string | Buffer, RegExp]>> = {
      'text.png': ['no picture at all', /^text\.png is no picture that this browser can read/],
      'empty.png': ['', /^empty\.png is empty/],
      'cut.png': [Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), /^cut\.png is no picture/],
    }
    for (const [name, [content, message]] of Object.entries(pictures)) {
      await page.setInputFiles('#picture-file', { name, mimeType: 'image/png', buffer: Buffer.from(content) })
      await says(page, '#notices', message)
    }
    await goesOn(page, 0.6)
    await page.click('#open-models')
    const cut = folder.write('model.safetensors', weights.subarray(0, 100_000))
    await page.setInputFiles('#model-files', [join(model, 'config.json'), cut])
    await says(page, '#model-status.error', /not a valid safetensors file: .* truncated\?$/)
    await page.setInputFiles('#model-files', folder.write('model.safetensors', 'PK\x03\x040000000000000000'))
    await says(page, '#model-status.error', /a torch checkpoint, which only Node reads/)
    await page.click('#models .close')
    await goesOn(page, 0.7)
    assert.deepEqual(complaints, [])
    await context.close()
  })
})
