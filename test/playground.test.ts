/** The built playground in a real browser, from a plain static host under a path of its own. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { BrowserContext, Page } from 'playwright-core'
import { createServer } from 'vite'
import { openInspector } from '../src/analysis/inspect.js'
import { scene, sceneSeeds } from '../src/data/scenes/scene.js'
import { preprocessImage, preprocessOf } from '../src/images/preprocess.js'
import { createSession, openNodeClassifier } from '../src/runtime/node.js'
import { loadModel } from '../src/weights/load.js'
import { needsChromium } from './support/chromium.js'
import { temporaryFolder } from './support/folder.js'
import type { Host } from './support/host.js'
import { PLACE, type Playground, playground, playgroundConfig, ready, says, slide, text } from './support/playground.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const start = playground({ minify: true })
const folder = temporaryFolder()
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let shown: Playground
let site: Host

const open = (context: BrowserContext, hash = '') => shown.open(context, hash)
const newContext = (more: Parameters<Playground['newContext']>[0] = {}) => shown.newContext(more)

describe('the playground', needsChromium, () => {
  before(async () => {
    shown = await start()
    site = shown.site
  })
  after(() => shown?.close())

  it('answers as Node does, in few bytes, and without a network from the second visit on', async (t) => {
    const model = await loadModel('demo')
    const pixels = preprocessImage(scene(sceneSeeds.test, 25).image, preprocessOf(model))
    const node = await openNodeClassifier(model, { keepRatio: 0.5, threads: 1 })
    const [expected] = (await node.predict(pixels))[0] ?? []
    await node.close()

    const context = await newContext()
    const { page, complaints } = await open(context)
    const [[, sent = Number.NaN] = []] = [...site.sent].filter(([path]) => path.endsWith('.wasm'))
    const usable = performance.now() - sent
    await says(page, '#labels li', /clock/)
    const shown = await text(page, '#labels li .bar.idled >> xpath=../../span[2]')
    assert.equal(expected?.label, 'clock')
    assert.equal(shown, `${Math.round((expected?.score ?? 0) * 100)} %`)
    assert.ok(site.asked.every((path) => path.startsWith(PLACE)))
    firstLoad(t, site.asked)
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime)
    t.diagnostic(
      `first paint ${paint?.toFixed(0)} ms; first answer ${usable.toFixed(0)} ms behind the last byte of the runtime`,
    )

    await page.evaluate(async () => {
      await navigator.serviceWorker.ready
      for (let i = 0; i < 100 && !navigator.serviceWorker.controller; i++) await new Promise((r) => setTimeout(r, 100))
    })
    await context.setOffline(true)
    await page.reload()
    await ready(page)
    await says(page, '#labels li', /clock/)
    // The service worker also brings the isolation that threads need, on hosts that send no headers.
    assert.ok(await page.evaluate(() => crossOriginIsolated))
    assert.match(await text(page, '#device'), /WebAssembly on [1-4] of/)
    assert.deepEqual(complaints, [])
    await context.close()
  })

  it('never queues: one answer under way, one position waiting, the last one answered', async (t) => {
    const context = await newContext()
    await context.addInitScript('globalThis.__name = (named) => named') // which tsx puts into functions
    await context.addInitScript(traceWorkers)
    const { page, complaints } = await open(context)
    await page.evaluate(async () => {
      const slider = document.querySelector('#keep') as HTMLInputElement
      for (let keep = 100; keep >= 30; keep--) {
        slider.value = String(keep / 100)
        slider.dispatchEvent(new Event('input', { bubbles: true }))
        await new Promise(requestAnimationFrame)
      }
    })
    await says(page, '#k', /0\.30/)
    await page.waitForFunction(() => (window as unknown as Traced).trace.at(-1)?.end !== undefined)
    const runs = (await page.evaluate(() => (window as unknown as Traced).trace)).filter(
      ({ name }) => name === 'answer',
    )
    assert.ok(runs.length > 1)
    for (const [i, run] of runs.entries())
      assert.ok(i === 0 || run.start >= (runs[i - 1]?.end ?? Number.POSITIVE_INFINITY), 'one run at a time')
    assert.equal(runs.at(-1)?.keep, 0.3)
    assert.equal(await text(page, '#keep-value'), '0.30')
    const beyond = runs.map(({ start, told = Number.NaN, milliseconds = 0 }) => told - start - milliseconds)
    const median = beyond.sort((a, b) => a - b)[Math.floor(beyond.length / 2)] ?? Number.NaN
    t.diagnostic(`${runs.length} answers to 71 positions; beyond the inference itself ${median.toFixed(1)} ms (median)`)
    assert.deepEqual(complaints, [])
    await context.close()
  })

  it('says what is wrong with a model, a picture or a camera, and goes on', async () => {
    const context = await newContext()
    const { page, complaints } = await open(context)
    await page.click('#open-models')
    await page.setInputFiles('#model-files', folder.write('model.safetensors', 'no model at all'))
    await says(page, '#model-status', /model\.safetensors: /)
    await page.setInputFiles('#model-files', join(root, 'models/scenes-idle/config.json'))
    await says(page, '#model-status', /model|safetensors/)
    await page.fill('#hub-id', 'not a model')
    await page.click('#hub-form button')
    await says(page, '#model-status', /unknown model not a model/)
    await page.click('#models .close')

    await page.setInputFiles('#picture-file', folder.write('picture.png', 'no picture at all'))
    await says(page, '#notices', /picture\.png/)
    await page.click('#open-camera')
    await says(page, '#notices', /camera/i)

    await slide(page, 0.6)
    await says(page, '#k', /0\.60/)
    await page.setInputFiles('#picture-file', join(root, 'docs/images/tokens.png'))
    await page.waitForFunction(() => location.hash.includes('picture=own'))
    assert.equal(await text(page, '#notices'), '')

    // One's own exported model.
    await page.setInputFiles(
      '#model-files',
      ['config.json', 'model.safetensors'].map((name) => join(root, 'models/scenes-dense', name)),
    )
    await page.waitForFunction(() => location.hash.includes('model=own'))
    await says(page, '#labels li', /./)
    assert.deepEqual(complaints, [])
    await context.close()
  })

  it('keeps what is seen in the address', async () => {
    const context = await newContext()
    const { page } = await open(context)
    await page.click('#thumbnails li:nth-child(3) button')
    await slide(page, 0.72)
    await page.click('#blocks li:nth-child(5) button')
    await page.click('#tab-smoothing')
    await page.check('#attention')
    await page.focus('#stage')
    await page.keyboard.press('ArrowRight')
    await page.waitForFunction(() =>
      /picture=69&keep=0.72&block=4&attention=1&patch=79&view=smoothing/.test(location.hash),
    )
    await says(page, '#panel-smoothing', /k = 0\.72/) // the last thing that follows from it
    const hash = await page.evaluate(() => location.hash)
    const said = await text(page, '#patch-text')
    assert.match(said, /^Patch in row 7, column 8: computed in blocks 0–\d/)

    const again = await open(context, hash)
    await says(again.page, '#panel-smoothing', /k = 0\.72/)
    assert.equal(await text(again.page, '#patch-text'), said)
    assert.equal(await text(again.page, '#keep-value'), '0.72')
    assert.equal(await text(again.page, '#block-name'), 'block 4')
    assert.ok(await again.page.isChecked('#attention'))
    assert.equal(await again.page.getAttribute('#tab-smoothing', 'aria-selected'), 'true')
    assert.equal(await again.page.evaluate(() => location.hash), hash)
    await context.close()
  })

  it('shows the numbers of visualize', async () => {
    const model = await loadModel('demo')
    const inspector = await openInspector(model, { keepRatio: 0.5, threads: 1 }, createSession)
    const { similarity, tokens } = await inspector.inspect(
      preprocessImage(scene(sceneSeeds.test, 25).image, preprocessOf(model)),
    )
    await inspector.close()
    const context = await newContext()
    const { page } = await open(context, '#view=smoothing')
    await page.waitForSelector('#similarity')
    const rows = await page.$$eval('#similarity tbody tr', (rows) =>
      rows.map((row) => [...row.children].map((cell) => Number(cell.textContent))),
    )
    assert.equal(rows.length, similarity.dense.length)
    for (const [l, [block, dense = 0, idle = 0]] of rows.entries()) {
      assert.equal(block, l)
      assert.ok(Math.abs(dense - (similarity.dense[l] ?? 0)) <= 1e-4)
      assert.ok(Math.abs(idle - (similarity.idle[l] ?? 0)) <= 1e-4)
    }
    const computed = tokens.flat().filter((state) => state !== 'idle').length
    assert.equal(await text(page, '#computed-of'), `${computed} of ${tokens.flat().length} in all blocks`)
    await page.click('#tab-attention')
    await page.waitForSelector('#panel-attention figure img')
    assert.deepEqual(await page.$$eval('#panel-attention figcaption', (all) => all.map((each) => each.textContent)), [
      'Block 1: all 144 computed',
      'Block 3: 72 of 144 computed',
      'Block 5: 36 of 144 computed',
      'Block 7: 18 of 144 computed',
    ])
    await context.close()
  })

  it('measures on this device, row by row, until it is stopped', async () => {
    const context = await newContext({ permissions: ['clipboard-read', 'clipboard-write'] })
    const { page, complaints } = await open(context, '#view=bench')
    assert.equal((await page.$$('#bench-table tbody tr')).length, 12)
    await page.click('#panel-bench button.primary')
    await says(page, '#bench-table tbody tr:nth-child(2)', /ms.*×/)
    await page.click('#panel-bench button:has-text("Stop")')
    await says(page, '#panel-bench .status', /Stopped/)
    await page.click('#panel-bench button:has-text("Copy")')
    await says(page, '#panel-bench .status', /clipboard/)
    const table = await page.evaluate(() => navigator.clipboard.readText())
    assert.match(table, /\| WASM \| fp32 \| dense \| [\d.]+ ms \| 1\.00× \| 143 M \|/)
    assert.match(table, /\| WASM \| fp32 \| 0\.50 \| [\d.]+ ms \| [\d.]+× \| 72 M \|/)
    assert.deepEqual(complaints, [])
    await context.close()
  })

  it('is served by its development server, too', async () => {
    const server = await createServer({
      configFile: playgroundConfig,
      logLevel: 'error',
      server: { port: 0, hmr: false },
    })
    await server.listen()
    const context = await newContext()
    try {
      const page = await context.newPage()
      await page.goto(server.resolvedUrls?.local[0] ?? '')
      await says(page, '#labels li', /clock/)
      assert.match(await text(page, '#device'), /WebAssembly on [1-4] of/) // it sends the headers itself
    } finally {
      await context.close()
      await server.close()
    }
  })

  it('explains itself in five steps, by keyboard', async () => {
    const context = await newContext()
    const { page } = await open(context)
    await page.focus('#open-tour')
    await page.keyboard.press('Enter')
    const titles: string[] = []
    for (let step = 1; step <= 5; step++) {
      assert.equal(await text(page, '#tour-count'), `Step ${step} of 5`)
      titles.push(await text(page, '#tour-title'))
      await page.focus('#tour-next')
      await page.keyboard.press('Enter')
    }
    assert.equal(new Set(titles).size, 5)
    assert.ok(await page.isHidden('#tour'))
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'open-tour')
    await context.close()
  })

  for (const width of [360, 768, 1440])
    it(`lets nothing jump while it loads, ${width} px`, async (t) => {
      const context = await newContext({ viewport: { width, height: 900 } })
      await context.addInitScript(() => {
        const seen = { shift: 0 }
        Object.assign(window, { seen })
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) seen.shift += (entry as PerformanceEntry & { value: number }).value
        }).observe({ type: 'layout-shift', buffered: true })
      })
      const { page } = await open(context)
      await page.waitForSelector('#panel-methods .card')
      const shift = await page.evaluate(() => (window as unknown as { seen: { shift: number } }).seen.shift)
      t.diagnostic(`layout shift ${shift.toFixed(4)}`)
      assert.ok(shift < 0.01, `${shift}`)
      await context.close()
    })

  it('can be used with a keyboard alone, from the first control to the last', async () => {
    const context = await newContext()
    const { page } = await open(context)
    await page.waitForSelector('#panel-methods .card')
    const order: string[] = []
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab')
      const { at, ring } = await page.evaluate(() => {
        const active = document.activeElement ?? document.body
        const [{ outlineStyle = 'none' } = {}] = [getComputedStyle(active)]
        const name = active.id || active.className || active.localName
        return { at: active === document.body ? '' : name, ring: outlineStyle !== 'none' }
      })
      if (at === '') break
      assert.ok(ring, `${at} shows that it has the focus`)
      order.push(at)
    }
    const counts = (wanted: string) => order.filter((name) => name === wanted).length
    assert.deepEqual(
      order.filter((name) => !['thumbnail', 'tile'].includes(name)),
      [
        'skip',
        'open-tour',
        'open-models',
        'open-picture',
        'open-camera',
        'draw-another',
        'stage',
        'keep',
        'block',
      ].concat('play', 'attention', 'tab-methods', 'panel-methods', 'a'), // the footer's link
    )
    assert.deepEqual([counts('thumbnail'), counts('tile')], [12, 8])

    await page.focus('#keep')
    await page.keyboard.press('ArrowLeft')
    await says(page, '#k', /0\.49/)
    await page.focus('#play')
    await page.keyboard.press('Enter')
    assert.equal(await page.getAttribute('#play', 'aria-label'), 'Pause')
    await page.keyboard.press('Enter')
    await page.focus('#tab-methods')
    for (const tab of ['smoothing', 'attention', 'bench', 'methods']) {
      await page.keyboard.press('ArrowRight')
      assert.equal(await page.evaluate(() => document.activeElement?.id), `tab-${tab}`)
      assert.ok(await page.isVisible(`#panel-${tab}`))
    }
    await page.focus('#open-models')
    await page.keyboard.press('Enter')
    assert.ok(await page.isVisible('#models'))
    await page.keyboard.press('Escape')
    assert.ok(await page.isHidden('#models'))
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'open-models')
    await context.close()
  })

  it('is whole at 200 % of the browser’s zoom and of its text', async () => {
    const zoomed = await newContext({ viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 })
    const { page } = await open(zoomed)
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 640)
    await zoomed.close()
    const context = await newContext()
    const large = await context.newPage()
    const session = await context.newCDPSession(large)
    await session.send('Page.setFontSizes', { fontSizes: { standard: 32, fixed: 26 } })
    await large.goto(site.url)
    await ready(large)
    const found = await large.evaluate(() => ({
      text: Number.parseFloat(getComputedStyle(document.body).fontSize),
      scroll: document.documentElement.scrollWidth,
      cut: [...document.querySelectorAll('button, label, h1, h2, h3, output')].filter(
        (element) => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== 'inline',
      ).length,
    }))
    assert.ok(found.text >= 32, `${found.text}`)
    assert.deepEqual({ ...found, text: 32 }, { text: 32, scroll: 1280, cut: 0 })
    await context.close()
  })

  it('plays by itself where motion is welcome, and stands still where it is not', async () => {
    const lively = await newContext({ reducedMotion: 'no-preference' })
    const first = await open(lively)
    await first.page.waitForSelector('#play.playing')
    await lively.close()
    const calm = await newContext()
    const { page } = await open(calm)
    await says(page, '#panel-methods', /multiply-adds/)
    assert.equal(await page.$('#play.playing'), null)
    assert.equal(await text(page, '#block-value'), '7')
    const moving = await page.evaluate(() => document.getAnimations().length)
    assert.equal(moving, 0)
    await calm.close()
  })

  for (const colorScheme of ['light', 'dark'] as const)
    it(`has no serious fault of accessibility and fits every screen, ${colorScheme}`, async () => {
      const context = await newContext({ colorScheme })
      const { page, complaints } = await open(context)
      await page.evaluate(axeSource)
      for (const tab of ['methods', 'smoothing', 'attention', 'bench']) {
        await page.click(`#tab-${tab}`)
        await page.waitForSelector(`#panel-${tab} :is(.card, #similarity, figure, table)`)
        assert.deepEqual(await faults(page, tab === 'methods' ? 'body' : `#panel-${tab}`), [], tab)
      }
      for (const width of [360, 768, 1440, 2560, 3840]) {
        await page.setViewportSize({ width, height: 900 })
        const found = await page.evaluate(() => ({
          scroll: document.documentElement.scrollWidth,
          // Text that a phone's reader would have to enlarge.
          small: [...document.querySelectorAll('body *:not(text)')].filter((element) => {
            const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent?.trim())
            return own && Number.parseFloat(getComputedStyle(element).fontSize) < 12
          }).length,
        }))
        assert.deepEqual(found, { scroll: width, small: 0 }, `${width} px`)
      }
      await page.setViewportSize({ width: 360, height: 740 })
      await page.click('#open-models')
      assert.deepEqual(await faults(page, '#models'), [], 'models')
      await page.click('#models .close')
      await page.click('#open-tour')
      assert.deepEqual(await faults(page, '#tour'), [], 'tour')
      assert.deepEqual(complaints, [])
      await context.close()
    })
})

/** What the page loads before it answers, without the runtime and the weights: compressed as hosts do it. */
function firstLoad(t: TestContext, asked: readonly string[]): void {
  const names = [...new Set(asked)].map((path) => path.slice(PLACE.length) || 'index.html')
  const parts = { runtime: /\.wasm$|ort\./, model: /^models\// }
  const partOf = (name: string) => Object.entries(parts).find(([, pattern]) => pattern.test(name))?.[0] ?? 'page'
  const sizes = { page: 0, runtime: 0, model: 0 }
  for (const name of names.filter((name) => name !== 'service-worker.js'))
    sizes[partOf(name) as keyof typeof sizes] += gzipSync(readFileSync(join(shown.dist, name)), { level: 6 }).length
  t.diagnostic(`first load, bytes compressed: ${JSON.stringify(sizes)}`)
  assert.ok(sizes.page > 50_000 && sizes.page < 150_000, `${sizes.page} bytes`)
}

interface Run {
  readonly id: number
  readonly name: string
  readonly keep: unknown
  readonly start: number
  /** When the labels were there, and how long the inference itself took. */
  told?: number
  milliseconds?: number
  end?: number
}

interface Traced {
  readonly trace: Run[]
}

/** Writes down what pages ask of their workers and when they are answered. Runs in the page. */
function traceWorkers(): void {
  const trace: Run[] = []
  const Traced = class extends Worker {
    constructor(...given: ConstructorParameters<typeof Worker>) {
      super(...given)
      this.addEventListener('message', ({ data }) => {
        const run = trace.find(({ id }) => id === data.id)
        if (!run) return
        if ('event' in data) Object.assign(run, { told: performance.now(), milliseconds: data.event.milliseconds })
        else run.end = performance.now()
      })
    }
    override postMessage(message: { id: number; name?: string; args?: unknown[] }) {
      const { id, name, args } = message
      if (name) trace.push({ id, name, keep: args?.[0], start: performance.now() })
      super.postMessage(message)
    }
  }
  Object.assign(window, { trace, Worker: Traced })
}

interface Axe {
  run(
    part: string,
  ): Promise<{ violations: { id: string; impact: string | null; nodes: { target: unknown; html: string }[] }[] }>
}

/** Faults of a part of the page that axe calls serious or critical. */
const faults = (page: Page, part: string) =>
  page.evaluate(async (part) => {
    const { violations } = await (window as unknown as { axe: Axe }).axe.run(part)
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
  }, part)
