/** The main entry in a real browser: the same graph on onnxruntime-web gives the numbers of onnxruntime-node. */

import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type * as Idlevit from '../src/index.js'
import { openNodeClassifier } from '../src/runtime/node.js'
import { writeSafetensors } from '../src/weights/safetensors.js'
import type { StateDict } from '../src/weights/state.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from './support/models.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = `<!doctype html><script type="importmap">{"imports":{"onnxruntime-web":"/ort/ort.bundle.min.mjs"}}</script>`

/** A site of three things: the bundled library, onnxruntime-web's files, the weights. */
async function serve(weights: Uint8Array): Promise<{ url: string; close(): void }> {
  const bundle = await build({
    entryPoints: [join(root, 'src/index.ts')],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    external: ['onnxruntime-web'],
    write: false,
  })
  const library = bundle.outputFiles[0]?.contents ?? new Uint8Array()
  const server = createServer(({ url = '/' }, response) => {
    // Cross-origin isolation, without which a browser has no threads.
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
    const type = /\.m?js$/.test(url) ? 'text/javascript' : url.endsWith('.wasm') ? 'application/wasm' : 'text/html'
    response.setHeader('Content-Type', type)
    if (url === '/') response.end(page)
    else if (url === '/idlevit.js') response.end(library)
    else if (url === '/tiny.safetensors') response.end(weights)
    else if (url.startsWith('/ort/'))
      createReadStream(join(root, 'node_modules/onnxruntime-web/dist', basename(url))).pipe(response)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() }
}

it('a classifier in Chromium gives the logits and selections of Node', needsChromium, async () => {
  const state = randomWeights(tiny, 5) as StateDict
  const pixels = randomPixels(tiny, 2, 6).data as Float32Array
  const keepTokens = [16, 10, 6, 4]
  const node = await openNodeClassifier({ name: 'tiny', config: tiny, state }, { keepTokens, trace: true, threads: 1 })
  const expected = await node.forward(pixels)
  await node.close()

  const site = await serve(Buffer.concat(writeSafetensors(state)))
  const browser = await launchChromium()
  try {
    const tab = await browser.newPage()
    await tab.goto(site.url)
    const found = await tab.evaluate(
      async ({ config, values, keep }) => {
        const library = '/idlevit.js'
        const { openWebClassifier, parseSafetensors } = (await import(library)) as typeof Idlevit
        const bytes = new Uint8Array(await (await fetch('/tiny.safetensors')).arrayBuffer())
        const model = { name: 'tiny', config, state: parseSafetensors(bytes).state }
        const classifier = await openWebClassifier(model, { keepTokens: keep, trace: true })
        const { logits, selections } = await classifier.forward(Float32Array.from(values))
        return { logits: [...logits], selections: selections?.map((all) => all.map(({ selected }) => [...selected])) }
      },
      { config: tiny, values: [...pixels], keep: keepTokens },
    )
    assert.ok(maxAbsDiff(Float32Array.from(found.logits), expected.logits) < 1e-5)
    assert.deepEqual(
      found.selections,
      expected.selections?.map((all) => all.map(({ selected }) => [...selected])),
    )
  } finally {
    await browser.close()
    site.close()
  }
})
