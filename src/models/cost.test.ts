import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planReduction, type ReductionRequest } from '../reduction/registry.js'
import { planKeep } from '../reduction/schedule.js'
import { shapeOf } from './backbone.js'
import type { VitConfig } from './config.js'
import { modelCost } from './cost.js'
import { presets } from './presets.js'

const config = (name: string) => presets[name]?.config as VitConfig
const gmacs = (macs: number) => Number((macs / 1e9).toFixed(3))
const cost = (name: string, keepRatio: number) =>
  modelCost(config(name), { keep: planKeep({ keepRatio }, 12, 196).keep })

const costOf = (name: string, request: ReductionRequest) =>
  modelCost(config(name), planReduction(request, shapeOf(config(name))))

/** GMACs of DeiT-S by keep ratio: the official structure, and selected tokens only (methods of the paper's Table 1). */
const deitSmall: Record<string, readonly [number, number]> = {
  0.9: [3.965, 3.914],
  0.8: [3.442, 3.349],
  0.7: [3.007, 2.878],
  0.6: [2.634, 2.473],
  0.5: [2.333, 2.147],
  0.4: [2.077, 1.869],
  0.3: [1.87, 1.643],
}

describe('cost of DeiT', () => {
  it('counts the parameters of the published checkpoints', () => {
    const params = (name: string) => modelCost(config(name)).params
    assert.equal(params('deit-tiny'), 5_717_416)
    assert.equal(params('deit-small'), 22_050_664)
    assert.equal(params('deit-small-distilled'), 22_436_432)
  })

  it('counts the MACs of the official structure at every keep ratio', () => {
    for (const [k, [kForAll, selectedOnly]] of Object.entries(deitSmall)) {
      const { countings, denseMacs } = cost('deit-small', Number(k))
      assert.equal(gmacs(denseMacs), 4.599)
      assert.equal(gmacs(countings.kForAll ?? 0), kForAll, `keys of all tokens, k = ${k}`)
      assert.equal(gmacs(countings.selectedOnly ?? 0), selectedOnly, `selected tokens only, k = ${k}`)
      assert.ok(countings.executed < (countings.kForAll ?? 0))
    }
  })

  /**
   * GMACs of DeiT-S at k = 0.9 … 0.5 by an independent counter on the official structure, which leaves out what scores
   * cost; EViT's as its authors publish them.
   */
  const rivals: readonly [what: string, request: ReductionRequest, expected: readonly number[]][] = [
    ['EViT', { method: 'evit' }, [4.022, 3.477, 3.029, 2.635, 2.309]],
    ['EViT, unfused', { method: 'evit', fuse: false }, [3.988, 3.444, 2.997, 2.608, 2.282]],
    ['DynamicViT', { method: 'dynamicvit' }, [4.041, 3.463, 2.981, 2.565, 2.229]],
    ['Evo-ViT', { method: 'evovit' }, [4.27, 3.946, 3.642, 3.328, 3.033]],
  ]
  for (const [what, request, expected] of rivals)
    it(`counts the official structure of ${what}, and executes less`, () => {
      for (const [i, keepRatio] of [0.9, 0.8, 0.7, 0.6, 0.5].entries()) {
        const { macs, countings } = costOf('deit-small', { ...request, keepRatio })
        const difference = Math.abs((countings.official ?? 0) / 1e9 - (expected[i] ?? 0))
        assert.ok(difference <= 0.005, `k = ${keepRatio}: ${countings.official}`)
        assert.ok(macs < (countings.official ?? 0))
      }
    })

  it('counts ToMe at r = 13, and what DynamicViT’s predictors add to the parameters', () => {
    const { macs, countings } = costOf('deit-small', { method: 'tome', r: 13 })
    assert.ok(Math.abs((countings.official ?? 0) / 1e9 - 2.703) <= 0.005)
    assert.ok(macs < (countings.official ?? 0))
    assert.equal(costOf('deit-small', { method: 'dynamicvit', keepRatio: 0.7 }).params, 22_774_414)
  })

  it('counts what the gates of AdaViT and the predictors of SPViT add to the parameters', () => {
    const [C, H, d] = [384, 6, 64]
    const gates = 12 * (C + 1) + 11 * (H + 2) * (C + 1)
    assert.equal(costOf('deit-small', { method: 'adavit' }).params, 22_050_664 + gates)
    const layers = 2 * d + d * (d + 1) + 32 * (d + 1) + 16 * 33 + 2 * 17 // of one head, which all share
    const words = 3 * (H + 1) + H * 4
    assert.equal(costOf('deit-small', { method: 'spvit' }).params, 22_050_664 + 3 * (layers + words))
  })

  it('counts SPViT at the shares of its published models, whose packages go along', () => {
    const [N0, C, D] = [196, 384, 64]
    const kept = [196, 196, 196, 120, 120, 120, 72, 72, 72, 26, 26, 26] // trunc(196 · 0.617, 0.369, 0.137)
    const rows = kept.map((K, l) => 1 + K + Math.floor(l / 3))
    const blocks = rows.reduce((sum, n) => sum + 12 * n * C ** 2 + 2 * n ** 2 * C, 0)
    const predictor = (m: number) => m * (6 * (D * D + D * 32 + 32 * 16 + 32) + 36) + m * C // words: 6 → 3 → 6; the package
    const before = [196, 121, 74].map((m, p) => predictor(m) - p * C) // packages are not packed again
    const all = N0 * 768 * C + blocks + before.reduce((a, b) => a + b) + C * 1000
    assert.equal(costOf('deit-small', { method: 'spvit' }).countings.official, all)
  })

  it('counts DeiT-B at the ratios that are published', () => {
    for (const [k, expected] of [
      [0.9, 15.21],
      [0.8, 13.24],
      [0.7, 11.58],
    ] as const)
      assert.equal(Number(((cost('deit-base', k).countings.kForAll ?? 0) / 1e9).toFixed(2)), expected)
    // (4 + 2R) N C² + 2 N² C in twelve blocks, the embedding and the head: 17.564, published as 17.57.
    assert.equal(gmacs(cost('deit-base', 1).denseMacs), 17.564)
  })

  it('adds up: blocks, embedding and head make the whole', () => {
    const { blocks, macs } = cost('deit-small', 0.7)
    const rest = 196 * 768 * 384 + 384 * 1000
    assert.equal(
      blocks.reduce((sum, block) => sum + block.macs, rest),
      macs,
    )
    assert.deepEqual(
      blocks.map(({ tokens }) => tokens),
      [196, 196, 196, 137, 137, 137, 96, 96, 96, 67, 67, 67],
    )
  })
})

