/** Laws of methods on a pyramid of windows, and what they cost. */

import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import {
  assertClose,
  evaluate,
  floats,
  maxAbsDiff,
  pictureOf,
  randomPixels,
  tiny,
  tinySwin,
  weightsUnder,
} from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { gradients } from '../graph/gradients.js'
import { constant, createGraph, input, output } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { mul } from '../graph/ops/elementwise.js'
import { lower } from '../graph/passes/precision.js'
import { forward, shapeOf } from '../models/backbone.js'
import { type BuildOptions, buildGraph, methodBuild, type WeightValues } from '../models/build.js'
import { modelCost } from '../models/cost.js'
import { presets } from '../models/presets.js'
import type { Values } from '../runtime/session.js'
import { elasticPlan, methodNames, methodOf, openMethod, planReduction, type ReductionRequest } from './registry.js'

const shape = shapeOf(tinySwin)
const pixels = randomPixels(tinySwin, 3, 2)
const TOKENS = [256, 256, 64, 64, 16, 16]

const plans: readonly ReductionRequest[] = [
  ...(['block', 'ffn'] as const).flatMap((variant) =>
    (['received', 'norm', 'predictor'] as const).map((ranking) => ({ method: 'idle', variant, ranking }) as const),
  ),
  { method: 'idle', dead: true, ranking: 'norm' },
  { method: 'idle', dead: true, ranking: 'predictor' },
  { method: 'dynamicswin' },
]

const run = (values: WeightValues, options: BuildOptions, pictures: Values = pixels) =>
  evaluate(buildGraph(tinySwin, values, options), { pixel_values: pictures })

for (const request of plans)
  describe(JSON.stringify(request), () => {
    const plan = planReduction({ ...request, keepRatio: 0.6 }, shape)
    const values = weightsUnder(tinySwin, plan, 0.5)

    it('is the dense model where everything is kept', async () => {
      const all = planReduction({ ...request, keepRatio: 1 }, shape)
      const [a, b] = [await run(values, all), await run(values, { method: 'none' })]
      assertClose(a.logits, b.logits, 'logits', 1e-6)
    })

    it('treats every picture of a batch alone', async () => {
      const options = { ...plan, trace: true, blocks: true }
      const together = await run(values, options)
      for (let b = 0; b < 3; b++) {
        const alone = await run(values, options, pictureOf(pixels, b))
        for (const [name, found] of Object.entries(alone)) {
          const whole = pictureOf(together[name] as Values, b)
          if (found.data instanceof Float32Array) assertClose(found, whole, `${name} of picture ${b}`)
          else assert.deepEqual(found.data, whole.data, `${name} of picture ${b}`)
        }
      }
    })

    it('gives the same lowered, and with standard operators alone', async () => {
      const { logits } = await run(values, plan)
      const graph = () => buildGraph(tinySwin, values, plan)
      assertClose((await evaluate(lower(graph()), { pixel_values: pixels })).logits, logits, 'lowered')
      const portable = lower(graph(), { contrib: false })
      assertClose(
        (await evaluate(portable, { pixel_values: pixels }, { contrib: false })).logits,
        logits,
        'standard operators',
      )
    })
  })

test('in integers every form selects nearly the same tokens and answers nearly alike', async () => {
  const agree = (a: Float32Array, b: Float32Array) => a.filter((value, i) => value === b[i]).length / a.length
  for (const request of [{ method: 'none' }, ...plans] as const) {
    const plan = planReduction({ ...request, ...(request.method !== 'none' && { keepRatio: 0.6 }) }, shape)
    const graph = () => buildGraph(tinySwin, weightsUnder(tinySwin, plan), { ...plan, trace: true })
    const exact = await evaluate(lower(graph()), { pixel_values: pixels })
    const close = await evaluate(lower(graph(), { precision: 'int8' }), { pixel_values: pixels })
    const [a, b] = [floats(exact.logits), floats(close.logits)]
    const difference = maxAbsDiff(a, b) / (Math.max(...a) - Math.min(...a))
    // Where a token more or less is computed an answer moves further than rounding moves it.
    const most = request.method === 'none' ? 0.05 : 0.25
    assert.ok(difference > 0 && difference < most, `${JSON.stringify(request)}: ${difference}`)
    for (const name of Object.keys(exact).filter((each) => each.startsWith('computed')))
      assert.ok(agree(floats(exact[name]), floats(close[name])) > 0.85, `${JSON.stringify(request)}: ${name}`)
  }
})

const idled = plans.filter(({ method, dead }) => method === 'idle' && !dead)

