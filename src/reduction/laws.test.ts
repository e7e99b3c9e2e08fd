/** What holds for every method that the registry knows, whichever it is. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  assertClose,
  evaluate,
  floats,
  pictureOf,
  randomPixels,
  tiny,
  weightsUnder,
} from '../../test/support/models.js'
import { output } from '../graph/graph.js'
import { lower } from '../graph/passes/precision.js'
import { shapeOf } from '../models/backbone.js'
import { type BuildOptions, buildForward, buildGraph, type WeightValues } from '../models/build.js'
import type { VitConfig } from '../models/config.js'
import type { Values } from '../runtime/session.js'
import { type MethodName, methodNames, methodOf, planReduction, type ReductionRequest } from './registry.js'

const plain = { ...tiny, imageSize: 48, depth: 6 } // 36 image tokens, six blocks
const pixels = randomPixels(plain, 3, 2)

/** Models whose last block is read at one row, at two, and at all; the second has gated MLPs. */
const models: Readonly<Record<string, VitConfig>> = {
  DeiT: plain,
  'distilled DeiT': { ...plain, distilled: true, gated: true, hidden: 24 },
  'LV-ViT': { ...plain, stem: 4, qkvBias: 'none', branchScale: 0.5, auxHead: true },
}

/** Requests that reduce, by method; the others take a keep ratio as it is. */
const requests: Partial<Record<MethodName, readonly ReductionRequest[]>> = {
  none: [{}],
  evit: [{ keepRatio: 0.6 }, { keepRatio: 0.6, fuse: false }],
  evovit: [{ keepRatio: 0.5 }, { keepRatio: 0.5, layerwise: true }],
  ats: [{}, { keepRatio: 0.6 }, { samples: 12 }],
  group: [{ keepRatio: 0.6 }, { groups: [36, 9, 9, 20, 12, 12], attention: 0 }, { groups: 12, regroup: [3, 5] }],
  adavit: [{}, { keepRatio: 0.7 }, { dropped: 'hidden' }, { dropped: 'identity' }],
  spvit: [{}, { keepRatio: 0.6 }, { keepRatio: 0.6, stay: 'picture' }],
  tome: [{ r: 4 }, { r: 3, inflect: -0.5 }, { r: [0, 8, 2] }, { r: 4, proportional: false }],
}
const reduced = (method: MethodName): readonly ReductionRequest[] => requests[method] ?? [{ keepRatio: 0.6 }]

/** Requests under which nothing is reduced. */
const everything: Partial<Record<MethodName, ReductionRequest>> = { ats: { from: 6 }, tome: { r: 0 } }

const run = (config: VitConfig, values: WeightValues, options: BuildOptions, input: Values = pixels) =>
  evaluate(buildGraph(config, values, options), { pixel_values: input })

for (const method of methodNames.filter((name) => methodOf(name).windows !== 'only'))
  for (const [model, config] of Object.entries(models))
    describe(`${method}, ${model}`, () => {
      const shape = shapeOf(config)

      it('is the dense model where everything is kept', async () => {
        const plan = planReduction({ method, ...(everything[method] ?? { keepRatio: 1 }) }, shape)
        const values = weightsUnder(config, plan)
        const [a, b] = [await run(config, values, plan), await run(config, values, { method: 'none' })]
        assertClose(a.logits, b.logits, 'logits', 1e-5)
      })

      for (const request of reduced(method)) {
        const said = JSON.stringify(request)
        const plan = planReduction({ method, ...request }, shape)
        const values = weightsUnder(config, plan)

        it(`treats every picture of a batch alone: ${said}`, async () => {
          const options = { ...plan, trace: true, blocks: true }
          const together = await run(config, values, options)
          for (let b = 0; b < 3; b++) {
            const alone = await run(config, values, options, pictureOf(pixels, b))
            for (const [name, values] of Object.entries(alone)) {
              const whole = pictureOf(together[name] as Values, b)
              if (values.data instanceof Float32Array) assertClose(values, whole, `${name} of picture ${b}`)
              else assert.deepEqual(values.data, whole.data, `${name} of picture ${b}`)
            }
          }
        })

        it(`computes only what can be seen, and the same: ${said}`, async () => {
          const [lean, full] = [
            await run(config, values, plan),
            await run(config, values, { ...plan, official: true, features: true }),
          ]
          assertClose(lean.logits, full.logits, 'logits')
          const standard = await evaluate(
            lower(buildGraph(config, values, plan), { contrib: false }),
            { pixel_values: pixels },
            { contrib: false },
          )
          assertClose(lean.logits, standard.logits, 'standard operators')
          const lowered = await evaluate(lower(buildGraph(config, values, plan)), { pixel_values: pixels })
          assertClose(lean.logits, lowered.logits, 'lowered')
        })

        it(`loses tokens for good, or none, and counts them all: ${said}`, async () => {
          const { graph, model } = buildForward(config, values, { ...plan, trace: true, blocks: true })
          const { rows } = model
          if (rows.size) output('size', rows.size)
          const result = await evaluate(graph, { pixel_values: pixels })
          let before = new Set(Array.from({ length: 3 * shape.tokens }, (_, i) => i))
          for (let l = 0; l < shape.depth; l++) {
            const home = result[`home.${l}`]?.data as BigInt64Array | undefined
            const there = new Set(home ? [...home.keys()].filter((i) => Number(home[i]) >= 0) : before)
            if (methodOf(method).shrinks)
              assert.ok(
                [...there].every((token) => before.has(token)),
                `block ${l}`,
              )
            else assert.equal(there.size, 3 * shape.tokens)
            before = there
          }
          if (!result.size) return
          const [B, n] = result.size.shape as [number, number]
          for (let b = 0; b < B; b++) {
            const sum: number = floats(result.size)
              .subarray(b * n, (b + 1) * n)
              .reduce((x, y) => x + y, 0)
            assert.equal(sum, shape.prefix + shape.tokens)
          }
        })
      }
    })
