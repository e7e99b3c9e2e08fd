/** The playground with other models than its own: from the hub, from files, in every method, on WebGPU, again and again. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from 'playwright-core'
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
import { goesOn, type Playground, playground, says, text } from './support/playground.js'
import { wasmBytes, watchWasm } from './support/wasm-memory.js'
import { shareRepository } from './support/web-hub.js'
import { shared, startSite } from './support/web-site.js'

const start = playground()
const folder = temporaryFolder()
let shown: Playground

/** Writes a folder of random weights and returns its two files. */
function write(config: VitConfig): string[] {
  const preprocess = imagenetPreprocess(config.imageSize)
  const weights = Buffer.concat(writeSafetensors(randomWeights(config, 5) as StateDict))
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
      await choose(page, write(config), new RegExp(`of ${all} in all blocks`))
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
      await page.setInputFiles('#model-files', write(config))
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
    await says(page, '#panel-methods', /Grouped idling/, 60_000)
    const cards = await page.$$eval('#panel-methods .card', (all) =>
      all.map((card) => ({
        title: card.querySelector('h3')?.textContent ?? '',
        lines: [...card.querySelectorAll('p')].map(({ textContent }) => textContent ?? ''),
        marks: card.querySelectorAll('.marks *').length,
      })),
    )
    const missing = await page.$$eval('#panel-methods .missing li', (all) => all.map((line) => line.textContent ?? ''))
    assert.equal(new Set(cards.map(({ title }) => title)).size + missing.length, methodNames.length)
    for (const method of methodNames) {
      const asked = method === 'none' ? { method } : { method, keepRatio: 0.5 }
      let node: Awaited<ReturnType<typeof openNodeClassifier>>
      try {
        node = await openNodeClassifier(model, { ...asked, trace: true, threads: 1 })
      } catch (error) {
        const reason = (error as Error).message.replace(`${method}: `, '')
        assert.ok(missing.shift()?.endsWith(` ${reason}.`), method)
        continue
      }
      const card = cards.shift() ?? assert.fail(`no card for ${method}`)
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

  it('measures WebGPU, too, where there is a GPU', async (t) => {
    const gpu = await launchChromium({ webgpu: true })
    try {
      const context = await gpu.newContext({ reducedMotion: 'reduce' })
      const { page, complaints } = await shown.open(context)
      const half = await page.evaluate(async () => {
        const adapter = await (navigator as unknown as { gpu?: GPU }).gpu?.requestAdapter()
        return adapter?.features.has('shader-f16')
      })
      if (half === undefined) return t.skip('the software driver for WebGPU does not start here')
      // Shallow: the software driver compiles every operator's shader anew.
      await choose(page, write({ ...tiny, depth: 2 }), /of 32 in all blocks/)
      await page.click('#tab-bench')
      await page.click('#panel-bench button.primary')
      await says(page, '#panel-bench .status', /Done/, 120_000)
      const rows = await page.$$eval('#bench-table tbody tr', (rows) =>
        rows.map((row) => [...row.children].map((cell) => cell.textContent ?? '')),
      )
      assert.deepEqual(
        rows.map(([where, numbers]) => `${where} ${numbers}`),
        ['WASM', 'WebGPU'].flatMap((where) =>
          ['fp32', 'fp32', 'fp16', 'fp16', 'int8', 'int8'].map((n) => `${where} ${n}`),
        ),
      )
      t.diagnostic(rows.map((row) => row.join(' ')).join('; '))
      for (const [where, numbers, , time, ratio, macs] of rows) {
        if (where === 'WebGPU' && numbers === 'fp16' && !half) assert.equal(time, 'no float16 on this GPU')
        else assert.match(`${time}, ${ratio}, ${macs}`, /^[\d.]+ ms, [\d.]+×, \d+ k$/, `${where} ${numbers}`)
      }
      assert.deepEqual(complaints, [])
    } finally {
      await gpu.close()
    }
  })

  it('takes no more memory after 200 answers and 20 models', async (t) => {
    const context = await shown.newContext()
    await watchWorker(context)
    const { page, complaints } = await shown.open(context)
    const memory = await watchMemory(page)
    const files = write({ ...tiny, width: 128, hidden: 512 })
    const dragged = (count: number) =>
      page.evaluate(async (count) => {
        const slider = document.querySelector('#keep') as HTMLInputElement
        for (let i = 0; i < count; i++) {
          const keep = (30 + ((i * 7) % 71)) / 100
          slider.value = String(keep)
          slider.dispatchEvent(new Event('input', { bubbles: true }))
          while (document.querySelector('#k')?.textContent !== keep.toFixed(2)) await new Promise(requestAnimationFrame)
        }
      }, count)
    const switched = async (count: number) => {
      for (let i = 0; i < count; i++) {
        if (i % 2 === 0) await choose(page, files, /of 64 in all blocks/)
        else {
          await page.click('#open-models')
          await page.click('#use-demo')
          await says(page, '#computed-of', /of 1152 in all blocks/)
        }
      }
    }
    const told: Record<string, Memory> = {}
    await page.click('#tab-bench') // which works only when it is told to
    await dragged(20)
    told['20 answers'] = await memory()
    await dragged(200)
    told['220 answers'] = await memory()
    await switched(4)
    told['4 models'] = await memory()
    await switched(20)
    told['24 models'] = await memory()
    for (const [when, found] of Object.entries(told)) t.diagnostic(`after ${when}: ${megabytes(found)}`)
    for (const [before, after] of [
      ['20 answers', '220 answers'],
      ['4 models', '24 models'],
    ] as const) {
      const [first, last] = [told[before], told[after]] as [Memory, Memory]
      assert.ok(first.wasm > 10_000_000)
      assert.equal(last.wasm, first.wasm, after)
      for (const heap of ['page', 'worker', 'buffers'] as const) assert.ok(last[heap] - first[heap] < SLACK, after)
    }
    assert.deepEqual(complaints, [])
    await context.close()
  })
})