for (const request of idled) {
  const plan = planReduction({ ...request, keepRatio: 0.6 }, shape)
  const values = weightsUnder(tinySwin, plan, 0.5)
  const said = JSON.stringify(request)

  test(`masked is gathered: ${said}`, async () => {
    const options = { ...plan, trace: true, blocks: true }
    const [gathered, masked] = [await run(values, options), await run(values, { ...options, form: 'masked' })]
    for (const [name, found] of Object.entries(gathered))
      if (name.startsWith('computed')) assert.deepEqual(found.data, masked[name]?.data, name)
      else if (found.data instanceof Float32Array) assertClose(found, masked[name], name)
  })

  test(`idle tokens are the same bits, computed ones as many as planned: ${said}`, async () => {
    const found = await run(values, { ...plan, trace: true, blocks: true })
    for (let l = 2; l < 6; l++) {
      const computed = floats(found[`computed.${l}`])
      const [before, after] = [l % 2 === 0 ? undefined : floats(found[`block.${l - 1}`]), floats(found[`block.${l}`])]
      const n = TOKENS[l] as number
      for (let b = 0; b < 3; b++)
        assert.equal(
          computed.subarray(b * n, (b + 1) * n).reduce((x, y) => x + y, 0),
          plan.keep[l],
        )
      // Of the first block of a stage the rows that come in are merged ones, which no output holds.
      if (!before || request.variant === 'ffn') continue
      const C = after.length / computed.length
      for (const [row, is] of computed.entries()) {
        const same = before.subarray(row * C, (row + 1) * C).every((value, c) => value === after[row * C + c])
        assert.equal(same, is === 0, `row ${row} of block ${l}`)
      }
    }
  })
}

test('idle tokens keep their place through merging', async () => {
  // Where every token of the second stage idles but one in each window, the third stage gets what merging makes of the rows
  // that the first stage left; only merged tokens with a computed one among their four differ.
  const values = weightsUnder(tinySwin, planReduction({ method: 'idle' }, shape), 0.5)
  const dense = planReduction({ method: 'idle', keepTokens: [256, 256, 64, 64, 16, 16], ranking: 'norm' }, shape)
  const some = { ...dense, keep: [256, 256, 4, 64, 16, 16] }
  const merged = async (options: BuildOptions) => {
    const graph = createGraph()
    const x = input(graph, 'pixel_values', ['batch', 3, 32, 32])
    const weight = (name: string) => {
      const { data, shape } = values.get(name) ?? assert.fail(name)
      return constant(graph, data as Float32Array, shape, name)
    }
    const form = openMethod(methodBuild(graph, weight, tinySwin), { keep: [], ...options })
    const { stages, blocks } = forward(weight, x, tinySwin, { form })
    output('merged', stages?.[0] ?? assert.fail())
    output('before', blocks[2]?.before.x ?? assert.fail())
    output('after', blocks[2]?.step.rows.x ?? assert.fail())
    if (blocks[2]?.step.computed) output('computed', blocks[2].step.computed)
    return evaluate(graph, { pixel_values: pixels })
  }
  const found = await merged(some)
  assert.deepEqual(found.merged?.data, found.before?.data)
  const [before, after, computed] = [floats(found.before), floats(found.after), floats(found.computed)]
  assert.equal(
    computed.reduce((a, b) => a + b, 0),
    3 * 4,
  )
  for (const [row, is] of computed.entries())
    for (let c = 0; c < 16; c++) if (is === 0) assert.equal(after[row * 16 + c], before[row * 16 + c])
})

test('what idled all through a stage reaches the next as it came: merged tokens of such ones do not tell who was computed', async () => {
  const values = weightsUnder(tinySwin, planReduction({ method: 'idle' }, shape), 0.5)
  const look = async (ranking: 'norm' | 'received') => {
    const plan = planReduction({ method: 'idle', keepTokens: [256, 256, 4, 4, 16, 16], ranking }, shape)
    const graph = createGraph()
    const x = input(graph, 'pixel_values', ['batch', 3, 32, 32])
    const weight = (name: string) => {
      const { data, shape } = values.get(name) ?? assert.fail(name)
      return constant(graph, data as Float32Array, shape, name)
    }
    const { stages, blocks } = forward(weight, x, tinySwin, {
      form: openMethod(methodBuild(graph, weight, tinySwin), plan),
    })
    output('merged', stages?.[1] ?? assert.fail()) // [B, 16, 4C]
    for (const l of [2, 3]) output(`computed.${l}`, blocks[l]?.step.computed ?? assert.fail())
    return evaluate(graph, { pixel_values: pixels })
  }
  const [one, other] = [await look('norm'), await look('received')]
  const computed = [one, other].flatMap((found) => [floats(found['computed.2']), floats(found['computed.3'])])
  const [a, b] = [floats(one.merged), floats(other.merged)]
  const C = a.length / (3 * 16)
  const counts = { same: 0, other: 0 }
  for (let cell = 0; cell < 3 * 16; cell++) {
    const [picture, row, column] = [cell >> 4, 2 * ((cell >> 2) % 4), 2 * (cell % 4)]
    const parts = [0, 1, 8, 9].map((part) => 64 * picture + 8 * row + column + part)
    const idle = computed.every((is) => parts.every((token) => is[token] === 0))
    const equal = a.subarray(cell * C, (cell + 1) * C).every((value, c) => value === b[cell * C + c])
    if (idle) assert.ok(equal, `merged token ${cell}`)
    counts[equal ? 'same' : 'other']++
  }
  assert.ok(counts.same >= 12 && counts.other >= 6, JSON.stringify(counts)) // both kinds occur
})

