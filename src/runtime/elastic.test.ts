import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { checkElastic, planReduction } from '../reduction/registry.js'
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

describe('an elastic classifier of groups', () => {
  const deep = { ...tiny, imageSize: 48, depth: 6 } // 36 image tokens, six blocks
  const grouped = { name: 'deep', config: deep, state: randomWeights(deep, 2) }
  const pictures = randomPixels(deep, 5, 2).data as Float32Array
  const open = (options: object) =>
    openNodeClassifier(grouped, { method: 'group', trace: true, features: true, threads: 1, ...options })
  let elastic: Classifier
  before(async () => {
    elastic = await open({ elastic: true, keepRatio: 0.7, microBatch: 2 })
  })
  after(() => elastic.close())

  // Ratios, and lists that fall slowly, by several rounds of halving at once, to an odd number, to one, and not at all.
  for (const request of [
    { keepRatio: 1 },
    { keepRatio: 0.7 },
    { keepRatio: 0.3 },
    { keepTokens: [36, 36, 5, 5, 5, 1] },
    { keepTokens: [35, 17, 9, 4, 2, 1] },
    { keepTokens: [6, 6, 6, 6, 6, 6] },
    { keepTokens: [5, 1, 1, 1, 1, 1] },
  ])
    it(`gives what a classifier fixed at ${JSON.stringify(request)} gives`, async () => {
      const fixed = await open(request)
      const [a, b] = [await fixed.forward(pictures), await elastic.forward(pictures, request)]
      assert.ok(maxAbsDiff(a.logits, b.logits) < 1e-5)
      for (const [l, rows] of (a.blocks ?? []).entries())
        assert.ok(maxAbsDiff(rows, b.blocks?.[l] as Float32Array) < 1e-4, `block ${l}`)
      for (const [picture, blocks] of (a.selections ?? []).entries())
        for (const { block, selected } of blocks)
          assert.deepEqual(b.selections?.[picture]?.find((each) => each.block === block)?.selected, selected)
      await fixed.close()
    })

  it('refuses to halve more often than a block can', async () => {
    const steep = { keepTokens: [36, 4, 4, 4, 4, 4] }
    await assert.rejects(elastic.forward(pictures, steep), /block 1 .* can make at least 5 groups of 36, found 4/)
  })

  it('takes every keep ratio of a large model', () => {
    const deit = { depth: 12, tokens: 196, prefix: 1, width: 192 }
    for (const keepRatio of [0.001, 0.1, 0.3, 0.5, 0.7, 1])
      checkElastic(planReduction({ method: 'group', keepRatio }, deit), deit)
  })

  it('takes more groups again only where they are formed anew', async () => {
    const rising = { keepTokens: [36, 12, 12, 20, 20, 9] }
    await assert.rejects(elastic.forward(pictures, rising), /become no more .* block 3 has 20 after 12/)
    const anew = await open({ elastic: true, regroup: [3] })
    const fixed = await open({ ...rising, regroup: [3] })
    const [a, b] = [await fixed.forward(pictures), await anew.forward(pictures, rising)]
    assert.ok(maxAbsDiff(a.logits, b.logits) < 1e-5)
    await Promise.all([fixed.close(), anew.close()])
  })
})
