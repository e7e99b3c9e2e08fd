import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maxAbsDiff, randomWeights, tiny } from '../../test/support/models.js'
import { normalise } from '../images/preprocess.js'
import { createRandom } from '../random.js'
import { openNodeClassifier } from '../runtime/node.js'
import type { StateDict } from './state.js'
import { sameStatistics, withStatistics } from './statistics.js'

const sizes = { resize: tiny.imageSize, crop: tiny.imageSize }
const before = { ...sizes, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const
const now = { ...sizes, mean: [0.5, 0.4, 0.1], std: [0.5, 0.25, 1] } as const

test('a model for other statistics answers the same about the same picture', async () => {
  const random = createRandom(1)
  const picture = Uint8Array.from({ length: 3 * tiny.imageSize ** 2 }, () => random.integer(256))
  const state = randomWeights(tiny, 2, 0.1) as StateDict
  const logits = async (weights: StateDict, statistics: typeof before | typeof now) => {
    const classifier = await openNodeClassifier({ name: 'tiny', config: tiny, state: weights }, { method: 'none' })
    const result = await classifier.forward(normalise(picture, statistics))
    await classifier.close()
    return result.logits
  }
  const expected = await logits(state, before)
  assert.ok(maxAbsDiff(await logits(withStatistics(state, before, now), now), expected) < 1e-5)
  assert.ok(maxAbsDiff(await logits(state, now), expected) > 1e-2)
})

test('a stem that pads its pictures cannot make up for other statistics', () => {
  const state = randomWeights({ ...tiny, stem: 2 }, 2) as StateDict
  assert.throws(() => withStatistics(state, before, now), /the model: its convolutional stem pads pictures with zeros/)
})

test('statistics are the same where every number is', () => {
  assert.ok(sameStatistics(before, { ...before }))
  assert.ok(!sameStatistics(before, { ...before, std: now.std }))
})