test('dead tokens are zero, stay so, and touch nobody', async () => {
  const plan = planReduction({ method: 'idle', dead: true, ranking: 'norm', keepRatio: 0.6 }, shape)
  assert.deepEqual(plan.keep, [256, 256, 38, 38, 5, 5])
  const values = weightsUnder(tinySwin, plan, 0.5)
  const found = await run(values, { ...plan, trace: true, blocks: true })
  for (const l of [2, 3, 4, 5]) {
    const [alive, rows] = [floats(found[`computed.${l}`]), floats(found[`block.${l}`])]
    const C = rows.length / alive.length
    for (const [row, is] of alive.entries())
      assert.equal(
        rows.subarray(row * C, (row + 1) * C).every((value) => value === 0),
        is === 0,
      )
    assert.equal(
      alive.reduce((a, b) => a + b, 0),
      3 * (plan.keep[l] as number),
    )
  }
  assert.deepEqual(found['computed.2']?.data, found['computed.3']?.data)
})

for (const ranking of ['norm', 'received', 'predictor'] as const)
  test(`what was dead before two by two tokens were merged is dead behind it, by ${ranking}`, async () => {
    const keepTokens = [256, 256, 8, 8, 6, 6]
    const plan = planReduction({ method: 'idle', dead: true, ranking, keepTokens }, shape)
    const found = await run(weightsUnder(tinySwin, plan, 0.5), { ...plan, trace: true })
    const [before, behind] = [floats(found['computed.3']), floats(found['computed.4'])] // [B, 64], [B, 16]
    for (let b = 0; b < 3; b++) {
      const living = Array.from({ length: 16 }, (_, cell) => {
        const [row, column] = [2 * Math.floor(cell / 4), 2 * (cell % 4)]
        return [0, 1, 8, 9].some((part) => before[64 * b + 8 * row + column + part] === 1)
      })
      const chosen = living.map((_, cell) => behind[16 * b + cell] === 1)
      assert.ok(chosen.every((is, cell) => !is || living[cell]))
      const count = (of: readonly boolean[]) => of.filter(Boolean).length
      assert.ok(count(living) < 16)
      assert.equal(count(chosen), Math.min(6, count(living)))
    }
  })

test('the predictor learns through the masked form', async () => {
  const plan = planReduction({ method: 'idle', ranking: 'predictor', keepRatio: 0.6 }, shape)
  for (const dead of [false, true])
    for (const variant of ['block', 'ffn'] as const) {
      const values = weightsUnder(tinySwin, plan, 0.5)
      const graph = createGraph()
      const x = input(graph, 'pixel_values', ['batch', 3, 32, 32])
      const weights = new Map([...values].map(([name, { shape }]) => [name, input(graph, name, shape)]))
      const weight = (name: string) => weights.get(name) ?? assert.fail(name)
      const form = openMethod(methodBuild(graph, weight, tinySwin), { ...plan, variant, dead, form: 'masked' })
      const { logits } = forward(weight, x, tinySwin, { form })
      const loss = reduceSum(mul(logits, constant(graph, Float32Array.of(1, -2, 0.5, 1.5, -1), [5])), [0, 1])
      const names = ['layers.1.idle_predictor.in_conv.1.weight', 'layers.2.idle_predictor.out_conv.4.bias']
      for (const [i, gradient] of gradients(loss, names.map(weight)).entries()) output(`${i}`, gradient)
      const found = await evaluate(graph, {
        pixel_values: pixels,
        ...Object.fromEntries(
          [...values].map(([name, { data, shape }]) => [name, { data: data as Float32Array, shape }]),
        ),
      })
      for (const i of names.keys())
        assert.ok(
          floats(found[`${i}`]).some((value) => Math.abs(value) > 1e-4),
          `${variant} ${i}`,
        )
    }
})

