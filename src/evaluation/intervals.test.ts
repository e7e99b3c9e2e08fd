import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { pairedDifference, wilson } from './intervals.js'

describe('wilson', () => {
  it('agrees with the examples of Newcombe 1998, table I, method 3', () => {
    const rounded = (right: number, count: number) => wilson(right, count).map((share) => share.toFixed(4))
    assert.deepEqual(rounded(81, 263), ['0.2553', '0.3662'])
    assert.deepEqual(rounded(15, 148), ['0.0624', '0.1605'])
    assert.deepEqual(rounded(0, 20), ['0.0000', '0.1611'])
    assert.deepEqual(rounded(1, 29), ['0.0061', '0.1718'])
  })

  it('is the mirror image for what is wrong', () => {
    const [low, high] = wilson(30, 100)
    const [from, to] = wilson(70, 100)
    assert.ok(Math.abs(low + to - 1) < 1e-12 && Math.abs(high + from - 1) < 1e-12)
  })
})

describe('pairedDifference', () => {
  it('counts the pictures on which two differ', () => {
    const before = [1, 1, 1, 1, 0, 0, 0, 0, 1, 1]
    const now = [1, 1, 1, 0, 1, 0, 0, 0, 0, 0]
    const { difference, interval } = pairedDifference(now, before)
    assert.equal(difference, -0.2)
    // Four differ, one won and three lost: variance (4 - 4 / 10) / 100.
    const half = 1.959963984540054 * Math.sqrt(0.036)
    assert.ok(Math.abs(interval[0] + 0.2 + half) < 1e-12 && Math.abs(interval[1] + 0.2 - half) < 1e-12)
  })

  it('is sure where two agree on every picture', () => {
    assert.deepEqual(pairedDifference([1, 0, 1], [1, 0, 1]), { difference: 0, interval: [0, 0] })
  })
})
