/** `loadWebClassifier` in a real Chromium: what a page loads and sees is what Node loads and sees. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import sharp from 'sharp'
import { scene, sceneSeeds } from '../src/data/scenes/scene.js'
import { exportModel } from '../src/export/folder.js'
import { decodeImage } from '../src/images/decode.js'
import { imagenetPreprocess, preprocessImage } from '../src/images/preprocess.js'
import type { VitConfig } from '../src/models/config.js'
import type { Prediction } from '../src/runtime/classifier.js'
import { openNodeClassifier } from '../src/runtime/node.js'
import { loadClassifier } from '../src/runtime/pictures.js'
import { modelConfigJson } from '../src/weights/config-file.js'
import { loadModel } from '../src/weights/load.js'
import { writeSafetensors } from '../src/weights/safetensors.js'
import type { StateDict } from '../src/weights/state.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { temporaryFolder } from './support/folder.js'
import { maxAbsDiff, randomWeights, tiny } from './support/models.js'
import { withPage } from './support/web-page.js'
import { isolation, type Site, startSite } from './support/web-site.js'

const model = 'models/scenes-idle'
const exported = temporaryFolder()
/** Of logits. The same picture and file in Node and in a browser; kernels round differently. */
const tolerance = 1e-3

let browser: Browser
let isolated: Site
let plain: Site
/** By name. */
let pictures: Readonly<Record<string, Buffer>>
/** What Node says of them at keep ratio 0.7. */
const expected = new Map<string, { readonly logits: Float32Array; readonly labels: string[] }>()

const labelsOf = (predictions: readonly Prediction[] = []) => predictions.map(({ label }) => label)

function assertNear(
  found: readonly number[] | undefined,
  wanted: Float32Array | undefined,
  name: string,
  most = tolerance,
) {
  const difference = maxAbsDiff(Float32Array.from(found ?? []), wanted ?? new Float32Array(0))
  assert.ok(wanted && difference <= most, `${name}: logits differ by ${difference}`)
}

before(async () => {
  if (needsChromium.skip) return
  const { width, height, data } = scene(sceneSeeds.test, 3).image
  const photo = sharp(data, { raw: { width, height, channels: 3 } }).resize(211, 157, { fit: 'fill' })
  pictures = {
    'photo.png': await photo.clone().png().toBuffer(),
    'photo.jpg': await photo.clone().jpeg({ quality: 85 }).toBuffer(),
    // A profile that would change colours, an orientation that turns the picture, transparency with colours below.
    'profile.jpg': await photo.clone().withIccProfile('p3').jpeg({ quality: 95 }).toBuffer(),
    'turned.jpg': await photo.clone().withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer(),
    'clear.png': await photo.clone().ensureAlpha(0.4).png().toBuffer(),
  }
  const classifier = await loadClassifier(model, { keepRatio: 0.7, threads: 1 })
  for (const [name, bytes] of Object.entries(pictures)) {
    const { logits } = await classifier.forward(await classifier.read(bytes))
    expected.set(name, { logits, labels: labelsOf(await classifier.classify(bytes)) })
  }
  await classifier.close()
  isolated = await startSite(isolation)
  plain = await startSite()
  for (const { files } of [isolated, plain]) {
    for (const name of ['config.json', 'model.safetensors'])
      files.set(`/model/${name}`, await readFile(join(model, name)))
    for (const [name, bytes] of Object.entries(pictures)) files.set(`/${name}`, bytes)
  }
  browser = await launchChromium()
})

after(async () => {
  await browser?.close()
  isolated?.close()
  plain?.close()
})

