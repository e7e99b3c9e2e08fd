import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { objectPixels } from '../analysis/coverage.js'
import { openNodeClassifier } from '../runtime/node.js'
import { measure } from './measure.js'
import { watchTokens } from './watch.js'

const model = { name: 'tiny', config: tiny, state: randomWeights(tiny, 3) }
const other = { ...model, name: 'other', state: randomWeights(tiny, 4) }
const COUNT = 7 // no two batches of the same size
const pixels = randomPixels(tiny, COUNT, 5).data as Float32Array

describe('measure', () => {
  it('classifies every picture once under every setting', async () => {
    const classifier = await openNodeClassifier(model, { keepRatio: 0.5, threads: 1 })
    const labels = Int32Array.from(await classifier.predict(pixels, 1), ([best]) => best?.index ?? -1)
    await classifier.close()
    const wrong = labels.map((label, i) => (i < 2 ? (label + 1) % tiny.classes : label))
    const rows = []
    for (const each of [labels, wrong]) {
      const measured = await measure(
        [{ model, keepRatio: 0.5, precision: 'fp32' } as const, { model, keepRatio: 1, precision: 'fp32' } as const],
        { pixels, labels: each, masks: [], shown: [] },
      )
      assert.equal(measured.rounds, 1)
      rows.push(...measured.rows)
    }
    const [all, dense, some] = rows
    assert.equal(all?.top1, COUNT)
    assert.equal(all?.top1Percent, 100)
    assert.equal(some?.top1, COUNT - 2)
    assert.ok((dense?.gmacs as number) > (all?.gmacs as number))
    assert.equal(all?.speedup, 1)
    assert.deepEqual([all?.top1Gain, all?.top1GainInterval], [0, [0, 0]])
    assert.ok(Math.abs((dense?.top1Gain as number) - ((dense?.top1Percent as number) - 100)) < 1e-9)
    assert.ok((some?.top1Interval[0] as number) < (some?.top1Percent as number))
    const [pace, other] = [all?.imagesPerSecond as number, dense?.imagesPerSecond as number]
    assert.ok(Math.abs(other / pace - (dense?.speedup as number)) < 1e-9)
  })
})

describe('watchTokens', () => {
  it('follows the tokens that the classifier computes', async () => {
    // The object of picture i is token i, alone.
    const masks = Array.from({ length: COUNT }, (_, token) => {
      const mask = new Uint8Array(32 * 32)
      for (let y = 0; y < 8; y++)
        mask.fill(255, ((token >> 2) * 8 + y) * 32 + (token % 4) * 8, ((token >> 2) * 8 + y) * 32 + (token % 4) * 8 + 8)
      assert.equal(objectPixels(mask, 8)[token], 64)
      return mask
    })
    const pictures = { pixels, labels: new Int32Array(COUNT), masks, shown: [] }
    const { coverage, selfCorrection } = await watchTokens(model, other, 0.5, pictures)
    const traced = await openNodeClassifier(model, { keepRatio: 0.5, threads: 1, trace: true })
    const { selections = [] } = await traced.forward(pixels)
    await traced.close()
    assert.deepEqual(
      coverage.map(({ kept, random }) => [kept, random]),
      [16, 8, 4, 2].map((kept) => [kept, kept / 16]),
    )
    for (const block of [1, 2, 3]) {
      const hits = selections.filter((blocks, picture) =>
        blocks.find((each) => each.block === block)?.selected.includes(picture),
      )
      assert.ok(Math.abs((coverage[block]?.idle as number) - hits.length / COUNT) < 1e-9)
    }
    const { all, object, background } = selfCorrection
    assert.deepEqual([all.tokens, object.tokens, background.tokens], [16 * COUNT, COUNT, 15 * COUNT])
    for (const of of ['idled', 'returned'] as const)
      assert.ok(Math.abs(16 * all[of] - object[of] - 15 * background[of]) < 1e-9)
    // With its own class attention as the yardstick the dense order agrees in the first idle block, and only there for sure.
    const own = await watchTokens(model, model, 0.5, pictures)
    assert.equal(own.coverage[1]?.dense, own.coverage[1]?.idle)
  })
})
