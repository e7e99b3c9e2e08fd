import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { buildGraph } from '../models/build.js'
import { createSession } from './node.js'

test('inputs in memory that threads share give what others give', async () => {
  const graph = buildGraph(tiny, randomWeights(tiny, 1), { keep: [16, 11, 7, 5] })
  const own = randomPixels(tiny, 2, 2)
  const shared = new Float32Array(new SharedArrayBuffer(own.data.byteLength))
  shared.set(own.data as Float32Array)
  for (const lanes of [1, 2]) {
    const session = await createSession(graph, { lanes })
    const expected = await session.run({ pixel_values: own })
    assert.deepEqual(await session.run({ pixel_values: { data: shared, shape: own.shape } }), expected)
    await session.close()
  }
})