describe('a classifier in Chromium', { ...needsChromium, timeout: 300_000 }, () => {
  const cases = [
    { page: 'isolated', worker: false, threads: 2 },
    { page: 'isolated', worker: true, threads: 2 },
    { page: 'plain', worker: false, threads: 1 },
    { page: 'plain', worker: true, threads: 1 },
  ] as const
  for (const { page, worker, threads } of cases)
    it(`gives the labels and logits of Node: ${page} page${worker ? ', in a worker' : ''}`, async () => {
      const found = await withPage(browser, page === 'plain' ? plain : isolated, (tab) =>
        tab.evaluate(
          async ({ names, worker }) => {
            const classifier = await idlevit.loadWebClassifier('./model', { keepRatio: 0.7, threads: 2, worker })
            const answers = []
            for (const name of names) {
              const { logits } = await classifier.forward(await classifier.read(`/${name}`))
              answers.push({ name, logits: [...logits], predictions: await classifier.classify(`/${name}`) })
            }
            await classifier.close()
            const late = await classifier.classify('/photo.png').catch((error) => `${error.name}: ${error.message}`)
            return { answers, late, backend: classifier.backend, file: classifier.file, bytes: classifier.memory(1) }
          },
          { names: [...expected.keys()], worker },
        ),
      )
      for (const { name, logits, predictions } of found.answers) {
        assertNear(logits, expected.get(name)?.logits, name)
        assert.deepEqual(labelsOf(predictions), expected.get(name)?.labels)
      }
      assert.equal(found.late, 'InputError: the classifier is closed')
      assert.equal(found.file, 'model.safetensors')
      assert.ok(found.bytes > 100_000)
      const why =
        threads === 2
          ? '2 threads, as asked for'
          : '1 thread: the page is not cross-origin isolated (headers COOP and COEP)'
      assert.deepEqual(found.backend, { device: 'wasm', threads, reason: `WASM: WebGPU finds no GPU; ${why}` })
    })

  for (const worker of [false, true])
    it(`takes a picture however a page has it${worker ? ', in a worker' : ''}`, async () => {
      const found = await withPage(browser, plain, (tab) =>
        tab.evaluate(async (worker) => {
          const classifier = await idlevit.loadWebClassifier('/model/', { keepRatio: 0.7, worker })
          const blob = await (await fetch('/photo.png')).blob()
          const image = Object.assign(new Image(), { src: '/photo.png' })
          const bitmap = await createImageBitmap(blob)
          const { width, height } = bitmap
          const canvas = Object.assign(document.createElement('canvas'), { width, height })
          const context = canvas.getContext('2d') as CanvasRenderingContext2D
          context.drawImage(bitmap, 0, 0)
          const offscreen = new OffscreenCanvas(width, height)
          offscreen.getContext('2d')?.drawImage(bitmap, 0, 0)
          const frame = new VideoFrame(bitmap, { timestamp: 0 })
          const pictures = {
            address: './photo.png',
            url: new URL('/photo.png', location.href),
            blob,
            file: new File([blob], 'photo.png'),
            bytes: new Uint8Array(await blob.arrayBuffer()),
            image,
            bitmap,
            canvas,
            offscreen,
            frame,
            data: context.getImageData(0, 0, width, height),
          }
          const answers: Record<string, number[]> = {}
          for (const round of ['', ' again']) // nothing is used up
            for (const [kind, picture] of Object.entries(pictures))
              answers[kind + round] = [...(await classifier.forward(await classifier.read(picture))).logits]
          const video = Object.assign(document.createElement('video'), {
            muted: true,
            srcObject: canvas.captureStream(),
          })
          // A stream has a frame when its canvas is drawn on.
          const drawing = setInterval(() => context.drawImage(bitmap, 0, 0), 50)
          const early = await classifier.read(video).catch((error) => `${error.name}: ${error.message}`)
          await video.play()
          const [best] = await classifier.classify(video, 1)
          clearInterval(drawing)
          await classifier.dispose()
          return { answers, early, video: best?.label }
        }, worker),
      )
      assert.equal(Object.keys(found.answers).length, 22)
      for (const [kind, logits] of Object.entries(found.answers))
        assertNear(logits, expected.get('photo.png')?.logits, kind)
      assert.equal(found.early, 'InputError: picture: the video has no frame yet (wait for its event loadeddata)')
      assert.equal(found.video, expected.get('photo.png')?.labels[0])
    })

  it('idles an elastic model at whatever ratio, traces it, and asks for no more than one answer', async () => {
    const node = await loadClassifier(model, { elastic: true, threads: 1 })
    const pixels = await node.read(pictures['photo.jpg'] as Buffer)
    const found = await withPage(browser, plain, (tab) =>
      tab.evaluate(async () => {
        const classifier = await idlevit.loadWebClassifier('/model/', { elastic: true, trace: true, worker: true })
        const pixels = await classifier.read('/photo.jpg')
        const runs = []
        for (const keepRatio of [1, 0.75, 0.5]) {
          const { logits, selections } = await classifier.forward(pixels, { keepRatio })
          const predictions = await classifier.classify('/photo.jpg', 5, { keep: { keepRatio } })
          runs.push({
            keepRatio,
            logits: [...logits],
            predictions,
            counts: selections?.[0]?.map(({ selected }) => selected.length),
          })
        }
        await classifier.close()
        return { runs, pixels: pixels.length }
      }),
    )
    assert.equal(found.pixels, pixels.length) // the page keeps what it hands over
    for (const { keepRatio, logits, predictions, counts } of found.runs) {
      const forward = await node.forward(pixels, { keepRatio })
      assertNear(logits, forward.logits, `${keepRatio}`)
      assert.equal(predictions[0]?.label, node.model.labels?.[forward.logits.indexOf(Math.max(...forward.logits))])
      assert.deepEqual(counts?.at(-1), Math.trunc(144 * keepRatio ** 3))
    }
    await node.close()
  })
})

