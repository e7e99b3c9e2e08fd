/**
 * idlevit beside transformers.js in a real Chromium: the same DeiT-Tiny, exported, on WebAssembly. Milliseconds of the model
 * dense and idled, taken in turn on one page; bytes downloaded and time to the first answer, each in a fresh profile.
 *
 *   npx tsx bench/transformers.ts [--rounds 15] [--visits 5] [--threads 1]
 *
 * Weights are ../shared's where they are there, else random ones of the same shapes: no number here depends on them, but
 * for how far files compress. The machine should do nothing else. Needs chromium, as the tests do.
 */

import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import type * as Transformers from '@huggingface/transformers'
import { type ExportOptions, exportModel } from '../src/export/folder.js'
import { imagenetLabels } from '../src/labels/imagenet.js'
import { presets } from '../src/models/presets.js'
import { randomVit } from '../src/weights/init.js'
import { type LoadedModel, loadModel } from '../src/weights/load.js'
import { launchChromium } from '../test/support/chromium.js'
import { writePhoto } from '../test/support/photo.js'
import { sharedPath } from '../test/support/shared.js'
import { withPage } from '../test/support/web-page.js'
import { type Content, isolation, startSite } from '../test/support/web-site.js'
import { spread } from './statistics.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    visits: { type: 'string', default: '5' },
    threads: { type: 'string', default: '1' },
  },
})
const threads = Number(values.threads)

const released = sharedPath('data/weights/deit_tiny_patch16_224.safetensors')
const model = { ...(released ? await loadModel(released) : randomTiny()), labels: imagenetLabels }

/** How each folder is exported: a plain one as any tool writes it, and what idling makes of it. */
const folders: Readonly<Record<string, ExportOptions>> = {
  plain: { method: 'none', portable: true },
  dense: { method: 'none' },
  idle07: { keepRatio: 0.7 },
  idle05: { keepRatio: 0.5 },
}

/** Who answers with which folder. */
const contenders = [
  { by: 'transformers.js', folder: 'plain', precision: 'fp32' },
  { by: 'transformers.js', folder: 'idle07', precision: 'fp32' },
  { by: 'transformers.js', folder: 'idle05', precision: 'fp32' },
  { by: 'idlevit', folder: 'dense', precision: 'fp32' },
  { by: 'idlevit', folder: 'idle07', precision: 'fp32' },
  { by: 'idlevit', folder: 'idle05', precision: 'fp32' },
  { by: 'idlevit', folder: 'idle07', precision: 'int8' },
  { by: 'idlevit', folder: 'idle05', precision: 'int8' },
] as const
type Contender = (typeof contenders)[number]

const temporary = await mkdtemp(join(tmpdir(), 'idlevit-bench-'))
const site = await startSite(isolation)
const library = dirname(createRequire(import.meta.url).resolve('@huggingface/transformers'))
const itsRuntime = dirname(createRequire(join(library, 'index.js')).resolve('onnxruntime-web'))
for (const [name, options] of Object.entries(folders)) {
  const { files } = await exportModel(model, join(temporary, name), { ...options, precisions: ['fp32', 'int8'] })
  for (const { path } of files) site.files.set(`/${name}/${path}`, readFileSync(join(temporary, name, path)))
}
await writePhoto(join(temporary, 'photo.jpg'))
site.files.set('/photo.jpg', readFileSync(join(temporary, 'photo.jpg')))
site.files.set('/transformers.js', readFileSync(join(library, 'transformers.min.js')))
for (const ending of ['mjs', 'wasm']) {
  const name = `ort-wasm-simd-threaded.asyncify.${ending}`
  site.files.set(`/its-ort/${name}`, readFileSync(join(itsRuntime, name)))
}
await rm(temporary, { recursive: true })

function randomTiny(): LoadedModel {
  const { config } = presets['deit-tiny'] ?? missing()
  return { name: 'deit-tiny', source: 'random:0', config, state: randomVit(config, 0) }
}

function missing(): never {
  throw new Error('no preset deit-tiny')
}

interface Opened {
  run(): Promise<unknown>
  answer(): Promise<unknown>
}