describe('the family, by hand', () => {
  /** MACs of a dense model: patches, blocks of (4 + 2R) N C² + 2 N² C, and what reads out. */
  const byHand = (tokens: number, prefix: number, C: number, depth: number, patch: number, readout: number) => {
    const N = tokens + prefix
    return tokens * 3 * patch ** 2 * C + depth * (12 * N * C ** 2 + 2 * N ** 2 * C) + readout
  }
  const dense = (name: string) => modelCost(config(name)).denseMacs

  it('as many parameters as published, mask tokens of pretraining aside', () => {
    const published = { 'dinov2-small': 22_056_576 - 384, 'clip-base-16': 86_192_640, 'siglip-base': 92_884_224 }
    for (const [name, params] of Object.entries(published)) assert.equal(modelCost(config(name)).params, params, name)
  })

  it('DINOv2-S/14 at 518², with and without registers', () => {
    assert.equal(dense('dinov2-small'), byHand(37 * 37, 1, 384, 12, 14, 0))
    assert.equal(dense('dinov2-small-registers'), byHand(37 * 37, 5, 384, 12, 14, 0))
    assert.equal((dense('dinov2-small') / 1e9).toFixed(2), '46.70') // 0.309 + 12 (2.424 + 1.441)
  })

  it('CLIP-B/16, with its projection', () => {
    assert.equal(dense('clip-base-16'), byHand(196, 1, 768, 12, 16, 768 * 512))
  })

  it('LV-ViT, with its stem and a head on every row', () => {
    /** Convolutions at 112², blocks of (4 + 2·3) N C² + 2 N² C, and both heads. */
    const lvvit = (C: number, depth: number) => {
      const [N, side] = [197, 112 ** 2]
      const stem = side * 64 * (3 * 49 + 2 * 64 * 9) + 196 * 64 * 64 * C
      return stem + depth * (10 * N * C ** 2 + 2 * N ** 2 * C) + N * C * 1000
    }
    assert.equal(dense('lvvit-t'), lvvit(240, 12))
    assert.equal(dense('lvvit-s'), lvvit(384, 16))
    assert.equal(dense('lvvit-m'), lvvit(512, 20))
    assert.equal(gmacs(dense('lvvit-s')), 6.551)
    assert.equal((dense('lvvit-m') / 1e9).toFixed(2), '12.68')
    // As published, less the factors of three batch norms, which are part of the convolutions here.
    assert.equal(modelCost(config('lvvit-s')).params, 26_151_824 - 3 * 64)
  })

  it('LV-ViT-S idled: the official structure, and selected tokens only', () => {
    const wanted = {
      0.9: [5.839, 5.77],
      0.8: [5.253, 5.129],
      0.7: [4.769, 4.597],
      0.6: [4.355, 4.14],
      0.5: [4.023, 3.774],
    }
    for (const [keepRatio, expected] of Object.entries(wanted)) {
      const { countings } = costOf('lvvit-s', { keepRatio: Number(keepRatio) })
      const found = [countings.kForAll, countings.selectedOnly].map((macs) => gmacs(macs ?? 0))
      assert.deepEqual(found, expected, `k = ${keepRatio}`)
      assert.ok(countings.executed < (countings.kForAll ?? 0))
    }
    const { countings } = costOf('lvvit-m', { keepRatio: 0.7 })
    assert.equal(((countings.kForAll ?? 0) / 1e9).toFixed(2), '8.86')
  })

  it('DINOv3-S/16, whose turning multiplies no matrices', () => {
    assert.equal(dense('dinov3-small'), byHand(196, 5, 384, 12, 16, 0))
  })

  it('SigLIP-B/16, whose pooling folds keys and values', () => {
    const [N, C] = [196, 768]
    const query = C * C
    const pooling = C * C + 12 * N * C + 12 * N * C + C * C + C * C // keys of the query, logits, mixed rows, values, projection
    assert.equal(dense('siglip-base'), byHand(N, 0, C, 12, 16, query + pooling + 8 * C * C))
  })
})
