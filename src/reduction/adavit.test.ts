import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { evaluate, floats, maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { liveNodes } from '../graph/graph.js'
import { lower } from '../graph/passes/precision.js'
import { shapeOf } from '../models/backbone.js'
import { type BuildOptions, buildGraph, type WeightValues } from '../models/build.js'
import { macsOfPicture, modelCost } from '../models/cost.js'
import { createRandom } from '../random.js'
import { gateWeights, threshold } from './gates.js'
import { planReduction, storedPlan, withStored } from './registry.js'

const shape = shapeOf(tiny)
const plan = planReduction({ method: 'adavit' }, shape)

/** Gates that say the same whatever they see, but for a little that pictures add to it. */
function weightsWith(biases: Record<'token' | 'head' | 'layer', readonly number[]>, little = 0): WeightValues {
  const random = createRandom(5)
  const own = [...gateWeights([0, 1, 2, 3], tiny.width, tiny.heads)].map(([name, shape]) => {
    const bias = biases[/(token|head|layer)_select/.exec(name)?.[1] as 'token']
    const count = shape.reduce((a, b) => a * b, 1)
    const value = (i: number) => (name.endsWith('bias') ? (bias[i] as number) : little * random.normal())
    return [name, { shape, data: Float32Array.from({ length: count }, (_, i) => value(i)) }] as const
  })
  return new Map([...randomWeights(tiny, 1), ...own])
}

const logits = async (values: WeightValues, options: BuildOptions, pictures = 1) =>
  floats((await evaluate(buildGraph(tiny, values, options), { pixel_values: randomPixels(tiny, pictures, 2) })).logits)

const [open, closed] = [9, -9]

describe('AdaViT', () => {
  for (const [what, biases] of Object.entries({
    'no head': { token: [open], head: [closed, closed], layer: [open, open] },
    'one head, no token': { token: [closed], head: [closed, open], layer: [open, open] },
    'no attention': { token: [open], head: [open, open], layer: [closed, open] },
    'no MLP': { token: [open], head: [closed, open], layer: [open, closed] },
    nothing: { token: [closed], head: [closed, closed], layer: [closed, closed] },
  }))
    for (const dropped of ['inputs', 'hidden', 'identity'] as const)
      it(`gives what masks give where gates leave open ${what}: ${dropped}`, async () => {
        const values = weightsWith(biases)
        const [lean, masked] = [
          await logits(values, { ...plan, dropped }),
          await logits(values, { ...plan, dropped, official: true }),
        ]
        assert.ok(maxAbsDiff(lean, masked) < 2e-5)
      })

  it('runs a batch with what any of its pictures needs, and answers each as alone', async () => {
    const values = weightsWith({ token: [0.4], head: [0, 0], layer: [0, 0] }, 2)
    const { logits, ...sizes } = await evaluate(buildGraph(tiny, values, { ...plan, sizes: true }), {
      pixel_values: randomPixels(tiny, 4, 2),
    })
    const masked = await evaluate(buildGraph(tiny, values, { ...plan, official: true }), {
      pixel_values: randomPixels(tiny, 4, 2),
    })
    assert.ok(maxAbsDiff(floats(logits), floats(masked.logits)) < 2e-5)
    assert.ok(Object.values(sizes).some((size) => new Set(floats(size)).size > 1)) // they differ indeed
  })

  for (const dropped of ['inputs', 'hidden'] as const)
    it(`has no product with weights in floats in int8, and the answers of float32 but for its steps: ${dropped}`, async () => {
      const values = weightsWith({ token: [open], head: [closed, open], layer: [open, open] })
      const graph = () => buildGraph(tiny, values, { ...plan, dropped })
      const integers = lower(graph(), { precision: 'int8' })
      const names = liveNodes(integers).map(({ op, outputs }) => `${op.name} ${outputs[0]?.shape}`)
      assert.deepEqual(
        names.filter((name) => name.startsWith('linear')),
        [],
      )
      const feeds = { pixel_values: randomPixels(tiny, 2, 2) }
      const { logits: wanted } = await evaluate(graph(), feeds)
      const size = Math.max(...floats(wanted).map(Math.abs))
      for (const contrib of [true, false]) {
        const found = await evaluate(integers, feeds, { contrib })
        const error = maxAbsDiff(floats(wanted), floats(found.logits))
        assert.ok(error < 0.15 * size, `${error} of ${size}`) // of eight bits in layers of 24 channels
      }
    })

  it('counts what a picture uses: rows, heads and sublayers', () => {
    const { macs, varies, denseMacs } = modelCost(tiny, plan)
    assert.ok(varies)
    const of = macsOfPicture(tiny, plan)
    const { width: C, heads: H, hidden: M, depth } = tiny
    const all = Object.fromEntries(
      Array.from({ length: depth }, (_, l) => l).flatMap((l) => [
        [`kept${l}`, 16],
        [`heads${l}`, H],
        [`attends${l}`, 1],
        [`feeds${l}`, 1],
      ]),
    )
    assert.equal(of(all), macs)
    /** Of block 1 with t image rows and h heads. */
    const attention = (t: number, h: number) => {
      const [n, w] = [t + 1, (h * C) / H]
      return 4 * n * C * w + 2 * n * n * w
    }
    const mlp = (t: number, h: number) => (t + 1) * M * (C + (h * C) / H)
    const change = (sizes: object) => macs - of({ ...all, ...sizes })
    assert.equal(change({ kept1: 5 }), attention(16, 2) + mlp(16, 2) - attention(5, 2) - mlp(5, 2))
    assert.equal(change({ kept1: 5, heads1: 1 }), attention(16, 2) + mlp(16, 2) - attention(5, 1) - mlp(5, 1))
    assert.equal(change({ attends1: 0 }), attention(16, 2))
    assert.equal(change({ heads1: 1, feeds1: 0 }), attention(16, 2) + mlp(16, 2) - attention(16, 1))
    const gates = 4 * 16 * C + 3 * (H + 2) * C
    assert.equal((modelCost(tiny, plan).countings.official ?? 0) - denseMacs, gates)
  })

  it('opens gates at odds of (1 - K) / K, half as published, and keeps that with the model', () => {
    const chance = (logit: number) => 1 / (1 + Math.exp(-logit))
    assert.ok(Math.abs(chance(threshold('heads', 0.5)) - 0.5) < 1e-15)
    assert.ok(Math.abs(chance(threshold('tokens', 0.5)) - 0.6) < 1e-15)
    assert.deepEqual(plan.ratios, [0.5, 0.5, 0.5, 0.5])
    const odd = planReduction({ method: 'adavit', keepRatio: 0.47, dropped: 'hidden' }, shape)
    const again = planReduction(withStored({}, storedPlan(odd)), shape)
    assert.deepEqual(again, odd)
  })

  it('says what a model lacks', () => {
    assert.throws(
      () => buildGraph(tiny, randomWeights(tiny, 1), plan),
      /adavit: wanted weights trained for it, found a model without blocks.0.attn.token_select.mlp_head.weight \(20 are missing\)/,
    )
    assert.throws(
      () => planReduction({ method: 'spvit', dropped: 'hidden' }, shape),
      /dropped: an option of adavit, not of spvit/,
    )
  })
})
