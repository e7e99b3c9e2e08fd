import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { evaluate, floats, maxAbsDiff } from '../../../test/support/models.js'
import { createRandom } from '../../random.js'
import { constant, createGraph, input, output } from '../graph.js'
import { dynamicProduct, quantize, quantizeColumns, quantizedProduct, quantizeWeight } from './quantized.js'

const random = createRandom(1)
const normal = (length: number) => Float32Array.from({ length }, () => random.normal())

describe('quantised weights', () => {
  it('are symmetric by column', () => {
    const { values, scales } = quantizeColumns(Float32Array.of(0.5, -1, 0.25, 0, 0, 0), [2, 3], 'out-in')
    assert.deepEqual([...values], [32, 0, -64, 0, 16, 0]) // [3, 2]
    assert.deepEqual([...scales], [1 / 64, 1])
    const ties = quantizeColumns(Float32Array.of(64, 0.5, 1.5, -2.5, 2.75), [1, 5], 'out-in')
    assert.deepEqual([...ties.values], [64, 0, 2, -2, 3]) // ties to even, the rest to nearest
  })

  it('never make sums of two products saturate in 16 bits', () => {
    const { values } = quantizeColumns(normal(64), [8, 8], 'out-in')
    assert.equal(Math.max(...values.map(Math.abs)), 64)
    assert.ok(2 * 255 * 64 <= 32767)
  })

  it('are within half a step, in both layouts and by head', () => {
    const numbers = fc.float32Array({ minLength: 24, maxLength: 24, noNaN: true, min: -9, max: 9 })
    fc.assert(
      fc.property(numbers, fc.constantFrom('out-in', 'in-out'), (weight, layout) => {
        const [inner, out] = layout === 'out-in' ? [4, 3] : [3, 4]
        const { values, scales } = quantizeColumns(weight, [2, 3, 4], layout)
        return values.every((value, at) => {
          const [h, i, o] = [Math.floor(at / 12), Math.floor((at % 12) / out), at % out] // [2, inner, out]
          const scale = scales[h * out + o] as number
          const w = weight[h * 12 + (layout === 'out-in' ? o * inner + i : i * out + o)] as number
          return Math.abs(value * scale - w) <= 0.5001 * scale
        })
      }),
    )
  })
})

describe('a quantised product', () => {
  const [B, H, P, d, C] = [2, 3, 2, 4, 5]
  const x = normal(B * H * P * d)

  for (const layout of ['out-in', 'in-out'] as const)
    for (const contrib of [true, false])
      it(`by head is the sum over integers (${layout}, ${contrib ? 'fused' : 'standard'} operators)`, async () => {
        const graph = createGraph()
        const shape = layout === 'out-in' ? [H, C, d] : [H, d, C]
        const given = input(graph, 'x', [B, H, P, d])
        const activation = quantize(given)
        const weight = quantizeWeight(constant(graph, normal(H * d * C), shape, 'w'), layout)
        const product = quantizedProduct(activation, weight)
        assert.deepEqual(product.shape, [B, H, P, C])
        const same = dynamicProduct(given, weight)
        for (const [name, tensor] of Object.entries({ product, same, ...activation })) output(name, tensor)
        const results = await evaluate(graph, { x: { data: x, shape: [B, H, P, d] } }, { contrib })
        const [values, step, zero] = ['values', 'step', 'zero'].map((name) => results[name]?.data) as [
          Uint8Array,
          Float32Array,
          Uint8Array,
        ]
        const [integers, scales] = [weight.matrix.data as Int8Array, weight.steps.data as Float32Array]
        const expected = Float32Array.from({ length: B * H * P * C }, (_, at) => {
          const [row, c] = [Math.floor(at / C), at % C]
          const h = Math.floor(row / P) % H
          let sum = 0
          for (let i = 0; i < d; i++)
            sum += ((values[row * d + i] as number) - (zero[0] as number)) * (integers[(h * d + i) * C + c] as number)
          return sum * (step[0] as number) * (scales[h * C + c] as number)
        })
        assert.ok(maxAbsDiff(floats(results.product), expected) < 1e-6)
        assert.deepEqual(results.same, results.product)
      })
})
