/**
 * What token idling buys in a browser: classifiers on onnxruntime-web (WASM) in a real Chromium, one picture at a time,
 * beside the plain dense model, in turn.
 *
 *   npx tsx bench/web.ts [--model deit-small] [--keep-ratio 1,0.7,0.5] [--rounds 9] [--threads 1]
 *
 * Weights are random: the time does not depend on them. The machine should do nothing else. Needs chromium, as the tests do.
 */

import { parseArgs } from 'node:util'
import type * as Idlevit from '../src/index.js'
import { presets } from '../src/models/presets.js'
import { randomVit } from '../src/weights/init.js'
import { writeSafetensors } from '../src/weights/safetensors.js'
import { launchChromium } from '../test/support/chromium.js'
import { serveLibrary } from '../test/support/site.js'
import { spread } from './statistics.js'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'deit-small' },
    'keep-ratio': { type: 'string', default: '1,0.7,0.5' },
    rounds: { type: 'string', default: '9' },
    threads: { type: 'string', default: '1' },
  },
})
const { config } = presets[values.model] ?? unknownModel()
const contenders = (['fp32', 'int8'] as const).flatMap((precision) =>
  values['keep-ratio'].split(',').map((keepRatio) => ({ precision, keepRatio: Number(keepRatio) })),
)
const site = await serveLibrary(Buffer.concat(writeSafetensors(randomVit(config, 0))))
const browser = await launchChromium()
const tab = await browser.newPage()
await tab.goto(site.url)
const rounds = await tab.evaluate(
  async ({ config, contenders, rounds, threads }) => {
    const library = '/idlevit.js'
    const idlevit = (await import(library)) as typeof Idlevit
    const { state } = idlevit.parseSafetensors(new Uint8Array(await (await fetch('/model.safetensors')).arrayBuffer()))
    const dense = idlevit.buildGraph(config, state, { method: 'none', features: true })
    dense.outputs.delete('features') // every row of the last block, and only logits read out
    const plain = await idlevit.createSession(dense, { contrib: false, untuned: true, threads })
    const shape = [1, 3, config.imageSize, config.imageSize]
    const pixels = new Float32Array(3 * config.imageSize ** 2)
    const runs: (() => Promise<unknown>)[] = [() => plain.run({ pixel_values: { data: pixels, shape } })]
    for (const { precision, keepRatio } of contenders) {
      const method = keepRatio === 1 ? 'none' : 'idle'
      const classifier = await idlevit.openWebClassifier(
        { name: '', config, state },
        { precision, keepRatio, method, threads },
      )
      runs.push(() => classifier.forward(pixels))
    }
    const times: number[][] = []
    for (let round = 0; round < rounds; round++) {
      const now: number[] = []
      for (const run of runs) {
        await run() // refills the caches
        const start = performance.now()
        await run()
        now.push(performance.now() - start)
      }
      times.push(now)
    }
    return times
  },
  { config, contenders, rounds: Number(values.rounds), threads: Number(values.threads) },
)
await browser.close()
site.close()

function unknownModel(): never {
  throw new Error(`--model: wanted one of ${Object.keys(presets).join(', ')}, found ${values.model}`)
}

const rows = [
  { name: 'plain', precision: 'fp32', keepRatio: 1 },
  ...contenders.map((one) => ({ name: 'idlevit', ...one })),
]
console.log(`${values.model}, one picture, ${values.threads} thread(s), ${rounds.length} rounds\n`)
console.log('| model | precision | k | ms | speedup |\n| --- | --- | --- | --- | --- |')
for (const [i, { name, precision, keepRatio }] of rows.entries()) {
  const times = rounds.map((round) => round[i] as number)
  const ratios = rounds.map(([plain], round) => (plain as number) / (times[round] as number))
  console.log(`| ${name} | ${precision} | ${keepRatio} | ${spread(times, 0).text} | ${spread(ratios, 2).text}× |`)
}
