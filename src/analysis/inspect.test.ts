import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { maxAbsDiff, randomPixels, randomWeights, tiny, tinySwin, weightsUnder } from '../../test/support/models.js'
import { shapeOf } from '../models/backbone.js'
import { planReduction } from '../reduction/registry.js'
import type { ClassifierOptions } from '../runtime/classifier.js'
import { createSession, openNodeClassifier } from '../runtime/node.js'
import { openInspector, stageEnds } from './inspect.js'
import { meanCosineSimilarity } from './similarity.js'
import type { TokenState } from './tokens.js'

const config = { ...tiny, distilled: true }
const model = { name: 'tiny', config, state: randomWeights(config, 3) }
const pixels = randomPixels(config, 1, 4).data as Float32Array

describe('openInspector', () => {
  it('sees what the classifier computes', async () => {
    const inspector = await openInspector(model, { keepRatio: 0.6, threads: 1 }, createSession)
    const seen = await inspector.inspect(pixels)
    await inspector.close()
    const classifier = await openNodeClassifier(model, { keepRatio: 0.6, threads: 1, trace: true })
    const { selections, blocks } = await classifier.forward(pixels)
    const [best] = await classifier.predict(pixels, 1)
    await classifier.close()

    assert.deepEqual(inspector.keep, [16, 9, 5, 3])
    const { score, ...said } = (seen.predictions ?? assert.fail('no predictions')).idle
    const { score: expected = Number.NaN, ...known } = best?.[0] ?? {}
    assert.deepEqual(said, known)
    assert.ok(Math.abs(score - expected) < 1e-6) // the classifier's graph is lowered: other roundings
    assert.equal(seen.classAttention.length, 4)
    for (const { block, selected, scores } of selections?.[0] ?? []) {
      assert.ok(scores && maxAbsDiff(seen.classAttention[block] as Float32Array, scores) < 1e-6)
      const states = seen.tokens[block] ?? []
      const computed = states.flatMap((state, token) => (state === 'idle' ? [] : [token]))
      assert.deepEqual(computed, [...selected])
    }
    const afterLast = (blocks?.[3] ?? new Float32Array()).subarray(2 * config.width)
    assert.ok(Math.abs((seen.similarity.idle[3] as number) - meanCosineSimilarity(afterLast, config.width)) < 1e-6)
    // Blocks before the first idle one are the dense model's.
    assert.equal(seen.similarity.idle[0], seen.similarity.dense[0])
    assert.notEqual(seen.similarity.idle[3], seen.similarity.dense[3])

    assert.deepEqual(
      seen.attention.map(({ block, kept }) => [block, kept]),
      [
        [0, 16],
        [1, 9],
        [2, 5],
        [3, 3],
      ],
    )
    for (const { block, kept, rows, prefix, order, values } of seen.attention) {
      assert.equal(rows, 18)
      for (let i = 0; i < rows; i++) {
        const sum = values.subarray(i * rows, (i + 1) * rows).reduce((a, b) => a + b, 0)
        assert.ok(Math.abs(sum - 1) < 1e-5, `row ${i} sums to ${sum}`)
      }
      // The map is that of the rows the block scored: the class token's attention falls along it.
      const cls = [...values.subarray(prefix, rows)]
      for (const [j, value] of cls.entries()) assert.ok(j === 0 || value <= (cls[j - 1] as number) + 1e-6)
      const first = order.slice(prefix, prefix + kept).map((row) => row - prefix)
      assert.ok(first.every((token) => seen.tokens[block]?.[token] !== 'idle'))
    }
  })

  it('sees one model twice where nothing idles', async () => {
    const inspector = await openInspector(model, { method: 'none', keepRatio: 0.5, threads: 1 }, createSession)
    const { predictions, similarity, tokens, attention } = await inspector.inspect(pixels)
    await inspector.close()
    assert.deepEqual(predictions?.idle, predictions?.dense)
    assert.ok(predictions)
    assert.equal(maxAbsDiff(Float32Array.from(similarity.idle), Float32Array.from(similarity.dense)), 0)
    assert.ok(tokens.flat().every((state) => state === 'selected'))
    assert.deepEqual(
      attention.map(({ block }) => block),
      [3],
    )
  })
})

describe('stageEnds', () => {
  it('names the last block of every run of equal counts', () => {
    assert.deepEqual(stageEnds([9, 9, 5, 5, 5, 2]), [1, 4, 5])
  })
})

