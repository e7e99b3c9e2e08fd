import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { buildGraph } from '../models/build.js'
import { inMicroBatches } from './microbatch.js'
import { createSession } from './node.js'

const graph = buildGraph(tiny, randomWeights(tiny, 1), { keep: [16, 11, 7, 5], trace: true })
const feeds = { pixel_values: randomPixels(tiny, 7, 2) }

describe('lanes', () => {
  it('give what one session gives, in order', async () => {
    const [alone, lanes] = await Promise.all([createSession(graph), createSession(graph, { lanes: 3 })])
    assert.deepEqual([lanes.inputs, lanes.outputs, lanes.lanes], [alone.inputs, alone.outputs, 3])
    const pictures = [...feeds.pixel_values.data]
    const [a, b] = [await alone.run(feeds), await inMicroBatches(lanes, 2).run(feeds)]
    assert.deepEqual([...feeds.pixel_values.data], pictures, 'the caller keeps its pixels')
    assert.deepEqual(b['selected.2'], a['selected.2'])
    assert.ok(maxAbsDiff(a.logits?.data as Float32Array, b.logits?.data as Float32Array) < 1e-5)
    await Promise.all([alone.close(), lanes.close()])
  })

  it('queue more runs than there are lanes, and limit outputs to the wanted', async () => {
    const foreign = { onProgress: () => {} } // no plain data: stays on this side
    const lanes = await createSession(graph, { lanes: 2, ...foreign })
    const runs = await Promise.all(Array.from({ length: 7 }, () => lanes.run(feeds, ['logits'])))
    for (const run of runs) assert.deepEqual(run, runs[0])
    assert.deepEqual(Object.keys(runs[0] ?? {}), ['logits'])
    await lanes.close()
  })

  it('report what a run has against its input, and go on', async () => {
    const lanes = await createSession(graph, { lanes: 2 })
    const wrong = { pixel_values: { data: new Float32Array(3), shape: [1, 3, 1, 1] } }
    await assert.rejects(lanes.run(wrong), /invalid dimensions|INVALID_ARGUMENT/i)
    assert.ok((await lanes.run(feeds)).logits)
    await lanes.close()
  })

  it('fail to open what is no model', async () => {
    await assert.rejects(createSession(Uint8Array.of(1, 2, 3), { lanes: 2 }), /protobuf|load model/i)
  })
})
