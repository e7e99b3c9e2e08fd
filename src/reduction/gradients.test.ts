/** Methods learn: through what they keep, fuse and merge, the gradient of the logits is the slope of the logits. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { floats, maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { gradients } from '../graph/gradients.js'
import { createGraph, input, output, type Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { mul } from '../graph/ops/elementwise.js'
import { forward, shapeOf } from '../models/backbone.js'
import { methodBuild } from '../models/build.js'
import type { VitConfig } from '../models/config.js'
import { createRandom } from '../random.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import { elasticPlan, openMethod, planReduction, type ReductionRequest } from './registry.js'
import { KEEP_INPUT } from './schedule.js'

/** What a method is asked, and whether its graph is told the tokens when it runs. */
interface Asked extends ReductionRequest {
  readonly elastic?: boolean
}

const requests: readonly Asked[] = [
  { method: 'none' },
  { method: 'idle', keepRatio: 0.6 },
  { method: 'group', keepRatio: 0.5, attention: 0.5 },
  { method: 'group', groups: 6, regroup: 2 },
  { method: 'group', keepRatio: 0.6 },
  { method: 'group', keepTokens: [13, 5, 5, 3], elastic: true },
  { method: 'idle', keepTokens: [16, 9, 5, 5], elastic: true },
  { method: 'evit', keepRatio: 0.6 },
  { method: 'evit', keepRatio: 0.6, fuse: false },
  { method: 'evovit', keepRatio: 0.5 },
  { method: 'tome', r: 3 },
  { method: 'ats', keepRatio: 0.6 },
]

/** A convolutional stem, scaled branches and the largest logit of any row: all of it is learned through. */
const lvvit: VitConfig = { ...tiny, stem: 4, qkvBias: 'none', branchScale: 0.5, auxHead: true }

/** What gates and what is gated both learn. */
const gated: VitConfig = { ...tiny, gated: true, hidden: 32 }

const cases: readonly (readonly [model: string, config: VitConfig, request: Asked])[] = [
  ...requests.map((request) => ['DeiT', tiny, request] as const),
  ['gated MLPs', gated, { method: 'idle', keepRatio: 0.6 }],
  ...['none', 'idle', 'evit', 'ats'].map(
    (method) => ['LV-ViT', lvvit, requests.find((request) => request.method === method) ?? {}] as const,
  ),
]

for (const [model, config, request] of cases)
  test(`${model}: ${JSON.stringify(request)}`, async () => {
    const graph = createGraph()
    const state = new Map([...randomWeights(config, 1)].map(([name, { shape, data }]) => [name, { shape, data }]))
    const tensors = new Map([...state].map(([name, { shape }]) => [name, input(graph, name, shape)]))
    const weight = (name: string) => tensors.get(name) as Tensor
    const { elastic = false, ...asked } = request
    const plan = planReduction(asked, shapeOf(config))
    const told = elastic ? { ...plan, ...elasticPlan(plan, shapeOf(config)) } : plan
    const form = openMethod(methodBuild(graph, weight, config), told)
    const pixels = input(graph, 'pixel_values', ['batch', 3, config.imageSize, config.imageSize])
    const { logits } = forward(weight, pixels, config, { form })
    const loss = reduceSum(mul(logits, logits), [0, 1])
    output('loss', loss)
    const names = [...tensors.keys()]
    for (const [i, gradient] of gradients(loss, [...tensors.values()]).entries()) output(`d.${names[i]}`, gradient)
    const session = await createSession(graph, { threads: 1 })
    const random = createRandom(5)
    const feeds: Record<string, Values> = { pixel_values: randomPixels(config, 2, 2) }
    if (elastic) feeds[KEEP_INPUT] = { data: BigInt64Array.from(plan.keep, BigInt), shape: [config.depth] }
    for (const [name, { shape, data }] of state) feeds[name] = { data: (data as Float32Array).slice(), shape }
    const found = await session.run(feeds)
    // One random direction through all weights, along which nothing else is chosen.
    const direction = new Map(names.map((name) => [name, floats(feeds[name]).map(() => random.normal())]))
    const slope = names.reduce((sum, name) => {
      const d = found[`d.${name}`]?.data as Float32Array
      return sum + d.reduce((dot, value, i) => dot + value * (direction.get(name)?.[i] ?? 0), 0)
    }, 0)
    const at = async (h: number) => {
      for (const [name, { data }] of state)
        feeds[name]?.data.set((data as Float32Array).map((w, i) => w + h * (direction.get(name)?.[i] ?? 0)) as never)
      return Number((await session.run(feeds, ['loss'])).loss?.data[0])
    }
    const h = config === tiny ? 1e-4 : 5e-5 // small enough that no choice changes along the way
    const numeric = (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h)
    await session.close()
    assert.ok(
      maxAbsDiff(Float32Array.of(slope), Float32Array.of(numeric)) < 1e-2 * Math.abs(numeric),
      `slope ${slope}, differences ${numeric}`,
    )
  })
