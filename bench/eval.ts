/**
 * Throughput of an evaluation from picture files, decoding included, beside the bare session on preprocessed tensors.
 * Both in one process, in turn.
 *
 *   npx tsx bench/eval.ts --model deit_tiny.safetensors --data val.txt [--keep-ratio 1] [--limit 400] [--rounds 5]
 */

import { parseArgs } from 'node:util'
import { openDataset } from '../src/data/dataset.js'
import { loadBatches } from '../src/data/loader.js'
import { evaluateClassifier } from '../src/evaluation/evaluate.js'
import { imagenetPreprocess } from '../src/images/preprocess.js'
import { openNodeClassifier, throughputLanes } from '../src/runtime/node.js'
import { loadModel } from '../src/weights/load.js'
import { spread } from './statistics.js'

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
