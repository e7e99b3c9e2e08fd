/** Cosines, quantiles and neighbours against numbers worked out by hand, and NumPy's. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { comparisonOf, cosine, neighbourAgreement, spread } from './compare.js'

const folder = temporaryFolder()

describe('cosine', () => {
  it('of known angles', () => {
    const x = Float32Array.of(2, 0)
    assert.equal(cosine(x, Float32Array.of(5, 0)), 1)
    assert.equal(cosine(x, Float32Array.of(0, -3)), 0)
    assert.equal(cosine(x, Float32Array.of(-1, 0)), -1)
    assert.ok(Math.abs(cosine(x, Float32Array.of(1, 1)) - Math.SQRT1_2) < 1e-12)
    assert.equal(cosine(x, Float32Array.of(0, 0)), 0)
  })
})

it('quantiles are those of numpy.quantile', () => {
  // numpy.quantile([3, 1, 4, 1, 5, 9, 2, 6], [0.05, 0.25, 0.5, 0.75]) = [1, 1.75, 3.5, 5.25]
  const { mean, min, p5, p25, median, p75, max } = spread([3, 1, 4, 1, 5, 9, 2, 6])
  assert.deepEqual([mean, min, p5, p25, median, p75, max], [3.875, 1, 1, 1.75, 3.5, 5.25, 9])
})

describe('neighbours', () => {
  /** Rows at these angles, in degrees, on a circle; lengths differ and do not matter. */
  const write = (name: string, degrees: readonly number[]) => {
    const rows = degrees.flatMap((angle, i) => {
      const [radians, length] = [(angle * Math.PI) / 180, i + 1]
      return [length * Math.cos(radians), length * Math.sin(radians)]
    })
    return folder.write(name, new Uint8Array(Float32Array.from(rows).buffer))
  }

  it('are counted by hand', async () => {
    // dense: nearest of 0° 10°, of 10° 0°, of 30° 10°, of 80° 30°
    const dense = write('dense', [0, 10, 30, 80])
    // now the third lies beside the fourth: nearest of 0° 10°, of 10° 0°, of 70° 80°, of 80° 70°: 3 of 4 agree
    const moved = write('moved', [0, 10, 70, 80])
    assert.deepEqual(await neighbourAgreement([moved, dense], 4, 2), { queries: 4, recallAt1: 0.75, recallAt10: null })
    assert.equal((await neighbourAgreement([dense, dense], 4, 2)).recallAt1, 1)
  })

  it('ten of twelve, asked about some', async () => {
    const around = Array.from({ length: 12 }, (_, i) => i)
    const dense = write('twelve', around)
    // The farthest picture of row 0 is row 11; where row 1 goes far away, 9 of the ten are found again.
    const moved = write(
      'away',
      around.map((angle) => (angle === 1 ? 180 : angle)),
    )
    const { queries, recallAt1, recallAt10 } = await neighbourAgreement([moved, dense], 12, 2, 1)
    assert.deepEqual([queries, recallAt1, recallAt10], [1, 0, 0.9])
  })
})

it('tokens that were dropped are counted, and not compared', () => {
  const layout = { prefix: 1, tokens: 2, width: 2 }
  const features = Float32Array.of(1, 0, 1, 0, 0, 1)
  const dense = { logits: new Float32Array(1), classes: 1, features, blocks: [features] }
  const { blocks, cosines } = comparisonOf(
    { ...dense, blocks: [Float32Array.of(1, 0, 3, 0, 0, 0)] },
    dense,
    layout,
    'class',
  )
  // Of the dense model's two tokens, at a right angle, the pair is not alike at all; one token alone is.
  assert.deepEqual([blocks, cosines], [[{ sum: 1, gone: 1, alike: 1, denseAlike: 0 }], [1]])
})
