import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { resizeByOnnx } from '../../test/support/resize.js'
import { type RgbImage, resizeBox } from '../images/resample.js'
import { createRandom } from '../random.js'
import { resizePositions } from './position.js'

const close = (actual: Float32Array, expected: readonly number[], tolerance: number) => {
  assert.equal(actual.length, expected.length)
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs((actual[i] as number) - value) <= tolerance, `${i}: ${actual[i]} instead of ${value}`)
}

const sixteen = Float32Array.from({ length: 16 }, (_, i) => i + 1)

test('doubling a 4 x 4 grid gives the numbers of the ONNX operator tests (Resize, cubic, a = -0.75)', () => {
  close(
    resizePositions(sixteen, 0, 4, 8, 1),
    [
      [0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375],
      [1.66015625, 1.95703125, 2.43359375, 3.0625, 3.46875, 4.09765625, 4.57421875, 4.87109375],
      [3.56640625, 3.86328125, 4.33984375, 4.96875, 5.375, 6.00390625, 6.48046875, 6.77734375],
      [6.08203125, 6.37890625, 6.85546875, 7.484375, 7.890625, 8.51953125, 8.99609375, 9.29296875],
      [7.70703125, 8.00390625, 8.48046875, 9.109375, 9.515625, 10.14453125, 10.62109375, 10.91796875],
      [10.22265625, 10.51953125, 10.99609375, 11.625, 12.03125, 12.66015625, 13.13671875, 13.43359375],
      [12.12890625, 12.42578125, 12.90234375, 13.53125, 13.9375, 14.56640625, 15.04296875, 15.33984375],
      [13.31640625, 13.61328125, 14.08984375, 14.71875, 15.125, 15.75390625, 16.23046875, 16.52734375],
    ].flat(),
    0, // all of them are exact in binary
  )
})

test('shrinking it to 3 x 3 does too: no antialiasing', () => {
  const expected = [
    1.63078704, 3.00462963, 4.37847222, 7.12615741, 8.5, 9.87384259, 12.62152778, 13.99537037, 15.36921296,
  ]
  close(resizePositions(sixteen, 0, 4, 3, 1), expected, 1e-6)
})

test('the same size is the identity and constants are preserved', () => {
  const random = createRandom(1)
  const positions = Float32Array.from({ length: (1 + 9) * 2 }, () => random.normal())
  assert.deepEqual(resizePositions(positions, 1, 3, 3, 2), positions)
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 }), (from, to) => {
      close(resizePositions(new Float32Array(from * from).fill(3), 0, from, to, 1), new Array(to * to).fill(3), 1e-6)
    }),
  )
})

test('prefix rows are kept, channels do not mix, and the axes are alike', () => {
  const random = createRandom(2)
  const prefix = 2
  const width = 3
  const grid = 5
  const positions = Float32Array.from({ length: (prefix + grid * grid) * width }, () => random.normal())
  const resized = resizePositions(positions, prefix, grid, 7, width)
  assert.deepEqual(resized.subarray(0, prefix * width), positions.subarray(0, prefix * width))
  for (let c = 0; c < width; c++) {
    const channel = (values: Float32Array) => values.slice(prefix * width).filter((_, i) => i % width === c)
    assert.deepEqual(resizePositions(channel(positions), 0, grid, 7, 1), channel(resized))
    const transposed = (values: Float32Array, n: number) =>
      values.map((_, i) => values[(i % n) * n + Math.floor(i / n)] as number)
    const other = transposed(resizePositions(transposed(channel(positions), grid), 0, grid, 7, 1), 7)
    close(other, [...channel(resized)], 1e-6)
  }
})

test('sizes that do not fit are refused', () => {
  assert.throws(
    () => resizePositions(new Float32Array(10), 0, 3, 4, 1),
    /10 position values are not \(0 \+ 3 x 3\) rows of 1/,
  )
})

const sizes = [
  { from: [4, 4], to: [7, 7] },
  { from: [14, 14], to: [24, 24] },
  { from: [16, 16], to: [9, 5] },
  { from: [7, 3], to: [5, 8] },
] as const

for (const { from, to } of sizes) {
  const random = createRandom(from[0] + 31 * to[0])
  const grid = Float32Array.from({ length: from[0] * from[1] }, () => random.normal())
  const what = `${from.join(' x ')} to ${to.join(' x ')}`

  test(`antialiased, ${what}: the numbers of ONNX Runtime's Resize with Pillow's kernel`, async () => {
    const wanted = await resizeByOnnx(grid, { from, to, a: -0.5, antialias: true })
    close(resizePositions(grid, 0, from, to, 1, 'antialias'), [...wanted], 2e-6)
  })

  test(`by a scale a tenth too large, ${what}: the numbers of ONNX Runtime's Resize by that scale`, async () => {
    const scales = [(to[0] + 0.1) / from[0], (to[1] + 0.1) / from[1]] as const
    const wanted = await resizeByOnnx(grid, { from, to, a: -0.75, antialias: false, scales })
    close(resizePositions(grid, 0, from, to, 1, 'offset'), [...wanted], 2e-5)
    const plain = resizePositions(grid, 0, from, to, 1)
    const apart = plain.reduce((most, value, i) => Math.max(most, Math.abs(value - (wanted[i] as number))), 0)
    assert.ok(apart > 1e-3, 'the tenth can be seen')
  })
}

test('antialiased resizing of whole numbers is that of pictures, which has the bits of Pillow, to its rounding', () => {
  const random = createRandom(9)
  const [from, to] = [16, 10]
  // Values around the middle, so that nothing is clipped.
  const image: RgbImage = {
    width: from,
    height: from,
    data: Uint8Array.from({ length: from * from * 3 }, () => 64 + (random.bits() >>> 25)),
  }
  const wanted = resizeBox(image, { left: 0, top: 0, width: from, height: from }, to)
  const found = resizePositions(Float32Array.from(image.data), 0, from, to, 3, 'antialias')
  close(found, [...wanted], 1.01) // two passes, each rounded
})
