import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { evaluate, floats, maxAbsDiff } from '../../test/support/models.js'
import { golden } from '../../test/support/shared.js'
import { buildForward } from '../models/build.js'
import { presetOf } from '../training/options.js'
import { createParameters } from '../training/parameters.js'
import { type Batch, createStep, type StepPlan } from '../training/step.js'
import { type Reference, readReference, tensorOf, tensorsUnder, valuesOf, vitConfigOf } from '../verify/reference.js'
import { toTimmNames } from '../weights/names.js'
import type { StateDict } from '../weights/state.js'

/** Runs a step over a reference file's model and compares its gradients with those under `prefix`. */
async function replay(reference: Reference, plan: Omit<StepPlan, 'config'>, prefix: string, more: Partial<Batch> = {}) {
  const config = vitConfigOf(reference)
  const parameters = createParameters(toTimmNames(tensorsUnder(reference, 'state.') as StateDict))
  const gradients = new Float32Array(parameters.values.length)
  const step = await createStep({ config, ...plan }, parameters, gradients, { threads: 1 })
  const teacher = reference.tensors.has('expect.teacher_cls_feature') && {
    logits: valuesOf(reference, 'expect.teacher_logits'),
    features: {
      data: tensorOf(reference, 'expect.teacher_cls_feature').data as Float32Array,
      shape: [3, 1, config.width],
    },
  }
  const result = await step.run({
    pixels: valuesOf(reference, 'input'),
    targets: valuesOf(reference, 'targets'),
    ...(teacher && { teacher }),
    ...more,
  })
  await step.close()
  let worst = 0
  for (const { name, start, end } of parameters.trained) {
    const expected = tensorOf(reference, `${prefix}${name}`).data as Float32Array
    const largest = expected.reduce((max, g) => Math.max(max, Math.abs(g)), 0)
    const error = maxAbsDiff(gradients.subarray(start, end), expected) / largest
    assert.ok(error < 1e-4, `${name}: relative error ${error}`)
    worst = Math.max(worst, error)
  }
  return { ...result, worst }
}

const scalarOf = (reference: Reference, name: string) => Number(tensorOf(reference, name).data[0])

function assertClose(found: number | undefined, expected: number, what: string, tolerance = 2e-5): void {
  assert.ok(
    found !== undefined && Math.abs(found - expected) <= tolerance * Math.abs(expected),
    `${what}: ${found}, wanted ${expected}`,
  )
}

describe('gradients of the reference files', () => {
  it('DeiT: cross entropy', async () => {
    const reference = await readReference(golden('deit.safetensors'))
    const { depth } = vitConfigOf(reference)
    const plan = { keep: Array.from({ length: depth }, () => 64), teacher: false }
    const { loss } = await replay(reference, plan, 'grad.')
    assertClose(loss, scalarOf(reference, 'expect.cross_entropy'), 'cross entropy')
  })

  for (const form of ['masked', 'gathered'] as const) {
    describe(`IdleViT, ${form}`, async () => {
      const reference = await readReference(golden('idlevit-deit.safetensors'))
      const kept = reference.config.K_per_idle_block as number[]
      const idle = { keep: [64, 64, 64, ...kept], form, score: 'logits' as const }
      const value = (name: string) => scalarOf(reference, name)

      it("the official code's total, every second block in the cut", async () => {
        const { loss, parts, logits } = await replay(reference, idle, 'grad.')
        assertClose(loss, value('expect.code.total'), 'total')
        assertClose(parts.classification, value('expect.code.cls'), 'classification')
        assertClose(parts.distillation, value('expect.code.kl'), 'distillation')
        assertClose(parts.feature, value('expect.code.feature'), 'feature')
        assertClose(parts.cut, value('expect.code.cut_sum') / kept.length, 'cut')
        assert.ok(maxAbsDiff(logits.data, floats(valuesOf(reference, 'expect.train_logits'))) < 3e-5)
      })

      it('the total over all idle blocks', async () => {
        const { loss, parts } = await replay(reference, { ...idle, cut: { blocks: 'all' } }, 'gradclean.')
        assertClose(loss, value('expect.clean.total'), 'total')
        assertClose(parts.cut, value('expect.clean.cut_mean'), 'cut')
      })
    })
  }

  it('DynamicViT: straight through the stored noise, predictors included', async () => {
    const reference = await readReference(golden('dynamicvit-deit.safetensors'))
    const config = vitConfigOf(reference)
    const [points, counts, wanted] = ['pruning_loc', 'K', 'token_ratio'].map((name) => reference.config[name]) as [
      number[],
      number[],
      number[],
    ]
    const stage = (l: number) => points.filter((point) => point <= l).length - 1
    const blocks = Array.from({ length: config.depth }, (_, l) => l)
    const keep = blocks.map((l) => counts[stage(l)] ?? 196)
    const ratios = blocks.map((l) => wanted[stage(l)] ?? 1)
    const state = tensorsUnder(reference, 'teacher.')
    const { graph } = buildForward(config, toTimmNames(state as StateDict), { method: 'none', features: true })
    const teacher = await evaluate(graph, { pixel_values: valuesOf(reference, 'input') })
    const plan = { method: 'dynamicvit', keep, ratios, weights: presetOf('official', 'dynamicvit').loss } as const
    const inputs = Object.fromEntries(points.map((l) => [`gumbel.${l}`, valuesOf(reference, `gumbel.${l}`)]))
    const { loss } = await replay(reference, plan, 'grad.', { inputs, teacher })
    assertClose(loss, scalarOf(reference, 'expect.train.total'), 'total')
  })
})
