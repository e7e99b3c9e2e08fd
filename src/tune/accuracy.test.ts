import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { exchangeAt, expectationOf } from './accuracy.js'
import { changeOf, drawn, partsOf, referenceOf } from './answers.js'
import { corrected, fitCost, timeAt } from './cost.js'

const ln = Math.log

describe('changes', () => {
  // Three pictures of two classes; the dense model answers 0, 0, 1 with probabilities 0.8, 0.6, 0.9.
  const dense = Float32Array.of(ln(0.8), ln(0.2), ln(0.6), ln(0.4), ln(0.1), ln(0.9))
  const plan = Float32Array.of(ln(0.7), ln(0.3), ln(0.5), ln(0.5) + 1e-3, ln(0.5), ln(0.5) - 1e-3) // 0, 1, 0

  it('are counted by labels where there are some', () => {
    const reference = referenceOf(dense, 2, Int32Array.of(0, 1, 1))
    assert.equal(reference.right, 2)
    const { pictures, changed, lost, gained } = changeOf(plan, reference)
    assert.deepEqual([pictures, changed, lost, gained], [3, 2, 1, 1])
  })

  it('are what the dense model’s probabilities let expect where there are none', () => {
    const { lost, gained, divergence } = changeOf(plan, referenceOf(dense, 2, Int32Array.of(-1, -1, -1)))
    assert.ok(Math.abs(lost - (0.6 + 0.9)) < 1e-6)
    assert.ok(Math.abs(gained - (0.4 + 0.1)) < 1e-6)
    const by = (p: number, q: number) => p * ln(p / q) + (1 - p) * ln((1 - p) / (1 - q))
    assert.ok(Math.abs(divergence - (by(0.8, 0.7) + by(0.6, 0.5) + by(0.1, 0.5)) / 3) < 1e-3)
  })

  it('are none for the dense model itself', () => {
    const reference = referenceOf(dense, 2, Int32Array.of(0, 1, 1))
    assert.deepEqual(changeOf(dense, reference), { pictures: 3, changed: 0, lost: 0, gained: 0, divergence: 0 })
  })
})

describe('the expected accuracy', () => {
  const change = (changed: number, lost: number, gained: number) => ({
    pictures: 200,
    changed,
    lost,
    gained,
    divergence: 0,
  })

  it('is what changed answers cost, as often as held-out answers change', () => {
    const known = [change(20, 9, 3), change(20, 11, 5), change(150, 120, 2)]
    assert.deepEqual(exchangeAt(0.9, known), { cost: 12 / 40, both: 28 / 40 }) // plans far away do not count
    const { agreementPercent, pointsToDense, pointsInterval } = expectationOf(change(20, 0, 0), known)
    assert.equal(agreementPercent, 90)
    assert.ok(Math.abs(pointsToDense + 3) < 1e-9)
    assert.ok(pointsInterval[0] < -3 && pointsInterval[1] > -3)
  })

  it('is that of the dense model where nothing changes', () => {
    assert.equal(expectationOf(change(0, 0, 0), []).pointsToDense, 0)
  })
})

describe('the pictures', () => {
  it('are drawn by the seed, once each, and parted in three', () => {
    const samples = Array.from({ length: 10 }, (_, label) => ({ name: `${label}`, label }))
    const data = {
      name: 'ten',
      samples,
      source: (i: number) => ({ kind: 'file', path: `${i}` }) as const,
      close: async () => {},
    }
    const some = drawn(data, 7, 1)
    assert.equal(new Set(some.samples.map(({ name }) => name)).size, 7)
    for (const [i, { name }] of some.samples.entries()) assert.deepEqual(some.source(i), { kind: 'file', path: name })
    assert.deepEqual(drawn(data, 7, 1).samples, some.samples)
    assert.notDeepEqual(drawn(data, 7, 2).samples, some.samples)
    const { search, prediction, measurement } = partsOf(7)
    assert.deepEqual(
      [search, prediction, measurement],
      [
        [0, 1, 2],
        [3, 4],
        [5, 6],
      ],
    )
  })
})

describe('a cost model', () => {
  const exact = [0.5, 0.7, 0.9].map((work) => ({ work, time: 0.2 + 0.7 * work }))

  it('is the line through what was timed, and tells how far it is off', () => {
    const { fixed, slope, error } = fitCost(exact)
    assert.ok(Math.abs(fixed - 0.2) < 1e-9 && Math.abs(slope - 0.7) < 1e-9 && error < 1e-9)
    const off = fitCost([...exact, { work: 0.8, time: 1 }])
    assert.ok(off.error > 0.05)
    // Noise that would have work take less than no time.
    const steep = fitCost([0.5, 0.7, 0.9].map((work) => ({ work, time: 1.5 * work - 0.2 })))
    assert.ok(steep.fixed === 0 && steep.slope > 1 && steep.slope < 1.3 && steep.error > 0.05)
  })

  it('can be held to a plan that was timed', () => {
    const model = corrected(fitCost(exact), { work: 0.6, time: 0.7 }, 0.02)
    assert.ok(Math.abs(timeAt(model, 0.6) - 0.7) < 1e-9)
    assert.ok(Math.abs(timeAt(model, 0.7) - 0.77) < 1e-9)
    assert.equal(model.error, 0.02)
  })

  it('needs two amounts of work', () => {
    assert.throws(() => fitCost([{ work: 0.5, time: 0.5 }]), { name: 'InputError' })
  })
})
