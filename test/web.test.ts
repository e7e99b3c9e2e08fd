/** The main entry in a real browser: the same graph on onnxruntime-web gives the numbers of onnxruntime-node. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type * as Idlevit from '../src/index.js'
import { openNodeClassifier } from '../src/runtime/node.js'
import { writeSafetensors } from '../src/weights/safetensors.js'
import type { StateDict } from '../src/weights/state.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from './support/models.js'
import { serveLibrary } from './support/site.js'

/**
 * Largest difference of logits, of their spread. In integers the last digit of a float may decide between two steps, and
 * processors without VNNI saturate where others do not: the numbers are close there, and a token may trade places.
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
          const [library, runtime] = ['/idlevit.js', 'onnxruntime-web']
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