/** Opens a contender on the page: a function that runs the model once, and one that names a picture. Runs in the page. */
async function open({ by, folder, precision }: Contender, threads: number): Promise<Opened> {
  const picture = new URL('/photo.jpg', location.href).href
  if (by === 'idlevit') {
    const source = `/${folder}/`
    const classifier = await idlevit.loadWebClassifier(source, { format: 'onnx', precision, threads, device: 'wasm' })
    const pixels = await classifier.read(picture)
    return { run: () => classifier.forward(pixels), answer: () => classifier.classify(picture, 1) }
  }
  const address = '/transformers.js'
  const { env, pipeline, RawImage } = (await import(address)) as typeof Transformers
  env.allowRemoteModels = false
  env.localModelPath = '/'
  env.allowLocalModels = true
  const wasm = env.backends.onnx.wasm as { wasmPaths?: string; numThreads?: number }
  Object.assign(wasm, { wasmPaths: new URL('/its-ort/', location.href).href, numThreads: threads })
  const classify = await pipeline('image-classification', folder, { dtype: 'fp32', device: 'wasm' })
  const inputs = await classify.processor?.(await RawImage.read(picture))
  return { run: () => classify.model(inputs), answer: () => classify(picture, { top_k: 1 }) }
}

/** What lies at a path of the site. */
const contentOf = (path: string): Content =>
  site.files.get(path) ?? readFileSync(join(library, '../../../onnxruntime-web/dist', path.replace('/ort/', '')))

const define = `globalThis.openContender = ${open.toString()}`
const browser = await launchChromium()
/** transformers.js asks for files that may be there, and the browser says which are not. */
const noisy = true
const gzipped = new Map<string, number>()
const visits: { first: number[]; raw: number; sent: number }[] = []
for (const contender of contenders) {
  const first: number[] = []
  site.requests.length = 0
  for (let i = 0; i < Number(values.visits); i++)
    first.push(
      await withPage(
        browser,
        site,
        async (page) => {
          await page.evaluate(define)
          return page.evaluate(
            async ({ contender, threads }) => {
              const start = performance.now()
              const { answer } = await openContender(contender, threads)
              await answer()
              return performance.now() - start
            },
            { contender, threads },
          )
        },
        noisy,
      ),
    )
  const paths = [...new Set(site.requests)].flatMap((line) => /^GET (\S+) 200$/.exec(line)?.[1] ?? [])
  // The page that the site has for everybody holds idlevit; transformers.js does without it.
  const its = paths.filter(
    (path) =>
      path !== '/' && path !== '/photo.jpg' && !(contender.by !== 'idlevit' && /^\/(idlevit|chunk|worker)/.test(path)),
  )
  const sizes = its.map((path) => {
    const bytes = Buffer.from(contentOf(path) as Uint8Array)
    if (!gzipped.has(path)) gzipped.set(path, gzipSync(bytes, { level: 6 }).length)
    return { raw: bytes.length, sent: gzipped.get(path) ?? 0 }
  })
  const sum = (key: 'raw' | 'sent') => sizes.reduce((total, size) => total + size[key], 0)
  visits.push({ first, raw: sum('raw'), sent: sum('sent') })
}

const rounds = await withPage(
  browser,
  site,
  async (page) => {
    await page.evaluate(define)
    return page.evaluate(
      async ({ contenders, threads, rounds }) => {
        const opened: Opened[] = []
        for (const contender of contenders) opened.push(await openContender(contender, threads))
        const times: number[][] = []
        for (let round = 0; round < rounds; round++) {
          const now: number[] = []
          for (const { run } of opened) {
            await run() // refills the caches
            const start = performance.now()
            await run()
            now.push(performance.now() - start)
          }
          times.push(now)
        }
        return times
      },
      { contenders, threads, rounds: Number(values.rounds) },
    )
  },
  noisy,
)
await browser.close()
site.close()

const { version } = createRequire(import.meta.url)(join(library, '../package.json')) as { version: string }
const what = released ? 'DeiT-Tiny' : 'DeiT-Tiny with random weights'
console.log(
  `${what}, one picture, ${threads} thread(s), ${rounds.length} rounds, ${values.visits} visits, transformers.js ${version}\n`,
)
console.log('| | numbers | tokens | ms | speedup | MB downloaded | compressed | first answer, s |')
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |')
const tokens: Readonly<Record<string, string>> = { plain: 'all', dense: 'all', idle07: 'k = 0.7', idle05: 'k = 0.5' }
for (const [i, { by, folder, precision }] of contenders.entries()) {
  const visit = visits[i] ?? missing()
  const times = rounds.map((round) => round[i] as number)
  const ratios = rounds.map(([plain], round) => (plain as number) / (times[round] as number))
  const cells = [by, precision, tokens[folder], spread(times, 0).text, `${spread(ratios, 2).text}×`]
  const bytes = [visit.raw, visit.sent].map((value) => (value / 1e6).toFixed(1))
  const seconds = visit.first.map((value) => value / 1000)
  console.log(`| ${[...cells, ...bytes, spread(seconds, 2).text].join(' | ')} |`)
}

declare global {
  /** {@link open}, in the page. */
  var openContender: typeof open
}
