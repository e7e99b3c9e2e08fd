import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { randomWeights, tiny, tinySwin } from '../../test/support/models.js'
import { fail, InputError } from '../errors.js'
import { type ComparedMethod, chooseMethods, comparedMethods, costOf, storedReduction } from './methods.js'
import { type Participant, planRows } from './rows.js'

const model = { name: 'tiny', config: tiny, state: randomWeights(tiny, 1) }
const idle = comparedMethods(tiny).find(({ name }) => name === 'idle') as ComparedMethod
/** A method that wants weights which the model lacks. */
const greedy = { ...idle, name: 'greedy' as 'idle', check: () => fail('it has no predictor.0.weight') }
const labels = Int32Array.of(0, 1)
const base: Participant = { model, labels }

describe('the methods of a comparison', () => {
  it('are all that the model can run; what it cannot is named', () => {
    const { methods, refused } = chooseMethods([idle, greedy], undefined, model)
    assert.deepEqual(methods, [idle])
    assert.deepEqual(refused, [{ method: 'greedy', reason: 'it has no predictor.0.weight' }])
  })

  it('are refused by name where they are unknown or the model cannot run them', () => {
    assert.throws(() => chooseMethods([idle], ['idle', 'magic'], model), {
      name: 'InputError',
      message: '--methods: wanted some of none, idle, found magic',
    })
    assert.throws(() => chooseMethods([idle, greedy], ['greedy'], model), {
      name: 'InputError',
      message: '--methods greedy: the model cannot run it: it has no predictor.0.weight',
    })
  })

  it('take those of the options that are theirs', () => {
    const known = comparedMethods(tiny, { fuse: false, proportional: false, score: 'logits' })
    const at = (name: string) => known.find((method) => method.name === name)?.at(0.5)
    assert.deepEqual(at('evit'), { method: 'evit', keepRatio: 0.5, fuse: false })
    assert.deepEqual(at('idle'), { method: 'idle', keepRatio: 0.5, score: 'logits' })
    assert.deepEqual(at('ats'), { method: 'ats', keepRatio: 0.5 })
    const tome = known.find(({ name }) => name === 'tome')
    assert.deepEqual(tome?.knob.at(2), { method: 'tome', r: 2, proportional: false })
  })

  it('let faults of our own through', () => {
    const broken: ComparedMethod = {
      ...idle,
      check: () => {
        throw new TypeError('a bug')
      },
    }
    assert.throws(() => chooseMethods([broken], undefined, model), TypeError)
  })
})

describe('the plan of a model of one’s own', () => {
  it('is what its folder says, and none where that leaves nothing out', () => {
    assert.equal(storedReduction({}), undefined)
    assert.equal(storedReduction({ idle: { score: 'softmax' } }), undefined)
    assert.equal(storedReduction({ idle: { keepRatios: [1, 1, 1, 1] } }), undefined)
    assert.deepEqual(storedReduction({ idle: { keepRatios: [1, 0.5, 0.5, 0.5], score: 'logits' } }), {
      method: 'idle',
      keepRatios: [1, 0.5, 0.5, 0.5],
      score: 'logits',
    })
  })
})

describe('the registry', () => {
  it('has methods that a plain model runs, and those that want weights of their own', () => {
    const { methods, refused } = chooseMethods(comparedMethods(tiny), undefined, model)
    assert.deepEqual(
      methods.map(({ name }) => name),
      ['idle', 'group', 'evit', 'evovit', 'ats', 'tome'],
    )
    assert.deepEqual(refused, [
      { method: 'dynamicvit', reason: 'it has no score_predictor.0.in_conv.0.weight' },
      { method: 'adavit', reason: 'it has no blocks.0.attn.token_select.mlp_head.weight' },
      { method: 'spvit', reason: 'it has no score_predictor.0.in_conv.0.0.weight' },
      { method: 'dynamicswin', reason: 'dynamicswin: wants a Swin, found a model without windows' },
    ])
    const swin = { config: tinySwin, state: randomWeights(tinySwin, 1) }
    const able = chooseMethods(comparedMethods(tinySwin), undefined, swin)
    assert.deepEqual(
      able.methods.map(({ name }) => name),
      ['idle'],
    )
    assert.ok(able.refused.some(({ reason }) => reason.startsWith('evit: does not know windows')))
  })
})

describe('the rows of a comparison', () => {
  const request = { methods: [idle], keepRatios: [0.5, 1, 0.7, 0.5], precisions: ['fp32', 'int8'] as const }
  const own: Participant = {
    model: { ...model, name: 'own', state: randomWeights(tiny, 2) },
    labels,
    stored: { method: 'idle', keepTokens: [16, 8, 4, 2] },
  }

  it('are dense, every method at every ratio once, and the models of one’s own, in every precision', async () => {
    const rows = await planRows([base, own], request)
    assert.deepEqual(
      rows.map(({ name, kind, keepRatio, precision }) => [name, kind, keepRatio, precision]),
      (['fp32', 'int8'] as const).flatMap((precision) => [
        ['dense', 'dense', 1, precision],
        ['idle 0.7', 'method', 0.7, precision],
        ['idle 0.5', 'method', 0.5, precision],
        ['own', 'own', 0.5, precision],
      ]),
    )
    assert.equal(new Set(rows.map(({ key }) => key)).size, rows.length)
    assert.deepEqual(rows[3]?.cost.tokens, [16, 8, 4, 2])
  })

  it('have keys that follow weights, labels and plan, and nothing else', async () => {
    const keys = async (participant: Participant) => (await planRows([participant], request)).map(({ key }) => key)
    assert.deepEqual(await keys(base), await keys({ ...base, model: { ...model, name: 'renamed' } }))
    assert.notDeepEqual(await keys(base), await keys({ ...base, labels: Int32Array.of(1, 1) }))
    assert.notDeepEqual(await keys(base), await keys({ ...base, model: own.model }))
  })

  it('match every method to idle, and say how near it came', async () => {
    // Half as eager: the same knob under another name, a keep ratio of which means something else.
    const other: ComparedMethod = { ...idle, name: 'other' as 'idle', at: (k) => idle.at(k / 2) }
    const rows = await planRows([base], { ...request, methods: [other, idle], matchGmacs: true })
    for (const keepRatio of [0.7, 0.5]) {
      const [a, b] = ['other', 'idle'].map((name) => rows.find((row) => row.name === `${name} ${keepRatio}`))
      assert.equal(b?.match, undefined)
      assert.equal(a?.match?.to, `idle ${keepRatio}`)
      assert.equal(a?.match?.gmacs, b?.cost.gmacs)
      assert.equal(a?.cost.gmacs, b?.cost.gmacs)
    }
  })

  it('refuse two models of one name', async () => {
    await assert.rejects(planRows([base, base], request), InputError)
  })

  it('cost less with fewer tokens', async () => {
    const [dense, some, few] = (await planRows([base], request)).map(({ cost }) => cost.gmacs) as [
      number,
      number,
      number,
    ]
    assert.ok(dense > some && some > few)
    assert.equal(costOf(model, { method: 'none', keepRatio: 0.5 }).gmacs, dense)
  })
})
