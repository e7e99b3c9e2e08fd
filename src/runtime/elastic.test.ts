import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import type { Classifier } from './classifier.js'
import { openNodeClassifier } from './node.js'

const model = { name: 'tiny', config: tiny, state: randomWeights(tiny, 1) }
const pixels = randomPixels(tiny, 5, 2).data as Float32Array

describe('an elastic classifier', () => {
  let elastic: Classifier
  before(async () => {
    elastic = await openNodeClassifier(model, { elastic: true, keepRatio: 0.7, trace: true, microBatch: 2 })
  })
  after(() => elastic.close())

  for (const keepRatio of [1, 0.7, 0.5, 0.1])
    it(`gives what a classifier fixed at ${keepRatio} gives`, async () => {
      const fixed = await openNodeClassifier(model, { keepRatio, trace: true })
      const [a, b] = [await fixed.forward(pixels), await elastic.forward(pixels, { keepRatio })]
      assert.ok(maxAbsDiff(a.logits, b.logits) < 1e-5)
      for (const [picture, blocks] of (a.selections ?? []).entries())
        for (const { block, selected } of blocks) {
          const same = b.selections?.[picture]?.find((each) => each.block === block)
          assert.deepEqual(same?.selected, selected)
        }
      await fixed.close()
    })

  it('keeps the options’ plan by default, and gives its own logits back at any switch', async () => {
    const [first, half, again] = [
      await elastic.forward(pixels),
      await elastic.forward(pixels, { keepTokens: [16, 9, 8, 3] }),
      await elastic.forward(pixels, { keepRatio: 0.7 }),
    ]
    assert.deepEqual(again.logits, first.logits)
    assert.ok(maxAbsDiff(half.logits, first.logits) > 0)
  })

  it('refuses an idle first stage and counts out of range', async () => {
    const refuse = (keepTokens: readonly number[], reason: RegExp) =>
      assert.rejects(
        elastic.forward(pixels, { keepTokens }),
        (error) => error instanceof InputError && reason.test(error.message),
      )
    await refuse([9, 9, 9, 9], /block 0 of an elastic model computes all 16 tokens, found 9/)
    await refuse([16, 17, 9, 9], /1 to 16, found 17/)
    await refuse([16, 0, 9, 9], /1 to 16, found 0/)
  })

  it('a fixed one takes no plan', async () => {
    const fixed = await openNodeClassifier(model, { keepRatio: 0.7 })
    await assert.rejects(fixed.forward(pixels, { keepRatio: 0.5 }), InputError)
    await fixed.close()
  })
})