describe('an exported folder in Chromium', { ...needsChromium, timeout: 300_000 }, () => {
  const precisions = ['fp32', 'int8', 'fp16'] as const
  before(async () => {
    if (needsChromium.skip) return
    const loaded = await loadModel(model)
    for (const [name, options] of Object.entries({ idle: { keepRatio: 0.7 }, elastic: { elastic: true } })) {
      const out = join(exported.path, name)
      const { files } = await exportModel(loaded, out, { ...options, precisions })
      for (const { path } of files) plain.files.set(`/${name}/${path}`, await readFile(join(out, path)))
    }
    const bare = [...plain.files].filter(([path]) => path.startsWith('/elastic/') && !path.endsWith('.safetensors'))
    for (const [path, content] of bare) plain.files.set(path.replace('/elastic', '/bare'), content)
  })

  it('is read from its weights, or from the ONNX file that is smaller and the same', async () => {
    const cases = [
      { source: '/idle/', options: {}, file: 'model.safetensors' },
      { source: '/idle/', options: { precision: 'int8' }, file: 'onnx/model_quantized.onnx' },
      { source: '/idle/', options: { precision: 'fp16' }, file: 'onnx/model_fp16.onnx' },
      { source: '/idle/', options: { precision: 'int8', keepRatio: 0.5 }, file: 'model.safetensors' },
      { source: '/idle/', options: { precision: 'int8', trace: true }, file: 'model.safetensors' },
      { source: '/idle/', options: { precision: 'int8', method: 'none' }, file: 'model.safetensors' },
      { source: '/idle/', options: { format: 'onnx' }, file: 'onnx/model.onnx' },
      { source: '/idle/onnx/model.onnx', options: {}, file: 'onnx/model.onnx' },
      { source: '/elastic/', options: { precision: 'int8', keepRatio: 0.7 }, file: 'onnx/model_quantized.onnx' },
      { source: '/bare/', options: { format: 'onnx', keepRatio: 0.7 }, file: 'onnx/model.onnx' },
    ] as const
    const found = await withPage(browser, plain, (tab) =>
      tab.evaluate(async (cases) => {
        const answers = []
        for (const { source, options } of cases) {
          const classifier = await idlevit.loadWebClassifier(source, { cache: false, ...options })
          const { logits } = await classifier.forward(await classifier.read('/photo.png'))
          await classifier.close()
          answers.push({ file: classifier.file, logits: [...logits] })
        }
        return answers
      }, cases),
    )
    for (const [i, { source, options, file }] of cases.entries()) {
      const name = `${source} ${JSON.stringify(options)}`
      assert.equal(found[i]?.file, file, name)
      const { format, ...settings } = { format: undefined, keepRatio: 0.7, ...options } as const
      const node = await loadClassifier(model, { ...settings, threads: 1 })
      const { logits } = await node.forward(await node.read(pictures['photo.png'] as Buffer))
      await node.close()
      const steps = 'precision' in options && options.precision === 'int8' ? 0.2 : tolerance // a rounding more or less
      assertNear(found[i]?.logits, logits, name, steps)
    }
  })

  it('of an LV-ViT answers as Node does, from its weights and from its ONNX files', async () => {
    const config: VitConfig = { ...tiny, stem: 4, qkvBias: 'none', branchScale: 0.5, auxHead: true }
    const state = new Map(
      [...randomWeights(config, 5)].map(([name, value]) => [name, { dtype: 'F32', ...value }]),
    ) as StateDict
    const out = join(exported.path, 'lvvit')
    const lvvit = { name: 'lvvit', source: 'random:5', config, state, labels: ['ape', 'bee', 'cat', 'dog', 'elk'] }
    const { files } = await exportModel(lvvit, out, { keepRatio: 0.7, precisions: ['fp32', 'int8'] })
    for (const { path } of files) plain.files.set(`/lvvit/${path}`, await readFile(join(out, path)))
    const cases = [{}, { format: 'onnx' }, { format: 'onnx', precision: 'int8' }] as const
    const found = await withPage(browser, plain, (tab) =>
      tab.evaluate(async (cases) => {
        const answers = []
        for (const options of cases) {
          const classifier = await idlevit.loadWebClassifier('/lvvit/', { cache: false, ...options })
          const { logits } = await classifier.forward(await classifier.read('/photo.png'))
          await classifier.close()
          answers.push([...logits])
        }
        return answers
      }, cases),
    )
    for (const [i, options] of cases.entries()) {
      const precision = 'precision' in options ? options.precision : 'fp32'
      const node = await loadClassifier(out, { precision, threads: 1 })
      const { logits } = await node.forward(await node.read(pictures['photo.png'] as Buffer))
      await node.close()
      assertNear(found[i], logits, JSON.stringify(options), precision === 'int8' ? 0.2 : tolerance)
    }
  })

  it('refuses what an ONNX file cannot do', async () => {
    const cases = [
      ['/idle/', { format: 'onnx', keepRatio: 0.5 }],
      ['/idle/', { format: 'onnx', trace: true }],
      ['/bare/', { format: 'onnx', method: 'none' }],
      ['/idle/', { format: 'onnx', imageSize: 64 }],
    ] as const
    const found = await withPage(browser, plain, (tab) =>
      tab.evaluate(
        (cases) =>
          Promise.all(
            cases.map(([source, options]) =>
              idlevit
                .loadWebClassifier(source, options)
                .then(String, (error: Error) => `${error.name}: ${error.message}`),
            ),
          ),
        cases,
      ),
    )
    const instead = 'with model.safetensors beside it, format safetensors does'
    assert.deepEqual(found, [
      `InputError: onnx/model.onnx: it keeps 144,144,100,100,70,70,49,49 tokens, and 144,144,72,72,36,36,18,18 were asked for; ${instead}`,
      `InputError: onnx/model.onnx: it has no trace; ${instead}`,
      `InputError: onnx/model.onnx: its method is idle, and none was asked for; ${instead}`,
      'InputError: imageSize: wanted 96, for which the ONNX file was exported, found 64',
    ])
  })

  it('is read from files that were chosen, with or without what lies beside them', async () => {
    const found = await withPage(browser, plain, (tab) =>
      tab.evaluate(async () => {
        const file = async (path: string) => new File([await (await fetch(path)).blob()], path.replace(/.*\//, ''))
        const weights = await file('/idle/model.safetensors')
        const config = await file('/idle/config.json')
        const onnx = await file('/idle/onnx/model.onnx')
        const chosen: [string, File | File[] | string][] = [
          ['all', [weights, config, onnx]],
          ['onnx', [config, onnx]],
          ['alone', weights],
          ['address', URL.createObjectURL(weights)],
        ]
        const answers = []
        for (const worker of [false, true])
          for (const [kind, files] of chosen) {
            const bytes: number[] = []
            const onProgress = (progress: { bytes: number }) => bytes.push(progress.bytes)
            const classifier = await idlevit.loadWebClassifier(files, {
              worker,
              onProgress,
              ...((kind === 'alone' || kind === 'address') && { keepRatio: 0.7, heads: 3, preprocess: { resize: 96 } }),
            })
            const pixels = await classifier.read('/photo.png')
            const { logits } = await classifier.forward(pixels)
            await classifier.close()
            answers.push({ kind, logits: [...logits], file: classifier.file, bytes })
          }
        return answers
      }),
    )
    assert.equal(found.length, 8)
    for (const { kind, logits, file, bytes } of found) {
      assertNear(logits, expected.get('photo.png')?.logits, kind)
      if (kind === 'onnx') assert.equal(file, 'onnx/model.onnx')
      const content = plain.files.get(
        kind === 'onnx' ? '/idle/onnx/model.onnx' : '/idle/model.safetensors',
      ) as Uint8Array
      assert.ok(bytes.includes(content.byteLength))
    }
  })
})

describe('WebGPU in Chromium', { ...needsChromium, timeout: 300_000 }, () => {
  /** Shallow: the software driver compiles every operator's shader anew. */
  const config = { ...tiny, depth: 2 }
  const state = randomWeights(config, 4) as StateDict
  let logits: Float32Array
  let gpu: Browser

  before(async () => {
    if (needsChromium.skip) return
    gpu = await launchChromium({ webgpu: true })
    const preprocess = imagenetPreprocess(config.imageSize)
    isolated.files.set('/tiny/config.json', JSON.stringify(modelConfigJson({ config, preprocess })))
    isolated.files.set('/tiny/model.safetensors', Buffer.concat(writeSafetensors(state)))
    const node = await openNodeClassifier({ name: 'tiny', config, state }, { keepRatio: 0.7, threads: 1 })
    const picture = await decodeImage(pictures['photo.png'] as Buffer)
    ;({ logits } = await node.forward(preprocessImage(picture, preprocess)))
    await node.close()
  })

  after(() => gpu?.close())

  for (const worker of [false, true])
    it(`is taken when it is asked for, and gives the logits of Node${worker ? ', in a worker' : ''}`, async (t) => {
      const found = await withPage(gpu, isolated, (tab) =>
        tab.evaluate(async (worker) => {
          const adapter = await (navigator as unknown as { gpu?: GPU }).gpu?.requestAdapter()
          if (!adapter) return undefined
          const classifier = await idlevit.loadWebClassifier('/tiny/', { device: 'webgpu', keepRatio: 0.7, worker })
          const { logits } = await classifier.forward(await classifier.read('/photo.png'))
          await classifier.close()
          return { backend: classifier.backend, logits: [...logits] }
        }, worker),
      )
      if (!found) return t.skip('the software driver for WebGPU does not start here')
      assert.equal(found.backend.device, 'webgpu')
      assert.match(found.backend.reason, /^WebGPU, as asked for; /)
      assertNear(found.logits, logits, 'photo.png')
    })

  it('is left alone where it is only software, unless it is asked for', async (t) => {
    const found = await withPage(gpu, isolated, (tab) =>
      tab.evaluate(async () => {
        if (!(await (navigator as unknown as { gpu?: GPU }).gpu?.requestAdapter())) return undefined
        const classifier = await idlevit.loadWebClassifier('/tiny/')
        await classifier.close()
        return classifier.backend
      }),
    )
    if (!found) return t.skip('the software driver for WebGPU does not start here')
    assert.equal(found.device, 'wasm')
    assert.match(found.reason, /^WASM: the only GPU is a software one, which is slower; /)
  })
})
