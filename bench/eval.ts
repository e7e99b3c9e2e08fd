/**
 * Throughput of an evaluation from picture files, decoding included, beside sessions on preprocessed tensors: the bare
 * one, which takes a batch as it comes, and one that takes it in pieces that the caches hold, as evaluation does. All in
 * one process, in turn.
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
  startDecoders,
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
const bare = await openNodeClassifier(model, { ...plan, microBatch: Infinity })
const pieces = await openNodeClassifier(model, plan)
const classifier = await openNodeClassifier(model, { ...plan, lanes: throughputLanes(model, {}) })
const decoders = startDecoders(workers === undefined ? undefined : Number(workers)) // running, as in `idlevit eval`
const options = {
  preprocess: model.preprocess ?? imagenetPreprocess(model.config.imageSize),
  batch: Number(values.batch),
}
const limit = Math.min(Number(values.limit), dataset.samples.length)

const ready: Float32Array[] = []
const order = Array.from({ length: limit }, (_, i) => i)
for await (const { pixels } of loadBatches(dataset, { ...options, order })) ready.push(pixels.slice())

const onTensors = (session: typeof bare) => async (): Promise<number> => {
  const start = performance.now()
  for (const pixels of ready) await session.forward(pixels)
  return limit / ((performance.now() - start) / 1000)
}
const fromFiles = async (): Promise<number> => {
  return (await evaluateClassifier(classifier, dataset, { ...options, limit, decoders })).imagesPerSecond
}

const contestants = [
  { name: 'bare session on tensors', run: onTensors(bare), rates: [] as number[] },
  { name: 'session in pieces', run: onTensors(pieces), rates: [] as number[] },
  { name: 'evaluation from files', run: fromFiles, rates: [] as number[] },
]
for (let round = 0; round <= Number(values.rounds); round++) {
  for (const { run, rates } of contestants) {
    const rate = await run()
    if (round > 0) rates.push(rate) // the first fills the caches
  }
}
for (const { name, rates } of contestants) console.log(`${name.padEnd(28)} ${spread(rates, 1).text} images/s`)
const [ofBare, ofPieces, whole] = contestants.map(({ rates }) => rates) as [number[], number[], number[]]
const ratio = (base: readonly number[]) => spread(whole.map((rate, i) => rate / (base[i] ?? Number.NaN))).text
console.log(`ratio to the bare session    ${ratio(ofBare)} (wanted: at least 0.9)`)
console.log(`ratio to pieces              ${ratio(ofPieces)}`)
await Promise.all([bare, pieces, classifier, ...decoders].map((each) => each.close()))
await dataset.close()
