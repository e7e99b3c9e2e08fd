import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { createRandom } from '../random.js'
import type { Values } from '../runtime/session.js'
import type { StateDict } from '../weights/state.js'
import { createParameters } from './parameters.js'
import { type Batch, buildStep, createStep, type StepPlan } from './step.js'

const B = 3
const keep = [16, 11, 7, 5]
const state = randomWeights(tiny, 1) as StateDict
const random = createRandom(7)
const normals = (...shape: number[]): Values => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
  shape,
})
const targets: Values = {
  data: Float32Array.from({ length: B * tiny.classes }, (_, i) => (i % tiny.classes === 2 ? 0.8 : 0.05)),
  shape: [B, tiny.classes],
}
const logits = normals(B, tiny.classes)
const classBatch: Batch = {
  pixels: randomPixels(tiny, B, 2),
  targets,
  teacher: { logits, features: normals(B, 1, tiny.width) },
}
const tokenBatch: Batch = { ...classBatch, teacher: { logits, features: normals(B, 17, tiny.width) } }

/** Loss, parts and all gradients of one step. */
async function run(plan: Partial<StepPlan>, batch: Batch = classBatch, isTrained?: (name: string) => boolean) {
  const parameters = createParameters(state, isTrained)
  const gradients = new Float32Array(parameters.values.length)
  const step = await createStep({ config: tiny, keep, ...plan }, parameters, gradients, { threads: 1 })
  const result = await step.run(batch)
  await step.close()
  return { ...result, gradients, parameters }
}

type Run = Awaited<ReturnType<typeof run>>

/** Loss within 1e-5, every tensor's gradient within `tolerance` of its largest entry. */
function assertSame(a: Run, b: Run, tolerance: number): void {
  assert.ok(Math.abs(a.loss - b.loss) <= 1e-5 * Math.abs(b.loss), `loss ${a.loss} and ${b.loss}`)
  for (const { name, start, end } of b.parameters.trained) {
    const [found, wanted] = [a.gradients.subarray(start, end), b.gradients.subarray(start, end)]
    const largest = wanted.reduce((max, g) => Math.max(max, Math.abs(g)), 1e-6)
    assert.ok(maxAbsDiff(found, wanted) <= tolerance * largest, `${name}: ${maxAbsDiff(found, wanted) / largest}`)
  }
}

describe('a training step', () => {
  for (const reduction of ['official', 'paper'] as const) {
    for (const featureRows of ['class', 'all', 'selected'] as const) {
      it(`is the same masked and gathered (${reduction} cut, features of ${featureRows})`, async () => {
        const plan = { cut: { reduction, blocks: 'all' }, featureRows } as const
        const batch = featureRows === 'class' ? classBatch : tokenBatch
        assertSame(await run(plan, batch), await run({ ...plan, form: 'masked' }, batch), 1e-4)
      })
    }
  }

  it('is the same masked and gathered without the cut loss, when no query or key of an idle row is needed', async () => {
    const weights = { classification: 1, distillation: 5, feature: 500, cut: 0 }
    const gathered = await run({ weights })
    assert.ok(!('cut' in gathered.parts))
    assertSame(gathered, await run({ weights, form: 'masked' }), 1e-4)
  })

  it('takes its token counts from the batch when they are fed', async () => {
    const fed = { keep: [16, 'fed', 'fed', 'fed'] } as const
    for (const counts of [keep, [16, 3, 2, 1], [16, 16, 16, 16]])
      assertSame(await run(fed, { ...classBatch, keep: counts }), await run({ keep: counts }), 1e-4)
  })

  it('is the same when the blocks are computed again for the backward pass', async () => {
    assertSame(await run({ recompute: true }), await run({}), 1e-5)
  })

  it('computes no gradient of a frozen tensor, and the same of the others', async () => {
    const isTrained = (name: string) => !/^(cls_token|pos_embed|blocks\.[01]\.)/.test(name)
    const [part, all] = [await run({}, classBatch, isTrained), await run({})]
    assert.equal(part.parameters.trained.length, [...state.keys()].filter(isTrained).length)
    const full = new Map(all.parameters.trained.map((parameter) => [parameter.name, parameter]))
    for (const { name, start, end } of part.parameters.trained) {
      const whole = all.gradients.subarray(full.get(name)?.start, full.get(name)?.end)
      assert.ok(
        maxAbsDiff(part.gradients.subarray(start, end), whole) < 1e-4 * Math.max(1, ...whole.map(Math.abs)),
        name,
      )
    }
  })

  it('leaves out the backward pass of frozen layers', () => {
    const nodes = (isTrained: (name: string) => boolean) =>
      buildStep({ config: tiny, keep }, createParameters(state, isTrained)).graph.nodes.length
    assert.ok(nodes((name) => name.startsWith('head')) < 0.7 * nodes(() => true))
  })

  it('drops residual branches by the factors it is given', async () => {
    const factors = (value: (branch: number) => number): Values => {
      const data = Float32Array.from({ length: tiny.depth * 2 * B }, (_, i) => value(Math.floor(i / B) % 2))
      return { data, shape: [tiny.depth, 2, B] }
    }
    const plain = await run({})
    assertSame(await run({ dropPath: true }, { ...classBatch, dropPath: factors(() => 1) }), plain, 1e-4)
    const noMlp = await run({ dropPath: true }, { ...classBatch, dropPath: factors((branch) => 1 - branch) })
    assert.notEqual(noMlp.loss, plain.loss)
    for (const { name, start, end } of noMlp.parameters.trained) {
      const dropped = noMlp.gradients.subarray(start, end).every((g) => g === 0)
      assert.equal(dropped, /\.(norm2|mlp)\./.test(name), name)
    }
  })
})
