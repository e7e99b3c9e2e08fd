import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { mcNemar } from './mcnemar.js'

describe("McNemar's exact test", () => {
  it('gives the published p of Fay (exact2x2, 21 9 / 2 12)', () => {
    assert.equal(mcNemar(9, 2).toFixed(5), '0.06543')
  })

  it('is twice the tail of the binomial distribution, worked out by hand', () => {
    assert.ok(Math.abs(mcNemar(1, 9) - (2 * (1 + 10)) / 1024) < 1e-15)
    assert.ok(Math.abs(mcNemar(0, 5) - 2 / 32) < 1e-15)
    assert.ok(Math.abs(mcNemar(3, 7) - (2 * (1 + 10 + 45 + 120)) / 1024) < 1e-15)
  })

  it('is 1 where nothing differs or both win as often, and the same either way', () => {
    for (const [a, b] of [
      [0, 0],
      [5, 5],
      [1, 0],
      [6, 5],
    ] as const)
      assert.ok(Math.abs(mcNemar(a, b) - 1) < 1e-12, `${a} ${b}`)
    assert.equal(mcNemar(4, 17), mcNemar(17, 4))
  })

  it('stays a number where 2ⁿ is none: normal in the limit', () => {
    // z = 3.16 with continuity correction: p = 0.00158 (two-sided)
    const [gained, lost] = [49_500, 50_500]
    const z = (Math.abs(gained - lost) - 1) / Math.sqrt(gained + lost)
    assert.equal(z.toFixed(3), '3.159')
    assert.ok(Math.abs(mcNemar(gained, lost) - 0.001583) < 5e-6, String(mcNemar(gained, lost)))
  })
})
