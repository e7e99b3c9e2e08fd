import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { meanCosineSimilarity } from './similarity.js'

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} is not ${expected}`)

describe('meanCosineSimilarity', () => {
  it('is 1 for one direction, 0 for orthogonal rows, -1 for opposite ones', () => {
    near(meanCosineSimilarity(Float32Array.of(1, 2, 3, 6, 0.5, 1), 2), 1)
    near(meanCosineSimilarity(Float32Array.of(4, 0, 0, 0, 5, 0, 0, 0, 6), 3), 0)
    near(meanCosineSimilarity(Float32Array.of(1, 1, -2, -2), 2), -1)
  })

  it('takes a row of zeros for one like no other', () => {
    near(meanCosineSimilarity(Float32Array.of(1, 2, 0, 0, 2, 4), 2), 1 / 3)
  })

  it('is the mean of the three pairs', () => {
    // Angles 0°, 60° and 90°: cosines 1/2, 0 and √3/2.
    const rows = Float32Array.of(1, 0, 0.5, Math.sqrt(3) / 2, 0, 7)
    near(meanCosineSimilarity(rows, 2), (0.5 + 0 + Math.sqrt(3) / 2) / 3)
  })

  it('is the mean over all pairs, whatever the lengths of the rows', () => {
    const rows = fc.array(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 4, maxLength: 4 }), {
      minLength: 2,
      maxLength: 7,
    })
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 50 }), (vectors, factor) => {
        const norm = (v: readonly number[]) => Math.hypot(...v)
        const cosine = (a: readonly number[], b: readonly number[]) =>
          norm(a) * norm(b) === 0
            ? 0
            : a.reduce((sum, value, c) => sum + value * (b[c] as number), 0) / norm(a) / norm(b)
        const pairs = vectors.flatMap((a, i) => vectors.slice(i + 1).map((b) => cosine(a, b)))
        const mean = pairs.reduce((a, b) => a + b, 0) / pairs.length
        near(meanCosineSimilarity(Float32Array.from(vectors.flat()), 4), mean)
        const longer = vectors.map((v, i) => (i === 0 ? v.map((value) => value * factor) : v))
        near(meanCosineSimilarity(Float32Array.from(longer.flat()), 4), mean)
      }),
    )
  })
})
