/** The main entry in a real browser: the same graph on onnxruntime-web gives the numbers of onnxruntime-node. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { scene, sceneSeeds } from '../src/data/scenes/scene.js'
import { preprocessImage } from '../src/images/preprocess.js'
import type * as Idlevit from '../src/index.js'
import { openNodeClassifier } from '../src/runtime/node.js'
import { huggingFaceVit } from '../src/weights/layouts.js'
import { loadModel } from '../src/weights/load.js'
import { fromTimmNames } from '../src/weights/names.js'
import { writeSafetensors } from '../src/weights/safetensors.js'
import type { StateDict } from '../src/weights/state.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { families } from './support/families.js'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from './support/models.js'
import { serveLibrary } from './support/site.js'

/**
 * Largest difference of logits, of their spread. In integers the last digit of a float may decide between two steps: the
 * numbers are close there, and a token may trade places.
 */
const tolerance = { fp32: 2e-6, int8: 0.05 } as const

it('a classifier in Chromium gives the logits and selections of Node', needsChromium, async () => {
  const state = randomWeights(tiny, 5) as StateDict
  const pixels = randomPixels(tiny, 2, 6).data as Float32Array
  const keepTokens = [16, 10, 6, 4]
  const site = await serveLibrary(Buffer.concat(writeSafetensors(state)))
  const browser = await launchChromium()
  try {
    const tab = await browser.newPage()
    await tab.goto(site.url)
    for (const precision of ['fp32', 'int8'] as const) {
      const options = { keepTokens, precision, trace: true }
      const node = await openNodeClassifier({ name: 'tiny', config: tiny, state }, { ...options, threads: 1 })
      const expected = await node.forward(pixels)
      await node.close()
      const found = await tab.evaluate(
        async ({ config, values, options }) => {
          const [library, runtime] = ['/idlevit.js', 'onnxruntime-web/wasm']
          const { openWebClassifier, parseSafetensors } = (await import(library)) as typeof Idlevit
          const bytes = new Uint8Array(await (await fetch('/model.safetensors')).arrayBuffer())
          const model = { name: 'tiny', config, state: parseSafetensors(bytes).state }
          const classifier = await openWebClassifier(model, { ...options, threads: 2 })
          const { logits, selections } = await classifier.forward(Float32Array.from(values))
          return {
            logits: [...logits],
            threads: (await import(runtime)).env.wasm.numThreads, // 1 where the page may have no threads
            selections: selections?.map((all) => all.map(({ selected }) => [...selected])),
          }
        },
        { config: tiny, values: [...pixels], options },
      )
      assert.equal(found.threads, 2)
      const spread = Math.max(...expected.logits) - Math.min(...expected.logits)
      const difference = maxAbsDiff(Float32Array.from(found.logits), expected.logits)
      assert.ok(difference <= tolerance[precision] * spread, `${precision}: ${difference} of ${spread}`)
      const selections = expected.selections?.map((all) => all.map(({ selected }) => [...selected]))
      if (precision === 'fp32') assert.deepEqual(found.selections, selections)
    }
  } finally {
    await browser.close()
    site.close()
  }
})

it('every family in Chromium gives the answers of Node, idled', needsChromium, async () => {
  // All weights in one file, each family's behind its number.
  const models = Object.entries({ ...families, rectangular: { ...tiny, imageHeight: 48 } })
  const states = models.map(([, config]) => randomWeights(config, 5, 0.1) as StateDict)
  const together: StateDict = new Map(
    states.flatMap((state, i) => [...state].map(([name, tensor]) => [`${i}/${name}`, tensor] as const)),
  )
  const site = await serveLibrary(Buffer.concat(writeSafetensors(together)))
  const browser = await launchChromium()
  try {
    const tab = await browser.newPage()
    await tab.goto(site.url)
    for (const [i, [name, config]] of models.entries()) {
      const pixels = randomPixels(config, 1, 6).data as Float32Array
      const model = { name, config, state: states[i] as StateDict }
      const node = await openNodeClassifier(model, { keepRatio: 0.6, threads: 1 })
      const { logits, pooled } = await node.forward(pixels)
      await node.close()
      const expected = config.classes > 0 ? logits : (pooled ?? assert.fail('no answer'))
      const found = await tab.evaluate(
        async ({ config, values, prefix }) => {
          const library = '/idlevit.js'
          const { openWebClassifier, parseSafetensors } = (await import(library)) as typeof Idlevit
          const bytes = new Uint8Array(await (await fetch('/model.safetensors')).arrayBuffer())
          const own = [...parseSafetensors(bytes).state].filter(([key]) => key.startsWith(prefix))
          const state = new Map(own.map(([key, tensor]) => [key.slice(prefix.length), tensor]))
          const classifier = await openWebClassifier({ name: 'tiny', config, state }, { keepRatio: 0.6 })
          const { logits, pooled } = await classifier.forward(Float32Array.from(values))
          await classifier.close()
          return [...(config.classes > 0 ? logits : (pooled ?? []))]
        },
        { config, values: [...pixels], prefix: `${i}/` },
      )
      const spread = Math.max(...expected) - Math.min(...expected)
      const difference = maxAbsDiff(Float32Array.from(found), expected)
      assert.ok(difference <= 1e-5 * spread, `${name}: ${difference} of ${spread}`)
    }
  } finally {
    await browser.close()
    site.close()
  }
})

