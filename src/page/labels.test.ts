import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { crosses, meets, placeLabels } from './labels.js'

const plot = { width: 474, height: 250 }

describe('labels of points', () => {
  it('meet no point, no other label and no edge of the plot, however crowded', () => {
    const point = fc.record({
      x: fc.double({ min: 0, max: plot.width, noNaN: true }),
      y: fc.double({ min: 0, max: plot.height, noNaN: true }),
      label: fc.constantFrom('0.9', 'dense', 'deit-tiny-idle-0.7'),
    })
    fc.assert(
      fc.property(fc.array(point, { maxLength: 30 }), (points) => {
        const labels = placeLabels(points, plot)
        for (const [i, { box, of, label }] of labels.entries()) {
          assert.equal(label, points[of]?.label)
          assert.ok(box.left >= 0 && box.right <= plot.width && box.top >= 0 && box.bottom <= plot.height)
          for (const other of labels.slice(i + 1)) assert.ok(!meets(box, other.box))
          for (const { x, y } of points)
            assert.ok(!meets(box, { left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }))
        }
      }),
    )
  })

  it('all stand where there is room, and keep off bars and lines', () => {
    const points = Array.from({ length: 20 }, (_, i) => ({ x: 20 + 22 * i, y: 60 + 8 * (i % 3), label: '0.7' }))
    const bars = points.map(({ x, y }) => ({ left: x - 4, right: x + 4, top: y - 20, bottom: y + 20 }))
    const lines = points.slice(1).map(({ x, y }, i) => ({ x: points[i]?.x ?? 0, y: points[i]?.y ?? 0, x2: x, y2: y }))
    const labels = placeLabels(points, { ...plot, bars, lines })
    assert.equal(labels.length, points.length)
    for (const { box } of labels) {
      assert.ok(!bars.some((bar) => meets(bar, box)))
      assert.ok(!lines.some((line) => crosses(line, box)))
    }
  })

  it('are led to their points where they stand far off', () => {
    const crowd = Array.from({ length: 9 }, (_, i) => ({ x: 200 + 2 * (i % 4), y: 120 + 3 * (i % 3), label: `0.${i}` }))
    const labels = placeLabels(crowd, plot)
    assert.equal(labels.length, crowd.length)
    const led = labels.filter(({ lead }) => lead)
    assert.ok(led.length > 0)
    for (const { lead, of } of led)
      for (const other of labels) assert.ok(other.of === of || !lead || !crosses(lead, other.box))
  })
})

describe('a line', () => {
  it('crosses a box that it passes through, and no other', () => {
    const box = { left: 0, right: 10, top: 0, bottom: 10 }
    const line = (x: number, y: number, x2: number, y2: number) => crosses({ x, y, x2, y2 }, box)
    assert.ok(line(-5, 5, 15, 5))
    assert.ok(line(5, 5, 6, 6))
    assert.ok(line(-1, 9, 2, 12) === false)
    assert.ok(line(-5, 5, -1, 5) === false)
    assert.ok(line(20, -5, 20, 15) === false)
  })
})
