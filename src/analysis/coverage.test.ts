import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { coverage, coverageByBlock, objectPixels } from './coverage.js'

/** A 4×4 picture in four patches: the object fills the left patches' middle rows and a fifth of one pixel at the right. */
const mask = Uint8Array.of(0, 0, 0, 0, 255, 255, 0, 0, 255, 255, 0, 51, 0, 0, 0, 0)
const pixels = objectPixels(mask, 2)

describe('objectPixels', () => {
  it('counts the object in every patch', () => {
    assert.deepEqual([...pixels], [2, 0, 2, 0.2])
    assert.deepEqual([...objectPixels(mask, 4)], [4.2])
  })

  it('refuses a mask that is no square of patches', () => {
    assert.throws(() => objectPixels(mask, 3), /wanted a square of whole patches of 3 pixels, found 16 pixels/)
    assert.throws(() => objectPixels(mask.subarray(1), 2), /found 15 pixels/)
  })
})

describe('coverage', () => {
  it('is the share of the object in the selected tokens', () => {
    assert.equal(coverage(pixels, [0]), 2 / 4.2)
    assert.equal(coverage(pixels, Int32Array.of(3, 2)), 2.2 / 4.2)
    assert.equal(coverage(pixels, [1]), 0)
    assert.equal(coverage(pixels, []), 0)
    assert.ok(Math.abs(coverage(pixels, [0, 1, 2, 3]) - 1) < 1e-12)
  })
})

describe('coverageByBlock', () => {
  it('compares the choice of the idle model, the order of the dense one, and chance', () => {
    const all = [0, 1, 2, 3]
    const ranked = [all, [2, 0, 3, 1]]
    const found = coverageByBlock([
      { pixels, selected: [all, [0, 1]], ranked },
      { pixels: Float64Array.of(0, 5, 0, 0), selected: [all, [1, 3]], ranked },
      { pixels: new Float64Array(4), selected: [all, [1, 3]], ranked }, // no object to be seen
    ])
    assert.equal(found.length, 2)
    const [first, second] = found
    for (const way of ['idle', 'dense', 'random'] as const) assert.ok(Math.abs((first?.[way] as number) - 1) < 1e-12)
    assert.deepEqual(second, { block: 1, kept: 2, idle: (2 / 4.2 + 1) / 2, dense: (4 / 4.2 + 0) / 2, random: 0.5 })
  })

  it('averages to chance over all choices of as many tokens', () => {
    const pairs = [0, 1, 2, 3].flatMap((a) => [0, 1, 2, 3].filter((b) => b > a).map((b) => [a, b]))
    const found = coverageByBlock(pairs.map((pair) => ({ pixels, selected: [pair], ranked: [[...pair, ...pair]] })))
    for (const way of ['idle', 'dense'] as const) assert.ok(Math.abs((found[0]?.[way] as number) - 0.5) < 1e-12)
  })
})
