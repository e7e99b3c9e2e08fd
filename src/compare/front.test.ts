import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { bestPoints } from './front.js'

describe('the front of best points', () => {
  it('holds those that nothing beats, from the least cost', () => {
    const points = [
      { cost: 4, gain: 80 },
      { cost: 1, gain: 70 },
      { cost: 2, gain: 69 }, // beaten by the second
      { cost: 3, gain: 80 }, // beats the first
      { cost: 3, gain: 80 }, // in the same place
      { cost: 1, gain: 60 },
    ]
    assert.deepEqual(bestPoints(points), [1, 3, 4])
  })

  it('rises with cost, and every other point is beaten by one of it', () => {
    const point = fc.record({ cost: fc.integer({ min: 0, max: 9 }), gain: fc.integer({ min: 0, max: 9 }) })
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 20 }), (points) => {
        const best = bestPoints(points).map((i) => points[i] as (typeof points)[number])
        for (const [i, { cost, gain }] of best.entries())
          for (const next of best.slice(i + 1))
            assert.ok(next.cost >= cost && next.gain >= gain && next.cost > cost === next.gain > gain)
        for (const each of points) assert.ok(best.some(({ cost, gain }) => cost <= each.cost && gain >= each.gain))
      }),
    )
  })
})
