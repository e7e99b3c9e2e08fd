/** Laws that hold for every option of the ViT family, dense and idled. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  assertClose,
  evaluate,
  floats,
  maxAbsDiff,
  pictureOf,
  randomPixels,
  randomWeights,
  tiny,
} from '../../test/support/models.js'
import { lower } from '../graph/passes/precision.js'
import { idle } from '../reduction/idle.js'
import { planReduction, type ReductionRequest } from '../reduction/registry.js'
import { type Ranking, rankings } from '../reduction/scores-unled.js'
import type { Values } from '../runtime/session.js'
import { shapeOf } from './backbone.js'
import { type BuildOptions, buildGraph } from './build.js'
import { imageTokens, prefixTokens, type VitConfig } from './config.js'

const base: VitConfig = { ...tiny, imageSize: 48, depth: 4 } // 36 image tokens, two heads of 12
const dinov3 = { kind: 'dinov3', temperature: 100 } as const
const eva = { kind: 'eva', temperature: 10_000, trainedGrid: [3, 3] } as const

const family: Readonly<Record<string, VitConfig>> = {
  'LayerScale, positions of image tokens alone': { ...base, layerScale: true, positions: 'image' },
  'registers without positions': { ...base, registers: 4, positions: 'class', layerScale: true },
  'registers with positions, rectangular, qkv without bias': {
    ...base,
    registers: 3,
    imageSize: 64,
    imageHeight: 24,
    qkvBias: 'none',
  },
  'LV-ViT: a stem, scaled branches, a head on every row': {
    ...base,
    stem: 6,
    qkvBias: 'none',
    branchScale: 0.5,
    auxHead: true,
  },
  'LV-ViT, rectangular': { ...base, stem: 4, imageHeight: 32, branchScale: 1 / 3, auxHead: true },
  'CLIP, with a projection and no head': {
    ...base,
    preNorm: true,
    patchBias: false,
    activation: 'quick-gelu',
    projection: 7,
    classes: 0,
  },
  SigLIP: { ...base, classToken: false, pool: 'attention', activation: 'gelu-tanh' },
  'mean of the rows, then fc_norm': { ...base, pool: 'mean', normAfterPool: true },
  'mean of normed rows, no class token': { ...base, classToken: false, pool: 'mean' },
  'class token beside the mean': { ...base, pool: 'class-mean' },
  'norm of queries and keys': { ...base, qkNorm: true },
  'gated MLPs, as in the giant DINOv2': { ...base, gated: true, hidden: 36, layerScale: true, classes: 0 },
  'DINOv3: rotary, keys without bias, registers, no head': {
    ...base,
    rotary: dinov3,
    positions: 'none',
    registers: 4,
    qkvBias: 'qv',
    layerScale: true,
    classes: 0,
  },
  'EVA rotary beside positions, norm of queries and keys, rectangular': {
    ...base,
    rotary: eva,
    imageHeight: 32,
    qkNorm: true,
  },
  'rotary without a class token': { ...base, rotary: dinov3, positions: 'none', classToken: false, pool: 'mean' },
}

for (const [name, config] of Object.entries(family))
  describe(name, () => {
    const values = randomWeights(config, 1)
    const pixels = randomPixels(config, 3, 2)
    const answer = config.classes === 0 ? 'pooled' : 'logits'
    const run = (options: BuildOptions, input = pixels) =>
      evaluate(buildGraph(config, values, options), { pixel_values: input })
    const planOf = (request: ReductionRequest) => planReduction(request, shapeOf(config))
    const able = rankings.filter(
      (ranking) =>
        (ranking !== 'class' || config.classToken !== false) && (ranking !== 'pooling' || config.pool === 'attention'),
    )

    it('computes only what can be seen, and the same, with operators of the standard too', async () => {
      const full = await run({ method: 'none', features: true })
      assertClose((await run({ method: 'none' }))[answer], full[answer], answer)
      const graph = lower(buildGraph(config, values, { method: 'none' }), { contrib: false })
      assertClose(
        (await evaluate(graph, { pixel_values: pixels }, { rewrite: false }))[answer],
        full[answer],
        'standard',
      )
    })

    it('idled with all tokens kept is dense, through the idle path too', async () => {
      const dense = await run({ method: 'none', features: true })
      const kept = await run({ ...planOf({ keepRatio: 1 }), features: true })
      const through = await run({ ...planOf({ keepRatio: 1 }), idleAll: true, features: true })
      for (const found of [kept, through])
        for (const each of [answer, 'features']) assertClose(found[each], dense[each], each)
    })

    for (const ranking of able)
      it(`idled by ${ranking}: gathered is masked, lean and full, and pictures are independent`, async () => {
        const plan = planOf({ keepRatio: 0.6, ranking })
        const gathered = await run({ ...plan, features: true, trace: true })
        const masked = await run({ ...plan, form: 'masked', features: true, trace: true })
        for (const each of [answer, 'features']) assertClose(gathered[each], masked[each], each)
        assertClose((await run(plan))[answer], gathered[answer], 'lean')
        assertClose((await run({ ...plan, form: 'masked' }))[answer], gathered[answer], 'lean, masked')
        assertClose((await run({ ...plan, official: true }))[answer], gathered[answer], 'projected')
        for (let b = 0; b < 3; b++) {
          const alone = await run({ ...plan, features: true, trace: true }, pictureOf(pixels, b))
          for (const [output, values] of Object.entries(alone))
            if (values.data instanceof Float32Array)
              assertClose(values, pictureOf(gathered[output] as Values, b), output)
            else assert.deepEqual(values.data, pictureOf(gathered[output] as Values, b).data, output)
        }
        for (const [output, { data }] of Object.entries(gathered)) {
          if (!output.startsWith('computed.')) continue
          const each = data.length / 3
          const kept = plan.keep[Number(output.slice('computed.'.length))]
          for (let b = 0; b < 3; b++)
            assert.equal(
              [...data.subarray(b * each, (b + 1) * each)].reduce((sum: number, one) => sum + Number(one), 0),
              kept,
            )
        }
      })

    it('leaves idle rows as they are and computes the prefix', async () => {
      const plan = planOf({ keepRatio: 0.6 })
      const found = await run({ ...plan, blocks: true, trace: true })
      const [l, rows, prefix] = [config.depth - 1, imageTokens(config), prefixTokens(config)]
      const [before, after] = [floats(found[`block.${l - 1}`]), floats(found[`block.${l}`])]
      const computed = floats(found[`computed.${l}`])
      const C = config.width
      for (let b = 0; b < 3; b++)
        for (let row = 0; row < prefix + rows; row++) {
          const at = (b * (prefix + rows) + row) * C
          const same = before.subarray(at, at + C).every((value, c) => value === after[at + c])
          const idles = row >= prefix && computed[b * rows + row - prefix] === 0
          assert.equal(same, idles, `picture ${b}, row ${row}`)
        }
    })

    it('serves every ratio with one elastic graph', async () => {
      const { keep } = planOf({ keepRatio: 0.6 })
      const elastic = buildGraph(config, values, { method: 'idle', elastic: true })
      const tokens = { data: BigInt64Array.from(keep, BigInt), shape: [keep.length] }
      const found = await evaluate(elastic, { pixel_values: pixels, keep_tokens: tokens })
      assertClose(found[answer], (await run(planOf({ keepRatio: 0.6 })))[answer], answer)
    })
  })

describe('methods on the family', () => {
  const run = async (config: VitConfig, request: ReductionRequest) => {
    const plan = planReduction(request, shapeOf(config))
    const values = randomWeights(config, 1)
    return evaluate(buildGraph(config, values, { ...plan, features: true }), {
      pixel_values: randomPixels(config, 2, 3),
    })
  }

  it('merge tokens behind any number of prefix rows', async () => {
    for (const config of [
      { ...base, classToken: false, pool: 'mean' as const },
      { ...base, registers: 1 },
      { ...base, registers: 4, positions: 'class' as const },
    ]) {
      const merged = await run(config, { method: 'tome', r: 0 })
      const dense = await run(config, { method: 'none' })
      assertClose(merged.logits, dense.logits, 'r = 0')
      assert.ok(maxAbsDiff(floats((await run(config, { method: 'tome', r: 4 })).logits), floats(dense.logits)) > 1e-4)
    }
  })

  it('leave padding out of the mean that is read', async () => {
    const config = { ...base, pool: 'class-mean' as const }
    const plan = planReduction({ method: 'ats' }, shapeOf(config))
    const graph = () => buildGraph(config, randomWeights(config, 1), plan)
    const pixels = randomPixels(config, 3, 3)
    const { logits } = await evaluate(graph(), { pixel_values: pixels })
    for (let b = 0; b < 3; b++) {
      const alone = await evaluate(graph(), { pixel_values: pictureOf(pixels, b) })
      assertClose(alone.logits, pictureOf(logits as Values, b), `picture ${b}`)
    }
  })

  for (const pool of ['class', 'mean', 'attention'] as const)
    it(`change nothing by merging equal tokens where the head reads by ${pool}`, async () => {
      const config: VitConfig = { ...base, pool, ...(pool !== 'class' && { classToken: false }) }
      const weights = new Map(randomWeights(config, 3))
      const { shape } = weights.get('pos_embed') as { shape: readonly number[] }
      weights.set('pos_embed', { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) })
      const side = config.imageSize
      const pixels = {
        // one colour on two thirds of the picture, another on the rest: two kinds of tokens
        data: Float32Array.from({ length: 3 * side ** 2 }, (_, i) => (i % side < (2 * side) / 3 ? 0.5 : -1)),
        shape: [1, 3, side, side],
      }
      const { keep } = planReduction({ method: 'tome', r: 4 }, shapeOf(config))
      const answer = async (options: BuildOptions) =>
        floats((await evaluate(buildGraph(config, weights, options), { pixel_values: pixels })).logits)
      const [dense, merged] = [await answer({ method: 'none' }), await answer({ method: 'tome', keep })]
      assert.ok(maxAbsDiff(dense, merged) < 1e-4, `${maxAbsDiff(dense, merged)}`)
    })

  it('are refused by name where they need what a model has not', () => {
    const unled = shapeOf({ ...base, classToken: false, pool: 'mean' })
    for (const method of ['evit', 'evovit', 'ats'] as const)
      assert.throws(
        () => planReduction({ method }, unled),
        /ranks tokens by the class token's attention, found a model/,
      )
    const turned = shapeOf({ ...base, rotary: dinov3 })
    assert.throws(() => planReduction({ method: 'tome' }, turned), /tome: does not know rotary positions/)
    const refused = (ranking: Ranking, reason: RegExp) => assert.throws(() => idle.plan({ ranking }, unled), reason)
    refused('class', /ranking: class wants a class token/)
    refused('pooling', /ranking: pooling wants a model that pools by attention/)
  })
})
