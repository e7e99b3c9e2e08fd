import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InputError } from '../errors.js'
import { elasticPlan, type MethodName, planReduction, type ReductionRequest, storedPlan } from './registry.js'

const deit = { depth: 12, tokens: 196, prefix: 1, width: 384, heads: 6 }
const keepOf = (request: ReductionRequest) => planReduction(request, deit).keep

test('what a keep ratio means by method, on DeiT', () => {
  const keepRatio = 0.7
  assert.deepEqual(keepOf({ method: 'idle', keepRatio }), [196, 196, 196, 137, 137, 137, 96, 96, 96, 67, 67, 67])
  assert.deepEqual(keepOf({ method: 'dynamicvit', keepRatio }), keepOf({ method: 'idle', keepRatio }))
  // ⌈0.7 m⌉ of what is left, the fused token counted: 196 → 138 + 1 → 98 + 1 → 70 + 1.
  assert.deepEqual(keepOf({ method: 'evit', keepRatio }), [196, 196, 196, 138, 139, 139, 98, 99, 99, 70, 71, 71])
  assert.deepEqual(keepOf({ method: 'evovit', keepRatio: 0.5 }), [...Array(4).fill(196), ...Array(8).fill(98)])
  assert.deepEqual(keepOf({ method: 'ats', keepRatio }), keepOf({ method: 'idle', keepRatio }))
  // As many are left as other methods keep in their last stage, 67, to a whole number for each block.
  assert.equal(keepOf({ method: 'tome', keepRatio }).at(-1), 64)
})

test('the three forms of the schedule of ToMe', () => {
  assert.equal(keepOf({ method: 'tome', r: 13 }).at(-1), 40)
  assert.deepEqual(keepOf({ method: 'tome', r: [0, 8, 2] }), [196, 188, ...Array(10).fill(186)])
  const falling = [196, ...keepOf({ method: 'tome', r: 4, inflect: -0.5 })]
  assert.deepEqual(
    falling.slice(1).map((rows, l) => (falling[l] ?? 0) - rows),
    [6, 5, 5, 4, 4, 4, 3, 3, 3, 2, 2, 2],
  )
  // No more than half of the rows: 197 → 99 → 50 → … → 2.
  assert.equal(keepOf({ method: 'tome', r: 500 }).at(-1), 1)
})

test('what cannot be is refused in one line', () => {
  const cases: readonly (readonly [ReductionRequest, string])[] = [
    [{ method: 'evit', r: 13 }, 'r: an option of tome, not of evit, which has fuse'],
    [
      { method: 'tome', r: -1 },
      'r: wanted a whole number of at least 0, or one for each block, separated by commas, found -1',
    ],
    [
      { method: 'tome', r: 13, keepRatio: 0.5 },
      'r and keepRatio: wanted one of them, both say how many tokens there are',
    ],
    [{ method: 'tome', r: 4, inflect: 2 }, 'inflect: wanted a number from -1 to 1, found 2'],
    [{ method: 'tome', inflect: 0.5 }, 'inflect: wanted one number as r, from which it rises or falls'],
    [{ method: 'tome', r: Array(13).fill(1) }, 'r: wanted at most 12 values, one per block, found 13'],
    [
      { method: 'tome', keepTokens: [196, 50, ...Array(10).fill(50)] },
      'tome: block 1 can merge at most 98 of 196 rows, but 50 are to be left',
    ],
    [
      { method: 'dynamicvit', keepTokens: [...Array(11).fill(90), 100] },
      'dynamicvit: tokens that are gone do not come back, but block 11 keeps 100 after 90',
    ],
    [{ method: 'evit', keepTokens: Array(12).fill(0) }, 'keepTokens: wanted counts from 1 to 196, found 0'],
    [{ method: 'evit', keepRatio: 0 }, 'keep ratio: wanted a number above 0 and at most 1, found 0'],
    [{ method: 'ats', samples: 4 }, 'samples: wanted a whole number of at least 8, found 4'],
  ]
  for (const [request, message] of cases) assert.throws(() => planReduction(request, deit), new InputError(message))
})

test('only methods whose tokens can change from run to run are elastic', () => {
  assert.equal(elasticPlan({ method: 'idle' }, deit).keep.filter((kept) => kept === 'fed').length, 9)
  assert.throws(() => elasticPlan({ method: 'evit' }, deit), /elastic: wanted a method .* \(idle, group\), found evit/)
})

test('a plan that was saved is the same plan', () => {
  const requests: readonly ReductionRequest[] = [
    { method: 'idle', keepRatio: 0.7, score: 'logits' },
    { method: 'evit', keepRatio: 0.7, fuse: false },
    { method: 'evit', keepRatio: 0.7 },
    { method: 'evovit', keepRatio: 0.5, layerwise: true },
    { method: 'ats', samples: 100, from: 5 },
    { method: 'group', keepRatio: 0.6 },
    { method: 'group', groups: 40, regroup: [6], attention: 0.3 },
    { method: 'tome', r: 13 },
    { method: 'tome', r: 4, inflect: -0.5, proportional: false },
  ]
  for (const request of requests) {
    const plan = planReduction(request, deit)
    const again = planReduction(storedPlan(plan) as ReductionRequest, deit)
    assert.deepEqual(again.keep, plan.keep)
    assert.deepEqual(storedPlan(again), storedPlan(plan))
  }
  assert.equal(storedPlan(planReduction({ method: 'none' satisfies MethodName }, deit)), undefined)
})
