import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evaluate, floats, maxAbsDiff } from '../../../test/support/models.js'
import { createRandom } from '../../random.js'
import type { Dim } from '../dims.js'
import { constant, createGraph, input, output, totalMacs } from '../graph.js'
import { convolve } from './convolve.js'

const numbers = (count: number, seed: number) => {
  const random = createRandom(seed)
  return Float32Array.from({ length: count }, () => random.normal())
}

test('a convolution is its sum, pixel by pixel', async () => {
  const [B, C, H, W, O, kh, kw] = [2, 3, 7, 6, 4, 3, 2]
  const [x, w, b] = [numbers(B * C * H * W, 1), numbers(O * C * kh * kw, 2), numbers(O, 3)]
  for (const [stride, padding] of [
    [1, 0],
    [2, 1],
    [3, 2],
  ] as const) {
    const graph = createGraph()
    const kernel = constant(graph, w, [O, C, kh, kw])
    const y = convolve(input(graph, 'x', ['batch', C, H, W]), kernel, constant(graph, b, [O]), { stride, padding })
    output('y', y)
    const found = await evaluate(graph, { x: { data: x, shape: [B, C, H, W] } })
    const [, , rows, columns] = y.shape as [Dim, number, number, number]
    const expected = new Float32Array(B * O * rows * columns)
    const at = (n: number, c: number, i: number, j: number) =>
      i < 0 || j < 0 || i >= H || j >= W ? 0 : Number(x[((n * C + c) * H + i) * W + j])
    for (const [place] of expected.entries()) {
      const [j, i] = [place % columns, Math.floor(place / columns) % rows]
      const [o, n] = [Math.floor(place / columns / rows) % O, Math.floor(place / columns / rows / O)]
      let sum = Number(b[o])
      for (let c = 0; c < C; c++)
        for (let u = 0; u < kh; u++)
          for (let v = 0; v < kw; v++)
            sum +=
              Number(w[((o * C + c) * kh + u) * kw + v]) * at(n, c, stride * i + u - padding, stride * j + v - padding)
      expected[place] = sum
    }
    assert.deepEqual(found.y?.shape, [B, O, rows, columns])
    assert.ok(maxAbsDiff(floats(found.y), expected) < 1e-5)
    assert.equal(totalMacs(graph), O * rows * columns * C * kh * kw)
  }
})

test('what does not fit is refused', () => {
  const graph = createGraph()
  const tensor = (name: string, shape: readonly Dim[]) => input(graph, name, shape)
  const x = tensor('x', ['batch', 3, 4, 4])
  assert.throws(() => convolve(x, tensor('other', [2, 4, 3, 3])), /3 channels, the kernel has 4/)
  assert.throws(() => convolve(x, tensor('large', [2, 3, 5, 5])), /a kernel of 5,5 does not fit into 4,4/)
  assert.throws(() => convolve(x, tensor('flat', [2, 3])), /a kernel wants four axes/)
  assert.throws(() => convolve(x, tensor('kernel', [2, 3, 3, 3]), tensor('bias', [3])), /bias \[3\] is not \[2\]/)
  assert.throws(() => convolve(tensor('free', [1, 3, 'h', 4]), tensor('small', [2, 3, 1, 1])), /known height and width/)
})
