/**
 * Throughput of an evaluation from picture files, decoding included, beside the bare session on preprocessed tensors.
 * Both in one process, in turn.
 *
 *   npm run build && npx tsx bench/eval.ts --model deit_tiny.safetensors --data val.txt [--keep-ratio 1] [--limit 400] [--rounds 5]
 */

import { parseArgs } from 'node:util'
import { spread } from './statistics.js'

// The built package: what is measured is what is shipped, and its workers start without a compiler.
const built = new URL('../dist/node.js', import.meta.url).href
const {
  evaluateClassifier,
  imagenetPreprocess,
  loadBatches,
  loadModel,
  openDataset,
  openNodeClassifier,
  throughputLanes,
} = (await import(built)) as typeof import('../src/node.js')

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    init: { type: 'string' },
    data: { type: 'string' },
    batch: { type: 'string', default: '16' },
    workers: { type: 'string' },
    'keep-ratio': { type: 'string', default: '1' },
    limit: { type: 'string', default: '400' },
    rounds: { type: 'string', default: '5' },
  },
})
const { model: spec, data, init, workers } = values
if (!spec || !data) throw new Error('wanted --model and --data')

const model = await loadModel(spec, init === undefined ? {} : { init })
const dataset = await openDataset(data, { classes: model.config.classes })
const plan = { keepRatio: Number(values['keep-ratio']) }
const session = await openNodeClassifier(model, plan)
const classifier = await openNodeClassifier(model, { ...plan, lanes: throughputLanes(model, {}) })
const options = { preprocess: imagenetPreprocess(model.config.imageSize), batch: Number(values.batch) }
const limit = Math.min(Number(values.limit), dataset.samples.length)

const ready: Float32Array[] = []
const order = Array.from({ length: limit }, (_, i) => i)
for await (const { pixels } of loadBatches(dataset, { ...options, order })) ready.push(pixels.slice())

const bare: number[] = []
const whole: number[] = []
for (let round = 0; round <= Number(values.rounds); round++) {
  const start = performance.now()
  for (const pixels of ready) await session.forward(pixels)
  const bareRate = limit / ((performance.now() - start) / 1000)
  const limits = { ...options, limit, ...(workers !== undefined && { workers: Number(workers) }) }
  const { imagesPerSecond } = await evaluateClassifier(classifier, dataset, limits)
  if (round === 0) continue // warm-up
  bare.push(bareRate)
  whole.push(imagesPerSecond)
}
console.log(`bare session on tensors      ${spread(bare, 1).text} images/s`)
console.log(`evaluation from files        ${spread(whole, 1).text} images/s`)
const ratios = spread(
  whole.map((rate, i) => rate / (bare[i] ?? Number.NaN)),
  3,
)
console.log(`ratio                        ${ratios.text} (wanted: at least 0.9)`)
await Promise.all([session.close(), classifier.close()])
await dataset.close()
