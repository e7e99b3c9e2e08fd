import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { type MethodName, planReduction } from '../reduction/registry.js'
import { shapeOf } from './backbone.js'
import { largestKeepRatio } from './budget.js'
import { executedMacs, modelCost } from './cost.js'

const config = { ...tiny, imageSize: 48, depth: 6 }
const shape = shapeOf(config)
const dense = modelCost(config, planReduction({ method: 'none' }, shape)).macs / 1e9

for (const method of ['idle', 'group', 'evit', 'tome', 'dynamicvit', 'ats'] satisfies MethodName[])
  test(`${method} gets the largest keep ratio that a budget allows`, () => {
    const cost = (keepRatio: number) => executedMacs(config, planReduction({ method, keepRatio }, shape)) / 1e9
    const budget = 0.8 * dense
    const ratio = largestKeepRatio(config, { method }, budget)
    assert.ok(cost(ratio) <= budget && cost(ratio + 1e-3) > budget, `${ratio}: ${cost(ratio)} of ${budget}`)
    // The count is that of `info`.
    assert.equal(cost(ratio), modelCost(config, planReduction({ method, keepRatio: ratio }, shape)).macs / 1e9)
    assert.equal(largestKeepRatio(config, { method }, 2 * dense), 1)
  })

test('a budget that is too small, or one plan too many, is refused', () => {
  assert.throws(
    () => largestKeepRatio(config, { method: 'group' }, dense / 100),
    /^InputError: --max-gmacs: wanted at least 0\.\d+, the least of group here, found/,
  )
  assert.throws(
    () => largestKeepRatio(config, { method: 'tome', r: 3 }, dense),
    new InputError('r and --max-gmacs: wanted one of them, both say how many tokens there are'),
  )
})
