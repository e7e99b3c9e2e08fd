import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { classAttention, rankTokens, sortMap } from './attention.js'

describe('rankTokens', () => {
  it('puts the largest score first and of equal ones the lower index', () => {
    assert.deepEqual(rankTokens([0.2, 0.5, 0.2, 0.9]), [3, 1, 0, 2])
  })
})

describe('sortMap', () => {
  it('moves rows and columns together and leaves the prefix in place', () => {
    const map = Float32Array.of(10, 11, 12, 20, 21, 22, 30, 31, 32)
    const sorted = sortMap(map, 1, [1, 5])
    assert.deepEqual(sorted.order, [0, 2, 1])
    assert.deepEqual([...sorted.values], [10, 12, 11, 30, 32, 31, 20, 22, 21])
  })

  it("lets the class token's row fall from left to right when sorted by it", () => {
    const maps = fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 6 })).chain(([prefix, tokens]) =>
      fc.record({
        prefix: fc.constant(prefix),
        tokens: fc.constant(tokens),
        values: fc.array(fc.nat(20), { minLength: (prefix + tokens) ** 2, maxLength: (prefix + tokens) ** 2 }),
      }),
    )
    fc.assert(
      fc.property(maps, ({ prefix, tokens, values }) => {
        const map = Float32Array.from(values)
        const rows = prefix + tokens
        const sorted = sortMap(map, prefix, classAttention(map, rows, prefix))
        const first = [...sorted.values.subarray(prefix, rows)]
        assert.deepEqual(
          first,
          [...first].sort((a, b) => b - a),
        )
        assert.deepEqual(
          [...sorted.order].sort((a, b) => a - b),
          [...Array(rows).keys()],
        )
        // The diagonal goes along: attention of a token to itself stays on it.
        for (const [i, row] of sorted.order.entries()) assert.equal(sorted.values[i * rows + i], map[row * rows + row])
      }),
    )
  })

  it('refuses a map of another size', () => {
    assert.throws(() => sortMap(new Float32Array(8), 1, [1, 2]), /3 × 3/)
  })
})