interface Memory {
  readonly page: number
  readonly worker: number
  /** Array buffers of the worker, and what WebAssembly takes there. */
  readonly buffers: number
  readonly wasm: number
}

/** What a heap may grow by, in bytes: less than one model's weights, whatever it is that grows. */
const SLACK = 1_000_000

const megabytes = (memory: Memory): string =>
  Object.entries(memory)
    .map(([name, bytes]) => `${name} ${(bytes / 1e6).toFixed(2)} MB`)
    .join(', ')

/** Has the page's worker keep an eye on what it takes. */
const watchWorker = (context: BrowserContext) =>
  context.route('**/assets/thread-*.js', async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, body: watchWasm + (await response.text()) })
  })

/** Asks the page and its worker what they hold after a collection. */
async function watchMemory(page: Page): Promise<() => Promise<Memory>> {
  const session = await page.context().newCDPSession(page)
  let worker = ''
  let count = 0
  const waiting = new Map<number, (result: unknown) => void>()
  session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
    if (targetInfo.type === 'worker') worker = sessionId
  })
  session.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result } = JSON.parse(message)
    waiting.get(id)?.(result)
  })
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false })
  const inWorker = <Result>(method: string) =>
    new Promise<Result>((resolve) => {
      waiting.set(++count, resolve as (result: unknown) => void)
      const message = JSON.stringify({ id: count, method })
      void session.send('Target.sendMessageToTarget', { sessionId: worker, message })
    })
  return async () => {
    for (let i = 0; i < 3; i++) {
      await session.send('HeapProfiler.collectGarbage')
      await inWorker('HeapProfiler.collectGarbage')
    }
    const own = await session.send('Runtime.getHeapUsage')
    const its = await inWorker<typeof own>('Runtime.getHeapUsage')
    return {
      page: own.usedSize,
      worker: its.usedSize,
      buffers: its.backingStorageSize,
      wasm: (await page.workers()[0]?.evaluate(wasmBytes)) ?? 0,
    }
  }
}