it('every method in Chromium gives the logits of Node', needsChromium, async () => {
  const state = randomWeights(tiny, 5) as StateDict
  const pixels = randomPixels(tiny, 3, 6).data as Float32Array
  const requests = [
    { method: 'evit', keepRatio: 0.6 },
    { method: 'evovit', keepRatio: 0.5 },
    { method: 'ats', samples: 10 },
    { method: 'tome', r: 3 },
  ] as const
  const site = await serveLibrary(Buffer.concat(writeSafetensors(state)))
  const browser = await launchChromium()
  try {
    const tab = await browser.newPage()
    await tab.goto(site.url)
    for (const request of requests) {
      const node = await openNodeClassifier({ name: 'tiny', config: tiny, state }, { ...request, threads: 1 })
      const expected = await node.forward(pixels)
      await node.close()
      const found = await tab.evaluate(
        async ({ config, values, request }) => {
          const library = '/idlevit.js'
          const { openWebClassifier, parseSafetensors } = (await import(library)) as typeof Idlevit
          const bytes = new Uint8Array(await (await fetch('/model.safetensors')).arrayBuffer())
          const model = { name: 'tiny', config, state: parseSafetensors(bytes).state }
          const classifier = await openWebClassifier(model, request)
          const { logits, sizes } = await classifier.forward(Float32Array.from(values))
          return { logits: [...logits], sizes }
        },
        { config: tiny, values: [...pixels], request },
      )
      const spread = Math.max(...expected.logits) - Math.min(...expected.logits)
      const difference = maxAbsDiff(Float32Array.from(found.logits), expected.logits)
      assert.ok(difference <= 1e-5 * spread, `${request.method}: ${difference} of ${spread}`)
      assert.deepEqual(found.sizes, expected.sizes)
    }
  } finally {
    await browser.close()
    site.close()
  }
})

it('a Hugging Face folder that a page fetches is the model that Node loads', needsChromium, async () => {
  const state = fromTimmNames(randomWeights(tiny, 7) as StateDict, huggingFaceVit)
  const weights = Buffer.concat(writeSafetensors(state))
  const config = JSON.stringify({
    model_type: 'vit',
    num_attention_heads: tiny.heads,
    layer_norm_eps: 1e-12,
    id2label: { 0: 'cat', 1: 'dog', 2: 'fox', 3: 'hen', 4: 'owl' },
  })
  const preprocessor = JSON.stringify({
    image_processor_type: 'ViTImageProcessor',
    size: { height: 40, width: 40 },
    do_center_crop: true,
    crop_size: 32,
    resample: 2,
    image_mean: [0.5, 0.4, 0.3],
    image_std: [0.5, 0.25, 0.2],
  })
  const files = { 'config.json': config, 'preprocessor_config.json': preprocessor }
  const { width, height, data } = scene(sceneSeeds.test, 0).image

  const folder = await mkdtemp(join(tmpdir(), 'idlevit-web-'))
  await writeFile(join(folder, 'model.safetensors'), weights)
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const model = await loadModel(folder)
  await rm(folder, { recursive: true })
  const node = await openNodeClassifier(model, { keepRatio: 0.5, threads: 1 })
  const pixels = preprocessImage({ width, height, data }, model.preprocess ?? assert.fail('no preprocessing'))
  const { logits } = await node.forward(pixels)
  const [expected] = await node.predict(pixels)
  await node.close()

  const site = await serveLibrary(weights, files)
  const browser = await launchChromium()
  try {
    const tab = await browser.newPage()
    await tab.goto(site.url)
    const found = await tab.evaluate(
      async ({ width, height, values }) => {
        const library = '/idlevit.js'
        const { buildModel, openWebClassifier, parseSafetensors, preprocessImage } = (await import(
          library
        )) as typeof Idlevit
        const { state } = parseSafetensors(new Uint8Array(await (await fetch('/model.safetensors')).arrayBuffer()))
        const model = buildModel(state, {
          config: await (await fetch('/config.json')).json(),
          preprocessor: await (await fetch('/preprocessor_config.json')).json(),
        })
        const classifier = await openWebClassifier(model, { keepRatio: 0.5 })
        const pixels = preprocessImage({ width, height, data: Uint8Array.from(values) }, model.preprocess)
        const [predictions] = await classifier.predict(pixels)
        return { predictions, pixels: [...pixels], logits: [...(await classifier.forward(pixels)).logits] }
      },
      { width, height, values: [...data] },
    )
    assert.deepEqual(found.pixels, [...pixels])
    const spread = Math.max(...logits) - Math.min(...logits)
    assert.ok(maxAbsDiff(Float32Array.from(found.logits), logits) <= tolerance.fp32 * spread)
    assert.deepEqual(
      found.predictions?.map(({ label }) => label),
      expected?.map(({ label }) => label),
    )
  } finally {
    await browser.close()
    site.close()
  }
})
