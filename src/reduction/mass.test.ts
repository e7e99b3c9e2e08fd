import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  evaluate,
  floats,
  maxAbsDiff,
  pictureOf,
  randomPixels,
  randomWeights,
  tiny,
} from '../../test/support/models.js'
import { createGraph, input, output } from '../graph/graph.js'
import { shapeOf } from '../models/backbone.js'
import { buildGraph } from '../models/build.js'
import { macsOfPicture } from '../models/cost.js'
import { openNodeClassifier } from '../runtime/node.js'
import { held } from './mass.js'
import { planReduction, type ReductionRequest } from './registry.js'
import { keptSymbol } from './schedule.js'

/** How many tokens of scores hold a share, and which. */
async function heldOf(scores: readonly (readonly number[])[], share: number) {
  const graph = createGraph()
  const m = scores[0]?.length ?? 0
  const { mask, counts } = held(input(graph, 'scores', ['batch', m]), share)
  output('mask', mask)
  output('counts', counts)
  const found = await evaluate(graph, { scores: { data: Float32Array.from(scores.flat()), shape: [scores.length, m] } })
  return { mask: floats(found.mask), counts: Array.from(found.counts?.data as BigInt64Array, Number) }
}

describe('tokens that hold a share', () => {
  it('are the fewest, by picture', async () => {
    const scores = [
      [0.125, 0.5, 0.25, 0.125],
      [4, 4, 4, 4],
    ]
    const some = await heldOf(scores, 0.7)
    assert.deepEqual(some.counts, [2, 3])
    assert.deepEqual(Array.from(some.mask), [0, 1, 1, 0, 1, 1, 1, 0])
    assert.deepEqual((await heldOf(scores, 0.75)).counts, [2, 3]) // just so much is enough
    assert.deepEqual((await heldOf(scores, 0.01)).counts, [1, 1])
  })
})

const weights = randomWeights(tiny, 1)
const pixels = randomPixels(tiny, 4, 2)
const planned = (request: ReductionRequest) => planReduction(request, shapeOf(tiny))
const run = (request: ReductionRequest, more: object, input = pixels) =>
  evaluate(buildGraph(tiny, weights, { ...planned(request), trace: true, blocks: true, sizes: true, ...more }), {
    pixel_values: input,
  })

describe('idling by a share of attention', () => {
  it('is the dense model at 1, and near it', async () => {
    const dense = await run({ method: 'none' }, {})
    assert.deepEqual(floats((await run({ mass: 1 }, {})).logits), floats(dense.logits))
    const near = await run({ mass: 0.99999 }, {}, pictureOf(pixels, 0))
    assert.ok(maxAbsDiff(floats(near.logits), floats(dense.logits).subarray(0, tiny.classes)) < 1e-5)
  })

  it('gives the same in the gathered form, picture by picture, and in the masked one, in a batch', async () => {
    const masked = await run({ mass: 0.6 }, { form: 'masked' })
    const counts = (name: string) => Array.from((masked[name]?.data ?? []) as BigInt64Array, Number)
    const all = [1, 2, 3].flatMap((l) => counts(`size.${keptSymbol(l)}`))
    assert.ok(new Set(all).size > 1 && all.every((count) => count >= 1 && count < 16), `counts ${all}`)
    for (let b = 0; b < 4; b++) {
      const alone = await run({ mass: 0.6 }, {}, pictureOf(pixels, b))
      for (const name of ['logits', 'block.3', 'computed.2', 'size.kept1', 'size.kept3']) {
        const [part, whole] = [alone[name]?.data ?? [], masked[name]?.data ?? []] as [Float32Array, Float32Array]
        const mine = whole.subarray(b * part.length, (b + 1) * part.length)
        for (const [i, value] of part.entries()) assert.ok(Math.abs(Number(value) - Number(mine[i])) < 1e-4, name)
      }
    }
  })

  it('answers batches one picture at a time, and tells what each took', async () => {
    const model = { name: 'tiny', config: tiny, state: weights }
    const classifier = await openNodeClassifier(model, { mass: 0.6, threads: 1 })
    const { logits, sizes = [] } = await classifier.forward(pixels.data as Float32Array)
    await classifier.close()
    const masked = await run({ mass: 0.6 }, { form: 'masked' })
    assert.ok(maxAbsDiff(logits, floats(masked.logits)) < 1e-5)
    assert.equal(sizes.length, 4)
    const macs = macsOfPicture(tiny, classifier.plan)
    const [most, own] = [macs({ kept1: 16, kept2: 16, kept3: 16 }), sizes.map(macs)]
    assert.ok(own.every((each) => each < most && each > 0))
    // What a picture decided costs as much as a plan that says so.
    const [first = {}] = sizes
    const keepTokens = [16, ...[1, 2, 3].map((l) => first[keptSymbol(l)] as number)]
    assert.equal(own[0], macsOfPicture(tiny, planned({ keepTokens }))({}))
  })

  it('runs no two pictures together', async () => {
    await assert.rejects(run({ mass: 0.6 }, {}))
  })

  it('refuses what is no share of attention, and counts that are told', async () => {
    assert.throws(() => planned({ mass: 0.5, score: 'logits' }), /mass: .*wanted score softmax/)
    assert.throws(() => planned({ mass: 0.5, ranking: 'norm' }), /mass: .*found ranking norm/)
    assert.throws(() => planned({ mass: 0 }), /mass: wanted a number above 0 and at most 1, found 0/)
    assert.throws(() => planned({ mass: 0.5, keepRatio: 0.7 }), /mass and keepRatio: wanted one of them/)
    assert.throws(() => planned({ method: 'group', mass: 0.5 }), /mass: an option of idle/)
    const model = { name: 'tiny', config: tiny, state: weights }
    await assert.rejects(openNodeClassifier(model, { mass: 0.5, elastic: true }), /elastic: .*found mass/)
  })
})
