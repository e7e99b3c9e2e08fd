import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  box,
  clip,
  cut,
  direction,
  ellipse,
  mirrored,
  type Path,
  type Point,
  polygon,
  stroke,
  transform,
} from './geometry.js'
import { coverage, grown, SCENE_SIDE, shifted, union } from './raster.js'

const near = (actual: number, expected: number, tolerance: number, what = '') =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what} ${actual}, expected ${expected}`)

const area = (path: Path) => coverage(path).share.reduce((sum, share) => sum + share, 0)

describe('coverage', () => {
  it('is the exact share of every pixel', () => {
    const { left, top, width, height, share } = coverage(box(1.25, 2.5, 3.5, 4))
    assert.deepEqual([left, top, width, height], [1, 2, 3, 2])
    assert.deepEqual([...share], [0.375, 0.5, 0.25, 0.75, 1, 0.5])
    // The diagonal of a 2×1 rectangle: 1/4 and 3/4 of its pixels below it.
    assert.deepEqual([...coverage(polygon([0, 0], [2, 1], [0, 1])).share], [0.75, 0.25])
  })

  it('adds up to the area of any triangle, whichever way round', () => {
    const point = fc.tuple(fc.double({ min: 0, max: 96, noNaN: true }), fc.double({ min: 0, max: 96, noNaN: true }))
    fc.assert(
      fc.property(point, point, point, (a, b, c) => {
        const exact = Math.abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])) / 2
        near(area([[a, b, c]]), exact, 1e-3)
        near(area([[c, b, a]]), exact, 1e-3)
      }),
    )
  })

  it('leaves out what lies beyond the picture', () => {
    near(area(box(-50, -50, 10, 20)), 200, 1e-4)
    near(area(box(90, 91, 400, 1000)), 30, 1e-4)
    near(area(box(-9, -9, 200, 200)), SCENE_SIDE * SCENE_SIDE, 1e-3)
    assert.equal(coverage(box(-9, 5, -1, 9)).width, 0)
    assert.equal(coverage([]).width, 0)
  })

  it('counts overlaps once and leaves holes open', () => {
    near(area([...box(10, 10, 20, 20), ...box(15, 15, 25, 25)]), 175, 1e-4)
    near(area(cut(box(10, 10, 30, 30), box(15, 15, 20, 25))), 350, 1e-4)
    near(area(mirrored(cut(box(-30, 10, -10, 30), box(-20, 15, -15, 25)))), 350, 1e-4)
  })

  it('covers discs and strokes by their area, but for the chords', () => {
    near(area(ellipse(40, 50, 20, 10)), Math.PI * 200, 0.012 * Math.PI * 200)
    near(
      area(
        stroke(
          [
            [20, 20],
            [60, 50],
          ],
          6,
        ),
      ),
      50 * 6 + Math.PI * 9,
      2,
    )
  })
})

describe('coverages', () => {
  const square = coverage(box(4, 4, 8, 8))

  it('are moved, joined and grown', () => {
    assert.deepEqual(shifted(square, 3, -2), coverage(box(7, 2, 11, 6)))
    assert.deepEqual(shifted(square, -6, 90), coverage(box(0, 94, 2, 96)))
    assert.deepEqual(union([square, coverage(box(6, 5, 9, 6))]), coverage([...box(4, 4, 8, 8), ...box(6, 5, 9, 6)]))
    const sum = grown(square).share.reduce((total, share) => total + share, 0)
    assert.equal(sum, 16 + 4 * 4)
  })
})

describe('geometry', () => {
  it('knows the directions of all angles', () => {
    for (let degrees = -720; degrees <= 720; degrees += 7.5) {
      const [x, y] = direction(degrees)
      near(x, Math.cos((degrees * Math.PI) / 180), 4e-15, `x at ${degrees}°`)
      near(y, Math.sin((degrees * Math.PI) / 180), 4e-15, `y at ${degrees}°`)
    }
  })

  it('cuts along a line', () => {
    assert.deepEqual(clip(box(0, 0, 4, 4), 1, 0, -1), [])
    near(area(clip(box(0, 0, 4, 4), 1, 1, 4)), 8, 1e-6)
    near(area(clip(box(0, 0, 4, 4), -1, 0, -3)), 4, 1e-6)
  })

  it('maps points by a matrix', () => {
    const moved: readonly Point[] | undefined = transform([[[1, 2]]], [2, 3, 5, 7, 11, 13])[0]
    assert.deepEqual(moved, [[2 + 10 + 11, 3 + 14 + 13]])
  })
})
