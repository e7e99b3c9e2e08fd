import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { addDims, broadcast, type Dim, elements, evaluateDim, halfDim, multiplyDims } from './dims.js'

const bindings = { batch: 7, kept: 5 }
const dim: fc.Arbitrary<Dim> = fc.oneof(
  fc.nat(9),
  fc.constantFrom('batch', 'kept', 'kept+1', '3*batch', 'batch*kept+2'),
)

describe('dimensions', () => {
  it('compute with symbols as with their values', () => {
    fc.assert(
      fc.property(dim, dim, dim, (a, b, c) => {
        const value = (d: Dim) => evaluateDim(d, bindings)
        assert.equal(value(addDims(a, b)), value(a) + value(b))
        assert.equal(value(multiplyDims(a, b)), value(a) * value(b))
        assert.equal(value(elements([a, b, c])), value(a) * value(b) * value(c))
      }),
    )
  })

  it('are equal strings when they are equal expressions', () => {
    fc.assert(
      fc.property(dim, dim, dim, (a, b, c) => {
        assert.equal(addDims(a, b), addDims(b, a))
        assert.equal(multiplyDims(a, multiplyDims(b, c)), multiplyDims(multiplyDims(c, a), b))
        assert.equal(elements([a, b, c]), elements([c, b, a]))
      }),
    )
    assert.equal(addDims('kept', 1), 'kept+1')
    assert.equal(multiplyDims('batch', 197), '197*batch')
    assert.equal(addDims('kept', -5), addDims(addDims('kept', -6), 1))
  })

  it('halve into even numbers and odd ones', () => {
    fc.assert(
      fc.property(fc.nat(99), (kept) => {
        const value = (d: Dim) => evaluateDim(d, { kept })
        const [even, odd] = [halfDim('kept', 'even'), halfDim('kept', 'odd')]
        const numbers = Array.from({ length: kept }, (_, i) => i % 2)
        assert.equal(value(addDims(even, 1)), numbers.filter((x) => x === 0).length + 1)
        assert.equal(value(multiplyDims(odd, 3)), 3 * numbers.filter((x) => x === 1).length)
        assert.equal(value(halfDim(even, 'odd')), Math.floor(value(even) / 2))
      }),
    )
    assert.deepEqual([halfDim(7, 'even'), halfDim(7, 'odd')], [4, 3])
    assert.throws(() => halfDim('kept+1', 'odd'), /half of kept\+1/)
  })

  it('broadcast as ONNX does', () => {
    assert.deepEqual(broadcast(['batch', 1, 3], [4, 1]), ['batch', 4, 3])
    assert.throws(() => broadcast([2, 3], [2, 4]), /do not broadcast/)
    assert.throws(() => evaluateDim('frames', bindings), /no value for frames/)
  })
})
