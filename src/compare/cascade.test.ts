import assert from 'node:assert/strict'
import { it } from 'node:test'
import { randomCascade } from '../../test/support/cascade.js'
import { randomWeights, tiny } from '../../test/support/models.js'
import { startDecoders } from '../data/decoder.js'
import { openDataset } from '../data/open.js'
import { imagenetPreprocess } from '../images/preprocess.js'
import { modelCost } from '../models/cost.js'
import { openNodeClassifier } from '../runtime/node.js'
import { compare } from './compare.js'
import { commonOf } from './participants.js'
import { type Participant, planRows } from './rows.js'
import { openStore } from './store.js'

const COUNT = 6
const request = { methods: [], keepRatios: [], precisions: ['fp32'] } as const
const config = { ...tiny, imageSize: 224, patchSize: 32, classes: 7 }
const net: Participant = {
  model: { name: 'net', config, state: randomWeights(config, 1) },
  labels: new Int32Array(COUNT),
}
const cascade = (thresholds: readonly number[]): Participant => ({
  model: { ...randomCascade(), thresholds },
  labels: new Int32Array(COUNT),
})

it('a cascade joins as a row of what its pictures took, and is asked again where thresholds change', async () => {
  const dataset = await openDataset(`scenes:5:${COUNT}`)
  const decoders = startDecoders(1)
  try {
    const preprocess = imagenetPreprocess(224)
    const own = cascade([0.45, 0.45])
    const rows = await planRows([net, own], request)
    const store = await openStore(undefined, commonOf(dataset, { limit: COUNT, preprocess, batch: COUNT }), {
      resume: false,
    })
    const asked: Float32Array[] = []
    const { loadBatches } = await import('../data/loader.js')
    for await (const { pixels } of loadBatches(dataset, { batch: COUNT, preprocess, decoders }))
      asked.push(pixels.slice())
    const classifier = await openNodeClassifier(own.model, {})
    const { exits = [] } = await classifier.forward(asked[0] as Float32Array)
    await classifier.close()
    assert.ok(new Set(exits).size > 1, `the pictures leave at ${exits}`)
    const { nets = [] } = modelCost(own.model.config)
    const wanted = exits.reduce((sum, exit) => sum + (nets[exit]?.macsUpTo ?? Number.NaN), 0) / COUNT / 1e9
    const report = await compare({
      ...{ rows, dataset, preprocess, decoders, store },
      ...{ limit: COUNT, batch: COUNT, rounds: 1, threads: 1 },
    })
    const [dense, row] = report.rows
    assert.deepEqual([dense?.method, row?.method, row?.kind, row?.name], ['none', 'dvt', 'own', 'cascade'])
    assert.ok(Math.abs((row?.gmacs ?? 0) - wanted) < 1e-12, `${row?.gmacs}, wanted ${wanted}`)
    const [, other] = await planRows([net, cascade([0.9, 0.9])], request)
    assert.notEqual(other?.key, rows[1]?.key)
  } finally {
    await Promise.all(decoders.map((decoder) => decoder.close()))
    await dataset.close()
  }
})

it('a cascade cannot be what methods run on', async () => {
  await assert.rejects(planRows([cascade([0.5, 0.5]), net], request), /--model cascade: wanted a single net first/)
})
