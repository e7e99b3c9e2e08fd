import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { tiny } from '../../test/support/models.js'
import { shapeOf } from '../models/backbone.js'
import { presets } from '../models/presets.js'
import { planReduction } from '../reduction/registry.js'
import { tunable, tunableMethods, tunedMethod } from './methods.js'
import { checkPlan, PLAN_FORMAT, parsePlan, settingsIn } from './plan-file.js'
import { scaledTo } from './profiles.js'

const config = { ...tiny, imageSize: 96, depth: 6 } // 144 image tokens, six blocks
const shape = shapeOf(config)
const made = { name: 'tiny', depth: 6, tokens: 144, weights: '' }

describe('a plan’s file', () => {
  const methods = tunableMethods(config, { fuse: false, attention: 0.5, score: 'logits' }).map((method) =>
    tunedMethod(config, method),
  )
  for (const name of tunable)
    it(`gives back the plan that was found, with its method's options: ${name}`, () => {
      const method = methods.find((each) => each.name === name) ?? assert.fail()
      for (const weights of method.starts) {
        const counts = scaledTo(weights, 0.7, method.workOf, method.terms) ?? assert.fail()
        assert.ok(method.workOf(counts) <= 0.7 && method.workOf(counts) > 0.69)
        const plan = method.planOf(counts)
        const text = JSON.stringify({
          format: PLAN_FORMAT,
          method: plan.method,
          settings: settingsIn(plan),
          keepTokens: plan.keepTokens,
          model: made,
        })
        const given = parsePlan(text, 'plan.json')
        assert.deepEqual(given.reduction, plan)
        assert.deepEqual(planReduction(given.reduction, shape).keep, counts) // and is what was costed
        checkPlan(given, 'tiny', shape)
      }
    })

  const plan = { format: PLAN_FORMAT, method: 'group', settings: {}, keepTokens: new Array(6).fill(9), model: made }
  for (const [change, message] of [
    [
      { format: 'other' },
      /^p\.json: wanted a plan that tune or calibrate wrote \(format idlevit-plan-1 or idlevit-steps-1\), found another file$/,
    ],
    [{ method: 'none' }, /^p\.json: method should be one of idle, .*, found "none"$/],
    [{ keepTokens: [1, 2] }, /^p\.json: keepTokens should be 6 counts from 1 to 144, found \[1,2\]$/],
    [{ keepTokens: new Array(6).fill(145) }, /^p\.json: keepTokens should be 6 counts from 1 to 144/],
    [{ settings: { fuse: true } }, /^p\.json: settings\.fuse: an option of evit, not of group/],
    [{ settings: { attention: 2 } }, /^p\.json: settings\.attention should be a number from 0 to 1, found 2$/],
    [
      { model: { name: 'x', depth: 0, tokens: 1 } },
      /^p\.json: model\.depth should be a positive whole number, found 0$/,
    ],
  ] as const)
    it(`is refused: ${JSON.stringify(change).slice(0, 60)}`, () =>
      assert.throws(() => parsePlan(JSON.stringify({ ...plan, ...change }), 'p.json'), { name: 'InputError', message }))

  it('is refused for a model of other sizes', () => {
    const given = parsePlan(JSON.stringify(plan), 'p.json')
    assert.throws(() => checkPlan(given, 'small', { ...shape, tokens: 36 }), {
      name: 'InputError',
      message: 'p.json: a plan for 6 blocks of 144 tokens (tiny), but small has 6 of 36',
    })
  })
})

describe('a model with stages', () => {
  it('is refused: its blocks have not all as many tokens', () => {
    const { config } = presets['swin-tiny'] as NonNullable<(typeof presets)[string]>
    const idle = tunableMethods(config, {}).find(({ name }) => name === 'idle') ?? assert.fail()
    assert.throws(() => tunedMethod(config, idle), { name: 'InputError', message: /found one with stages \(Swin\)$/ })
  })
})
