/** `loadWebClassifier` in a real Chromium: what a page loads and sees is what Node loads and sees. */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import { scene, sceneSeeds } from '../src/data/scenes/scene.js'
import type * as Idlevit from '../src/index.js'
import { loadClassifier } from '../src/runtime/pictures.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { maxAbsDiff } from './support/models.js'
import { isolation, type Site, startSite } from './support/web-site.js'

const folder = 'models/scenes-idle'

let browser: Browser
let sites: Readonly<Record<'isolated' | 'plain', Site>>
let pictures: Readonly<Record<string, Buffer>>
let expected: Readonly<Record<string, Float32Array>>

/** A page of a site whose console must stay silent. */
async function withPage<T>(site: Site, use: (page: Page) => Promise<T>): Promise<T> {
  const context = await browser.newContext()
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  try {
    await page.goto(site.url)
    const result = await use(page)
    assert.deepEqual(complaints, [])
    return result
  } finally {
    await context.close()
  }
}

describe('loadWebClassifier', { ...needsChromium, timeout: 120_000 }, () => {
  before(async () => {
    const { width, height, data } = scene(sceneSeeds.test, 3).image
    const large = sharp(data, { raw: { width, height, channels: 3 } }).resize(211, 157, { fit: 'fill' })
    pictures = {
      'photo.png': await large.clone().png().toBuffer(),
      'photo.jpg': await large.clone().jpeg({ quality: 85 }).toBuffer(),
      // A profile that changes colours, an orientation that turns the picture, transparency with colours below.
      'profile.jpg': await large.clone().withIccProfile('p3').jpeg({ quality: 95 }).toBuffer(),
      'turned.jpg': await large.clone().withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer(),
      'clear.png': await large.clone().ensureAlpha(0.4).png().toBuffer(),
    }
    const temporary = await mkdtemp(join(tmpdir(), 'idlevit-web-'))
    const classifier = await loadClassifier(folder, { keepRatio: 0.7, threads: 1 })
    const logits: [string, Float32Array][] = []
    for (const [name, bytes] of Object.entries(pictures))
      logits.push([name, (await classifier.forward(await classifier.read(bytes))).logits])
    expected = Object.fromEntries(logits)
    await classifier.close()
    await rm(temporary, { recursive: true })
    sites = { isolated: await startSite(isolation), plain: await startSite() }
    for (const { files } of Object.values(sites)) {
      for (const name of ['config.json', 'model.safetensors'])
        files.set(`/model/${name}`, await readFile(join(folder, name)))
      for (const [name, bytes] of Object.entries(pictures)) files.set(`/${name}`, bytes)
    }
    browser = await launchChromium()
  })

  after(async () => {
    await browser?.close()
    for (const site of Object.values(sites ?? {})) site.close()
  })

  for (const [name, worker] of [
    ['isolated', false],
    ['isolated', true],
    ['plain', false],
    ['plain', true],
  ] as const)
    it(`answers as Node does: ${name} page, ${worker ? 'worker' : 'no worker'}`, async () => {
      const found = await withPage(sites[name], (page) =>
        page.evaluate(
          async ({ names, worker }) => {
            const library = '/idlevit.js'
            const { loadWebClassifier } = (await import(library)) as typeof Idlevit
            const classifier = await loadWebClassifier('/model/', { keepRatio: 0.7, threads: 2, worker })
            const logits: Record<string, number[]> = {}
            for (const name of names) {
              const pixels = await classifier.read(`/${name}`)
              logits[name] = [...(await classifier.forward(pixels)).logits]
            }
            await classifier.close()
            return { logits, backend: classifier.backend, file: classifier.file }
          },
          { names: Object.keys(pictures), worker },
        ),
      )
      console.log(found.backend, sites[name].requests.splice(0))
      for (const [picture, logits] of Object.entries(expected))
        console.log(picture, maxAbsDiff(Float32Array.from(found.logits[picture] ?? []), logits))
    })
})
