import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { rangeOf, roundStep } from './range.js'

describe('rangeOf', () => {
  it('ends at round numbers', () => {
    assert.deepEqual(rangeOf([63.3, 66.1]), [63, 66.5])
    assert.deepEqual(rangeOf([1, 2.07]), [1, 2.2])
    assert.deepEqual(rangeOf([0.1, 0.3]), [0.1, 0.3])
    assert.deepEqual(rangeOf([4e-6, 4e-5]), [0, 4e-5])
  })

  it('is never empty: one value has room on both sides', () => {
    assert.deepEqual(rangeOf([70], { least: 4, within: [0, 100] }), [68, 72])
    assert.deepEqual(rangeOf([100], { least: 4, within: [0, 100] }), [98, 100])
    assert.deepEqual(rangeOf([0]), [-0.6, 0.6])
    assert.deepEqual(rangeOf([], { within: [0, 1] }), [0, 1])
  })

  it('holds every value and margin in it', () => {
    const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 9 })
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 0.5, noNaN: true }), (values, margin) => {
        const [low, high] = rangeOf(values, { margin })
        assert.ok(low < high)
        const slack = 1e-6 * (high - low)
        for (const value of values) assert.ok(value >= low - slack && value <= high + slack)
      }),
    )
  })
})

it('steps are 1, 2 or 5 times a power of ten', () => {
  assert.deepEqual([5, 1, 0.3, 12, 40].map(roundStep), [1, 0.2, 0.05, 2, 10])
})
