import assert from 'node:assert/strict'
import { it } from 'node:test'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { buildGraph } from '../models/build.js'
import { inMicroBatches } from './microbatch.js'
import { createSession } from './node.js'
import type { Session } from './session.js'

it('a batch in pieces gives what the whole batch gives, in order', async () => {
  const graph = buildGraph(tiny, randomWeights(tiny, 1), { keep: [16, 11, 7, 5], trace: true })
  const whole = await createSession(graph)
  const sizes: number[] = []
  const watched: Session = {
    ...whole,
    run(feeds, wanted) {
      sizes.push(feeds.pixel_values?.shape[0] ?? 0)
      return whole.run(feeds, wanted)
    },
  }
  const feeds = { pixel_values: randomPixels(tiny, 5, 2) }
  const [a, b] = [await whole.run(feeds), await inMicroBatches(watched, 2).run(feeds)]
  assert.deepEqual(sizes, [2, 2, 1])
  assert.deepEqual(Object.keys(b), Object.keys(a))
  for (const [name, { data, shape }] of Object.entries(a)) {
    assert.deepEqual(b[name]?.shape, shape)
    const [x, y] = [
      Float64Array.from(data as Float32Array, Number),
      Float64Array.from(b[name]?.data as Float32Array, Number),
    ]
    assert.ok(maxAbsDiff(x as never, y as never) < 1e-5, name)
  }
  await whole.close()
})