describe('what it costs on Swin-T', () => {
  const config = (presets['swin-tiny'] ?? assert.fail()).config
  const costs = (request: ReductionRequest) =>
    [0.9, 0.7, 0.5].map(
      (keepRatio) => modelCost(config, planReduction({ ...request, keepRatio }, shapeOf(config))).macs / 1e9,
    )

  /** All N tokens through attention and n through the MLP, or n through everything, 49 n / N in a window; predictors. */
  const byHand = (ratio: number, variant: 'block' | 'ffn'): number => {
    let macs = 56 * 56 * 48 * 96 + 768 * 1000
    for (const [stage, depth] of [2, 2, 6, 2].entries()) {
      const [N, C] = [(56 / 2 ** stage) ** 2, 96 * 2 ** stage]
      const windows = N / 49
      const n = variant === 'ffn' ? Math.trunc(N * ratio ** stage) : windows * Math.trunc(49 * ratio ** stage)
      const attended = variant === 'ffn' ? N : n
      macs += depth * (attended * 4 * C ** 2 + (2 * attended ** 2 * C) / windows + n * 8 * C ** 2)
      if (stage > 0) macs += N * (C * C + (C * C) / 2 + (C / 2) * (C / 4) + (C / 4) * 2)
      if (stage < 3) macs += (N / 4) * 8 * C ** 2
    }
    return macs / 1e9
  }

  it('as by hand with a predictor in every stage that idles', () => {
    // 4.18, 3.47, 2.95 and 3.91, 2.83, 2.03
    for (const variant of ['ffn', 'block'] as const)
      for (const [i, macs] of costs({ ranking: 'predictor', variant }).entries())
        assert.ok(Math.abs(macs - byHand([0.9, 0.7, 0.5][i] as number, variant)) < 1e-9, `${variant}: ${macs}`)
    assert.deepEqual(
      costs({ ranking: 'predictor', variant: 'ffn' }).map((macs) => macs.toFixed(2)),
      ['4.18', '3.47', '2.95'],
    )
    assert.deepEqual(
      costs({ ranking: 'predictor', variant: 'block' }).map((macs) => macs.toFixed(2)),
      ['3.91', '2.83', '2.03'],
    )
  })

  it('DynamicSwin at 0.7', () => {
    assert.equal(costs({ method: 'dynamicswin' })[1]?.toFixed(2), '4.04')
  })
})

test('what cannot be on a pyramid is refused in one line', () => {
  const cases: readonly (readonly [ReductionRequest, string])[] = [
    ...methodNames
      .filter((name) => !methodOf(name).windows)
      .map(
        (method) =>
          [
            { method },
            `${method}: does not know windows, within which a Swin attends; none, idle, dynamicswin do`,
          ] as const,
      ),
    [{ dead: true, variant: 'ffn' }, 'dead and variant: wanted one of them, dead tokens are in no part of a block'],
    [{ ranking: 'class' }, 'ranking: wanted received, norm, predictor for a Swin, found class'],
    [{ score: 'logits' }, 'score: logits are of a class token, found a Swin, which has none'],
    [{ keepTokens: [256, 256, 64, 60, 16, 16], variant: 'ffn' }, ''],
    [
      { keepTokens: [256, 256, 64, 62, 16, 16] },
      'keepTokens: block 3 has 4 windows, which 62 tokens cannot share equally',
    ],
    [{ keepTokens: [256, 256, 65, 64, 16, 16] }, 'keepTokens: block 2 has 64 tokens, found 65'],
    [{ keepRatios: [1, 1] }, 'keepRatios: wanted 6 values, one per block, found 2'],
    [
      { dead: true, keepTokens: [256, 256, 32, 40, 16, 16] },
      'dead: tokens that are dead do not come back, but block 3 keeps 40 after 32',
    ],
    [
      { method: 'dynamicswin', keepTokens: [256, 128, 64, 64, 16, 16] },
      'dynamicswin: only stage 2 is sparse, but block 1 keeps 128 of 256 tokens',
    ],
  ]
  for (const [request, message] of cases)
    if (message === '') assert.doesNotThrow(() => planReduction(request, shape))
    else assert.throws(() => planReduction(request, shape), new InputError(message))
  for (const method of ['idle', 'dynamicswin'] as const)
    assert.throws(
      () => elasticPlan({ method }, shape),
      new InputError('elastic: the windows of a Swin have a fixed number of tokens: wanted a ViT'),
    )
  for (const request of [
    { method: 'dynamicswin' },
    { variant: 'ffn' },
    { dead: true },
    { ranking: 'predictor' },
  ] as const)
    assert.throws(() => planReduction(request, shapeOf(tiny)), /windows/)
})