describe('a Swin', () => {
  const swin = { name: 'tiny-swin', config: tinySwin, state: randomWeights(tinySwin, 1, 0.3) }
  const picture = randomPixels(tinySwin, 1, 2).data as Float32Array
  const look = async (options: ClassifierOptions) => {
    const inspector = await openInspector(swin, { ...options, threads: 1 }, createSession)
    const seen = await inspector.inspect(picture)
    await inspector.close()
    return { seen, plan: inspector }
  }
  const count = (states: readonly TokenState[] | undefined, wanted: readonly TokenState[]) =>
    states?.filter((state) => wanted.includes(state)).length

  for (const variant of ['block', 'ffn'] as const)
    it(`is seen stage by stage: ${variant}`, async () => {
      const { seen, plan } = await look({ keepRatio: 0.6, variant })
      assert.deepEqual(
        seen.tokens.map(({ length }) => length),
        [256, 256, 64, 64, 16, 16],
      )
      assert.deepEqual(
        seen.tokens.map((states) => count(states, ['selected', 'returned'])),
        plan.keep,
      )
      // What a stage left out is not back in the next: its tokens are others.
      for (const first of [2, 4]) assert.equal(count(seen.tokens[first], ['returned']), 0)
      const classifier = await openNodeClassifier(swin, { keepRatio: 0.6, variant, threads: 1, trace: true })
      const { blocks, selections } = await classifier.forward(picture)
      await classifier.close()
      for (const [l, rows] of (blocks ?? []).entries())
        assert.ok(Math.abs((seen.similarity.idle[l] as number) - meanCosineSimilarity(rows, 8 * 2 ** (l >> 1))) < 1e-5)
      assert.deepEqual(
        seen.windows.map(({ block, map, windowRows }) => [block, ...map, windowRows]),
        [
          [1, 16, 16, 16],
          [3, 8, 8, 16],
          [5, 4, 4, 16],
        ],
      )
      for (const { block, values, windowRows } of seen.windows) {
        // A window pays out as much as it has rows: one for each of them, the mean of which is one.
        const sum = values.reduce((a, b) => a + b, 0)
        assert.ok(Math.abs(sum - values.length / windowRows) < 1e-4, `block ${block} pays ${sum}`)
        const scores = selections?.[0]?.find((each) => each.block === block)?.scores
        if (scores) assert.ok(maxAbsDiff(values, scores) < 1e-5)
      }
      assert.deepEqual([seen.attention, seen.classAttention], [[], []])
    })

  it('tokens of DynamicSwin that take the light path are those that are not selected', async () => {
    const plan = planReduction({ method: 'dynamicswin', keepRatio: 0.7 }, shapeOf(tinySwin))
    const light = { ...swin, state: weightsUnder(tinySwin, plan) }
    const inspector = await openInspector(light, { method: 'dynamicswin', keepRatio: 0.7, threads: 1 }, createSession)
    const { tokens, windows } = await inspector.inspect(picture)
    await inspector.close()
    assert.deepEqual(
      tokens.map((states) => count(states, ['selected', 'returned'])),
      plan.keep,
    )
    assert.equal(windows.length, 3)
  })

  it('tokens that are dead are gone, and their attention is left out', async () => {
    const { seen, plan } = await look({ keepRatio: 0.6, dead: true })
    assert.deepEqual(
      seen.tokens.map((states) => count(states, ['selected'])),
      plan.keep,
    )
    assert.equal(count(seen.tokens.flat(), ['idle', 'returned']), 0)
    assert.deepEqual(seen.windows, [])
  })
})

it('without a class token maps stand in the order of what tokens receive, where all are computed', async () => {
  const pooled = { ...tiny, classToken: false, pool: 'mean' } as const
  const model = { name: 'pooled', config: pooled, state: randomWeights(pooled, 3) }
  const inspector = await openInspector(model, { method: 'none', threads: 1 }, createSession)
  const { attention, classAttention } = await inspector.inspect(randomPixels(pooled, 1, 4).data as Float32Array)
  await inspector.close()
  assert.deepEqual(classAttention, [])
  for (const { rows, values } of attention) {
    const received = Array.from({ length: rows }, (_, key) =>
      values.reduce((sum, value, i) => sum + (i % rows === key ? value : 0), 0),
    )
    assert.ok(received.every((value, i) => i === 0 || value <= (received[i - 1] as number) + 1e-6))
  }
})
