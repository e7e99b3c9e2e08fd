import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { evaluate, floats } from '../../test/support/models.js'
import { golden } from '../../test/support/shared.js'
import { createGraph, input, output } from '../graph/graph.js'
import { forward } from '../models/backbone.js'
import { constantWeights, methodBuild } from '../models/build.js'
import { imageTokens } from '../models/config.js'
import { openMethod } from '../reduction/registry.js'
import { readReference, tensorOf, tensorsUnder, valuesOf, vitConfigOf } from '../verify/reference.js'
import { blockCut, type CutKind, type CutReduction, cutLogits, tokenCut } from './cut.js'

const kinds: readonly CutKind[] = ['inter', 'intra', 'both']
const reductions: readonly CutReduction[] = ['official', 'paper']

/** Every kind and reduction of one block's loss, as `official.inter` and so on. */
async function cuts(logits: readonly number[], selected: readonly number[]): Promise<Record<string, number>> {
  const graph = createGraph()
  const N = selected.length
  const [e, m] = [input(graph, 'logits', [1, 1, N, N]), input(graph, 'selected', [1, N])]
  for (const reduction of reductions)
    for (const kind of kinds) output(`${reduction}.${kind}`, blockCut(e, m, kind, reduction))
  const results = await evaluate(graph, {
    logits: { data: Float32Array.from(logits), shape: [1, 1, N, N] },
    selected: { data: Float32Array.from(selected), shape: [1, N] },
  })
  return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, Number(value.data[0])]))
}

const near = (a: number | undefined, b: number, tolerance: number) =>
  assert.ok(a !== undefined && Math.abs(a - b) <= tolerance, `${a}, wanted ${b}`)

describe('token cut', () => {
  it('gives the numbers worked out by hand for four tokens', async () => {
    const logits = [0.5, 1, -0.5, 0, 0.2, 0.8, 0.3, -1, -0.4, 0.1, 0.9, 0.6, 1, -0.2, 0, 0.4]
    const found = await cuts(logits, [1, 1, 0, 0])
    near(found['official.inter'], 0.05867, 1e-6)
    near(found['official.intra'], 0.045737, 1e-6)
    near(found['paper.inter'], 0.11734, 1e-6)
    near(found['paper.intra'], 0.091474, 1e-6)
  })

  it('equals its definition: sums over pairs on either side of the cut', async () => {
    const matrix = fc.integer({ min: 2, max: 6 }).chain((N) =>
      fc.record({
        logits: fc.array(fc.integer({ min: -300, max: 300 }), { minLength: N * N, maxLength: N * N }),
        selected: fc.array(fc.constantFrom(0, 1), { minLength: N - 1, maxLength: N - 1 }),
      }),
    )
    await fc.assert(
      fc.asyncProperty(matrix, async ({ logits, selected }) => {
        const e = logits.map((v) => v / 100)
        const m = [1, ...selected]
        const found = await cuts(e, m)
        for (const [name, value] of Object.entries(byDefinition(e, m))) near(found[name], value, 1e-5)
      }),
      { numRuns: 20, seed: 1 },
    )
  })

  it('has an intra term equal to the inter term of selected rows', async () => {
    // With no idle token but the last, and that one attending to the class token alone, only selected rows leak.
    const found = await cuts([0, 0, 1, 0, 2, 0, 40, 0, 0], [1, 1, 0])
    for (const reduction of reductions) near(found[`${reduction}.inter`], found[`${reduction}.intra`] ?? 0, 1e-7)
    assert.ok((found['official.intra'] ?? 0) > 0.01)
  })

  it('is zero when nothing is idle', async () => {
    for (const value of Object.values(await cuts([1, 2, 3, 4], [1, 1]))) assert.equal(value, 0)
  })
})

/** Equations 9 and 10 pair by pair, as the text and the official code have them. */
function byDefinition(e: readonly number[], m: readonly number[]): Record<string, number> {
  const N = m.length
  const sums = m.map((mi, i) => {
    const row = e.slice(i * N, (i + 1) * N).map(Math.exp)
    const total = row.reduce((a, b) => a + b, 0)
    const over = (keep: (mj: number, j: number) => number) =>
      row.reduce((sum, w, j) => sum + (keep(m[j] as number, j) * w) / total, 0)
    return {
      inter: over((mj, j) => (j === 0 ? 0 : Math.abs(mi - mj))) ** 2,
      intra: (over((mj) => mi * mj) - mi) ** 2,
      selected: mi === 1,
    }
  })
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length)
  const [S, I] = [sums.filter((row) => row.selected), sums.filter((row) => !row.selected)]
  const official = { inter: mean(sums.map((row) => row.inter)), intra: mean(sums.map((row) => row.intra)) }
  const paper = {
    inter: mean(S.map((row) => row.inter)) + mean(I.map((row) => row.inter)),
    intra: mean(S.map((row) => row.intra)),
  }
  return {
    'official.inter': official.inter,
    'official.intra': official.intra,
    'official.both': official.inter + official.intra,
    'paper.inter': paper.inter,
    'paper.intra': paper.intra,
    'paper.both': paper.inter + paper.intra,
  }
}

describe('token cut of the reference model', async () => {
  const reference = await readReference(golden('idlevit-deit.safetensors'))
  const config = vitConfigOf(reference)
  const kept = reference.config.K_per_idle_block as number[]
  const graph = createGraph()
  const pixels = input(graph, 'input', ['batch', 3, config.imageSize, config.imageSize])
  const weights = constantWeights(graph, tensorsUnder(reference, 'state.'))
  const keep = [...new Array<number>(3).fill(imageTokens(config)), ...kept]
  const form = openMethod(methodBuild(graph, weights, config), { keep, score: 'logits', traces: () => true })
  const { blocks } = forward(weights, pixels, config, { form })
  const attentions = blocks.flatMap(({ step }) => step.attention ?? [])
  for (const reduction of reductions) {
    for (const kind of kinds) {
      for (const which of ['all', 'every-second'] as const)
        output(`${reduction}.${kind}.${which}`, tokenCut(attentions, { kind, reduction, blocks: which }))
      for (const [i, each] of attentions.entries())
        output(`${reduction}.${kind}.${i}`, blockCut(cutLogits(each, reduction), each.selected, kind, reduction))
    }
  }
  const results = await evaluate(graph, { input: valuesOf(reference, 'input') })
  const found = (name: string) => Number(floats(results[name])[0])
  const expected = (name: string, i = 0) => Number(tensorOf(reference, `expect.${name}`).data[i])
  const close = (name: string, value: number) =>
    assert.ok(Math.abs(found(name) - value) <= 2e-5 * value, `${name}: ${found(name)}, wanted ${value}`)

  it('block by block, in both reductions', () => {
    for (const i of attentions.keys()) {
      for (const kind of ['inter', 'intra'] as const) {
        close(`official.${kind}.${i}`, expected(`allcut.${kind}`, i))
        close(`paper.${kind}.${i}`, expected(`paper.${kind}`, i))
      }
    }
  })

  it('summed as the official code does, over every second block', () => {
    const count = attentions.length
    close('official.both.every-second', expected('code.cut_sum') / count)
    close('official.inter.every-second', expected('code.cut_sum_inter') / count)
    close('official.intra.every-second', expected('code.cut_sum_intra') / count)
    close('official.both.all', expected('clean.cut_mean'))
  })

  it('summed as the paper does, over all blocks', () => {
    close('paper.inter.all', expected('paper.inter_total'))
    close('paper.intra.all', expected('paper.intra_total'))
    close('paper.both.all', expected('paper.inter_total') + expected('paper.intra_total'))
  })
})
