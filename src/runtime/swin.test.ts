/** What a classifier tells of a Swin: features of the last map, and what every block of every map computed. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maxAbsDiff, randomPixels, randomWeights, tinySwin } from '../../test/support/models.js'
import { openNodeClassifier } from './node.js'
import { checkPool, layoutOf, poolFeatures } from './pool.js'

const model = { name: 'tiny-swin', config: tinySwin, state: randomWeights(tinySwin, 1) }

test('the head reads the mean of the features, in int8 nearly so', async () => {
  checkPool(model, 'head')
  assert.deepEqual(layoutOf(tinySwin), { prefix: 0, read: 'image', tokens: 16, width: 32 })
  for (const [precision, tolerance] of [
    ['fp32', 1e-4],
    ['int8', 0.5],
  ] as const) {
    const classifier = await openNodeClassifier(model, { features: true, precision, keepRatio: 0.6, threads: 1 })
    const { logits, features } = await classifier.forward(randomPixels(tinySwin, 2, 2).data as Float32Array)
    await classifier.close()
    const pooled = poolFeatures(features ?? assert.fail(), layoutOf(tinySwin))
    const [weight, bias] = ['head.weight', 'head.bias'].map((name) => model.state.get(name)?.data as Float32Array)
    const answers = Float32Array.from(logits, (_, i) => {
      const [b, c] = [Math.floor(i / 5), i % 5]
      const row = pooled.subarray(32 * b, 32 * b + 32)
      return row.reduce((sum, x, k) => sum + x * (weight?.[32 * c + k] as number), bias?.[c] as number)
    })
    assert.ok(maxAbsDiff(answers, logits) < tolerance, `${precision}: ${maxAbsDiff(answers, logits)}`)
  }
})

test('a trace has the tokens of every map', async () => {
  const classifier = await openNodeClassifier(model, { trace: true, keepRatio: 0.6, threads: 1 })
  const { selections, blocks } = await classifier.forward(randomPixels(tinySwin, 2, 2).data as Float32Array)
  await classifier.close()
  assert.deepEqual(classifier.plan.keep, [256, 256, 36, 36, 5, 5])
  assert.deepEqual(
    selections?.[1]?.map(({ block, selected, scores }) => [block, selected.length, scores?.length]),
    [
      [2, 36, 64],
      [3, 36, 64],
      [4, 5, 16],
      [5, 5, 16],
    ],
  )
  assert.deepEqual(
    blocks?.map(({ length }) => length),
    [256 * 8, 256 * 8, 64 * 16, 64 * 16, 16 * 32, 16 * 32].map((length) => 2 * length),
  )
})
