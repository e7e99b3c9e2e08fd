import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { topIndices, topPredictions } from './classifier.js'
import { openNodeClassifier } from './node.js'

describe('top predictions', () => {
  it('are the first of a stable descending sort', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1 }),
        fc.integer({ min: 1, max: 9 }),
        (list, top) => {
          const values = Float32Array.from(list)
          const sorted = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b)
          assert.deepEqual(topIndices(values, top), sorted.slice(0, top))
        },
      ),
    )
  })

  it('are probabilities of all classes', () => {
    const [first, second] = topPredictions(Float32Array.of(Math.log(1), Math.log(3), Math.log(4)), 2, ['a', 'b', 'c'])
    assert.deepEqual([first?.label, first?.score.toFixed(6)], ['c', '0.500000'])
    assert.deepEqual([second?.label, second?.score.toFixed(6)], ['b', '0.375000'])
    assert.equal(topPredictions(Float32Array.of(0), 5)[0]?.label, 'class 0')
  })
})

describe('a classifier', () => {
  const model = { name: 'tiny', config: tiny, state: randomWeights(tiny, 1) }

  it('hands out selections in raster order and rows after every block', async () => {
    const classifier = await openNodeClassifier(model, { keepTokens: [16, 9, 4, 4], trace: true, threads: 1 })
    const { selections, blocks } = await classifier.forward(randomPixels(tiny, 2, 3).data as Float32Array)
    await classifier.close()
    assert.equal(blocks?.length, 4)
    assert.ok(blocks?.every((rows) => rows.length === 2 * 17 * tiny.width))
    for (const picture of selections ?? []) {
      assert.deepEqual(
        picture.map(({ block, selected }) => [block, selected.length]),
        [
          [1, 9],
          [2, 4],
          [3, 4],
        ],
      )
      for (const { selected, scores = new Float32Array() } of picture) {
        assert.equal(scores.length, 16)
        assert.deepEqual(
          [...selected],
          [...new Set(selected)].sort((a, b) => a - b),
        )
        const least = Math.min(...[...selected].map((token) => scores[token] ?? 0))
        assert.equal(scores.filter((score) => score > least).length < selected.length, true)
      }
    }
  })

  it('joins pictures that keep different numbers of tokens', async () => {
    const pixels = randomPixels(tiny, 5, 3).data as Float32Array
    const options = { method: 'ats', samples: 8, trace: true, threads: 1 } as const
    const open = (microBatch: number) => openNodeClassifier(model, { ...options, microBatch })
    const [whole, pieces] = [await open(5), await open(2)]
    const [a, b] = [await whole.forward(pixels), await pieces.forward(pixels)]
    await Promise.all([whole.close(), pieces.close()])
    assert.ok(maxAbsDiff(a.logits, b.logits) < 1e-5)
    assert.deepEqual(
      b.selections?.map((blocks) => blocks.map(({ selected }) => [...selected])),
      a.selections?.map((blocks) => blocks.map(({ selected }) => [...selected])),
    )
    assert.deepEqual(b.sizes, a.sizes)
    for (const [picture, sizes] of (b.sizes ?? []).entries())
      assert.deepEqual(
        Object.values(sizes),
        b.selections?.[picture]?.map(({ selected }) => selected.length),
      )
  })

  it('opened to answer once gives the answers of any other', async () => {
    const pixels = randomPixels(tiny, 2, 3).data as Float32Array
    const logits = []
    for (const once of [false, true]) {
      const classifier = await openNodeClassifier(model, { keepRatio: 0.5, once })
      logits.push((await classifier.forward(pixels)).logits)
      await classifier.close()
    }
    const [many, single] = logits as [Float32Array, Float32Array]
    assert.ok(maxAbsDiff(many, single) < 1e-5)
  })

  it('refuses pixels that are no whole pictures', async () => {
    const classifier = await openNodeClassifier(model, { threads: 1 })
    await assert.rejects(classifier.forward(new Float32Array(100)), /multiple of 3·32·32 = 3072 values, found 100/)
    await classifier.close()
  })
})
