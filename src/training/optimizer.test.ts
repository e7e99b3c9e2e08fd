import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { maxAbsDiff } from '../../test/support/models.js'
import { golden } from '../../test/support/shared.js'
import { readReference, tensorOf } from '../verify/reference.js'
import { float32, type StateDict } from '../weights/state.js'
import { accumulate, clipFactor, globalNorm } from './accumulate.js'
import { adamWStep, createAdamWState } from './adamw.js'
import { updateAverage } from './ema.js'
import { createParameters, decays, stateOf, viewsOf } from './parameters.js'
import { type CosineOptions, epochRate } from './schedule.js'

const reference = await readReference(golden('optim.safetensors'))
const floatsOf = (name: string) => tensorOf(reference, name).data as Float32Array

describe('AdamW', () => {
  it("follows PyTorch's trajectory: weights and both moments", () => {
    const { lr_per_step: rates } = reference.config.adamw as { lr_per_step: number[] }
    const initial: StateDict = new Map([
      ['bias', tensorOf(reference, 'adamw.bias.0')],
      ['weight', tensorOf(reference, 'adamw.weight.0')],
    ])
    const parameters = createParameters(initial)
    const state = createAdamWState(parameters)
    const gradients = new Float32Array(parameters.values.length)
    for (const [i, rate] of rates.entries()) {
      for (const [name, { data }] of viewsOf(parameters, gradients))
        (data as Float32Array).set(floatsOf(`adamw.grad_${name}.${i + 1}`))
      adamWStep(parameters, gradients, state, rate, { weightDecay: 0.05 })
      const expect = (flat: Float32Array, tensor: string, key: string) => {
        const found = viewsOf(parameters, flat).get(tensor)?.data as Float32Array
        const wanted = floatsOf(`expect.adamw.${key}.${i + 1}`)
        const error = maxAbsDiff(found, wanted) / Math.max(...wanted.map(Math.abs))
        assert.ok(error < 3e-7, `${key} after step ${i + 1}: relative error ${error}`)
      }
      expect(parameters.values, 'weight', 'weight')
      expect(parameters.values, 'bias', 'bias')
      expect(state.first, 'weight', 'exp_avg_weight')
      expect(state.second, 'weight', 'exp_avg_sq_weight')
    }
  })

  it('takes accumulated gradients by their mean', () => {
    const state: StateDict = new Map([['weight', float32(Float32Array.of(1, 2, 3, 4), [2, 2])]])
    const [one, two] = [createParameters(state), createParameters(state)]
    const gradient = Float32Array.of(0.5, -1, 2, 0.25)
    const sum = new Float32Array(4)
    accumulate(sum, gradient)
    accumulate(sum, gradient)
    adamWStep(one, gradient, createAdamWState(one), 0.01)
    adamWStep(two, sum, createAdamWState(two), 0.01, {}, 0.5)
    assert.deepEqual(two.values, one.values)
    assert.notDeepEqual(one.values, Float32Array.of(1, 2, 3, 4))
  })
})

describe('parameters', () => {
  const state: StateDict = new Map([
    ['cls_token', float32(Float32Array.of(1, 2), [1, 1, 2])],
    ['norm.weight', float32(Float32Array.of(3, 4), [2])],
    ['head.weight', float32(Float32Array.of(5, 6, 7, 8), [2, 2])],
    ['pos_embed', float32(Float32Array.of(9, 10, 11, 12), [1, 2, 2])],
  ])

  it('puts what decays first and gives the model back', () => {
    const parameters = createParameters(state, (name) => name !== 'pos_embed')
    assert.deepEqual(
      parameters.trained.map(({ name }) => name),
      ['head.weight', 'cls_token', 'norm.weight'],
    )
    assert.equal(parameters.decayEnd, 4)
    assert.deepEqual(new Map([...stateOf(parameters)].sort()), new Map([...state].sort()))
  })

  it('decays matrices only', () => {
    const decayed = [...state].filter(([name, { shape }]) => decays(name, shape)).map(([name]) => name)
    assert.deepEqual(decayed, ['head.weight'])
  })

  it('refuses to train nothing', () => {
    assert.throws(() => createParameters(state, () => false), /nothing to train/)
  })
})

describe('schedule', () => {
  const { lr, min_lr: min, epochs, warmup_lr: warmupRate } = reference.config.cosine as Record<string, number>
  const decimals = JSON.parse(reference.metadata.decimals ?? '') as Record<string, Record<string, string[]>>

  for (const warmup of [0, 5]) {
    const options = { base: lr, min, length: epochs, warmup, warmupRate } as CosineOptions
    it(`gives timm's values, warm-up ${warmup}`, () => {
      const { lr_at_t: rates = [], lr_used_in_loop: lagging = [] } = decimals[`warmup${warmup}`] ?? {}
      assert.ok(rates.length === 41 && lagging.length === 30)
      const close = (found: number, wanted: string) => assert.ok(Math.abs(found / Number(wanted) - 1) < 1e-14, wanted)
      for (const [t, wanted] of rates.entries()) close(epochRate(t, options), wanted)
      for (const [epoch, wanted] of lagging.entries()) close(epochRate(epoch, options, 1), wanted)
    })
  }
})

describe('moving average and clipping', () => {
  it('moves towards the weights by 1 - decay', () => {
    const average = Float32Array.of(1, 0)
    updateAverage(average, Float32Array.of(0, 8), 0.75)
    assert.deepEqual(average, Float32Array.of(0.75, 2))
  })

  it('brings the norm down to the limit, and leaves smaller gradients alone', () => {
    const gradients = Float32Array.of(3, 4)
    assert.equal(globalNorm(gradients), 5)
    assert.ok(Math.abs(clipFactor(5, 1) * 5 - 1) < 1e-6)
    assert.equal(clipFactor(5, 10), 1)
    assert.ok(Number.isNaN(globalNorm(Float32Array.of(1, Number.NaN))))
  })
})
