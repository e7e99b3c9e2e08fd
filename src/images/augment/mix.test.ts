import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRandom } from '../../random.js'
import { mixBatch, softTargets, symmetricBeta } from './mix.js'

test('Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1))', () => {
  for (const alpha of [0.2, 0.8, 1, 4]) {
    const random = createRandom(11)
    const n = 10000
    const values = Array.from({ length: n }, () => symmetricBeta(alpha, random))
    const mean = values.reduce((a, b) => a + b, 0) / n
    const variance = values.reduce((a, b) => a + (b - 0.5) ** 2, 0) / n
    assert.ok(values.every((v) => v >= 0 && v <= 1))
    assert.ok(Math.abs(mean - 0.5) < 0.025, `alpha ${alpha}: mean ${mean}`)
    assert.ok(Math.abs(variance * 4 * (2 * alpha + 1) - 1) < 0.06, `alpha ${alpha}: variance ${variance}`)
  }
})

/** Picture i is filled with i + 1. */
const batchOf = (batch: number, size: number) =>
  Float32Array.from({ length: batch * 3 * size * size }, (_, p) => Math.floor(p / (3 * size * size)) + 1)

test('mixup: picture i and picture B - 1 - i with one weight', () => {
  const pixels = batchOf(5, 4)
  const weight = mixBatch(pixels, [5, 3, 4, 4], { mixup: 0.8, cutmix: 0, switchProbability: 0.5 }, createRandom(1))
  assert.ok(weight > 0 && weight < 1)
  for (let p = 0; p < pixels.length; p++) {
    const own = Math.floor(p / 48) + 1
    assert.ok(Math.abs((pixels[p] as number) - (weight * own + (1 - weight) * (6 - own))) < 1e-6)
  }
})

test('cutmix: a rectangle of the other picture; the weight is the share of the area that stayed', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const [height, width] = [16, 8]
      const plane = height * width
      const pixels = Float32Array.from({ length: 4 * 3 * plane }, (_, p) => Math.floor(p / (3 * plane)) + 1)
      const weight = mixBatch(
        pixels,
        [4, 3, height, width],
        { mixup: 0, cutmix: 1, switchProbability: 0.5 },
        createRandom(seed),
      )
      for (let i = 0; i < 4; i++) {
        const picture = pixels.subarray(i * 3 * plane, (i + 1) * 3 * plane)
        const kept = picture.filter((v) => v === i + 1).length
        assert.equal(kept + picture.filter((v) => v === 4 - i).length, picture.length)
        assert.ok(Math.abs(kept / picture.length - weight) < 1e-12)
      }
    }),
    { numRuns: 50 },
  )
})

test('both are used, each about half of the time, and none when both are off', () => {
  const random = createRandom(2)
  let cut = 0
  for (let i = 0; i < 1000; i++) {
    const pixels = Float32Array.of(...Array(12).fill(0), ...Array(12).fill(1))
    mixBatch(pixels, [2, 3, 2, 2], { mixup: 0.8, cutmix: 1, switchProbability: 0.5 }, random)
    if (pixels.every((v) => v === 0 || v === 1)) cut++
  }
  assert.ok(cut > 430 && cut < 570, `${cut} of 1000`)
  const pixels = batchOf(2, 2)
  assert.equal(mixBatch(pixels, [2, 3, 2, 2], { mixup: 0, cutmix: 0, switchProbability: 0.5 }, random), 1)
  assert.deepEqual(pixels, batchOf(2, 2))
})

test('soft targets: smoothing over all classes, own label and the partner by weight', () => {
  // 4 classes, smoothing 0.1: off value 0.025, on value 0.925.
  const targets = softTargets(Int32Array.of(0, 3, 3), 4, 0.75, 0.1)
  const expected = [0.7, 0.025, 0.025, 0.25, 0.025, 0.025, 0.025, 0.925, 0.25, 0.025, 0.025, 0.7]
  for (const [i, value] of expected.entries()) assert.ok(Math.abs((targets[i] as number) - value) < 1e-7, `entry ${i}`)
  assert.deepEqual([...softTargets(Int32Array.of(1), 2, 1, 0)], [0, 1])
})
