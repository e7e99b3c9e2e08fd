/** The search on costs and losses that are made up, so that the best plan is known. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { countsOf, normalized, powerProfile, scaledTo, type Terms, weightsOf } from './profiles.js'
import { bestOf, improve, type Problem, type Tried } from './search.js'

const free: Terms = { depth: 12, tokens: 196, blocks: 12, falling: false }
const falling: Terms = { ...free, blocks: 11, falling: true }
const rows = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0)
const BUDGET = 0.6 * 12 * 196

/** Leaving out x_l tokens loses a_l x_l²: with Σ x_l given, the best x_l are in proportion to 1 / a_l (Lagrange). */
const dear = [40, 30, 20, 10, 5, 3, 2, 1.5, 1, 1, 2, 4]
const loss = (counts: readonly number[]) =>
  counts.reduce((sum, count, l) => sum + (dear[l] as number) * (196 - count) ** 2, 0)

function problem(terms: Terms, lossOf: (counts: readonly number[]) => number) {
  const measured: (readonly number[])[] = []
  const made: Problem = {
    planOf: (weights) => scaledTo(weights, BUDGET, rows, terms),
    async measure(counts) {
      measured.push(counts)
      return lossOf(counts)
    },
  }
  return { made, measured }
}

describe('the search', () => {
  it('comes near the best plan within few measurements, none of them above the cost', async () => {
    const { made, measured } = problem(free, loss)
    const start = (await bestOf(
      [1, 2].map((power) => powerProfile(power, free)),
      made,
    )) as Tried
    const found = await improve(start, made, 100)
    const best = loss(
      optimum(
        12 * 196 - BUDGET,
        dear.map((a) => 1 / a),
      ),
    )
    assert.ok(start.loss > 1.4 * best, `${start.loss} ${best}`) // there is something to be found
    assert.ok(found.loss < 1.08 * best, `${found.loss / best}`)
    assert.ok(measured.length <= 102)
    for (const counts of measured) assert.ok(rows(counts) <= BUDGET && rows(counts) > BUDGET - 12)
    assert.equal(new Set(measured.map(String)).size, measured.length) // nothing is measured twice
  })

  it('starts where the method joins, and leaves out as much there', () => {
    // (l + 1) / 4 squared is 1/16, 4/16, 9/16, 1: blocks 1 and 3 take what those before them leave.
    assert.deepEqual(
      powerProfile(2, { ...falling, depth: 5, blocks: 4, still: [0, 2] }).map((weight) => weight / 4),
      [0, 4 / 16, 0, 12 / 16],
    )
  })

  it('measures no more than it may, and gives back the start where nothing is better', async () => {
    const few = problem(free, loss)
    const start = { weights: powerProfile(1, free), counts: [], loss: Number.POSITIVE_INFINITY }
    await improve(start, few.made, 5)
    assert.equal(few.measured.length, 5)
    const { made } = problem(free, () => 1)
    const flat = { weights: powerProfile(1, free), counts: [], loss: 1 }
    assert.equal(await improve(flat, made, 20), flat)
  })

  it('keeps plans falling where tokens do not come back, and finds that late is cheap', async () => {
    // The last two blocks have one count: together they lose 3 x², so that x is in proportion to 2 / 3.
    const late = (counts: readonly number[]) => counts.reduce((sum, n, l) => sum + (196 - n) ** 2 * (12 - l), 0)
    const { made, measured } = problem(falling, late)
    const start = (await bestOf([powerProfile(0.5, falling)], made)) as Tried
    const found = await improve(start, made, 60)
    const best = late(
      optimum(
        12 * 196 - BUDGET,
        Array.from({ length: 12 }, (_, l) => (l < 10 ? 1 / (12 - l) : 2 / 3)),
      ),
    )
    assert.ok(start.loss > 1.2 * best && found.loss < 1.03 * best, `${start.loss / best} ${found.loss / best}`)
    for (const counts of measured)
      for (let l = 1; l < 12; l++) assert.ok((counts[l] as number) <= (counts[l - 1] as number))
  })
})

/** What is left of 196 where x_l = min(195, c · share_l) are out, Σ x_l = total. */
function optimum(total: number, shares: readonly number[]): number[] {
  let [low, high] = [0, 1e6]
  const out = (c: number) => shares.map((share) => Math.min(195, c * share))
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2
    if (rows(out(middle)) < total) low = middle
    else high = middle
  }
  return out(high).map((x) => 196 - x)
}

describe('profiles', () => {
  it('become the counts that they were made from', () => {
    const plan = [196, 196, 196, 137, 137, 137, 96, 96, 96, 67, 67, 67]
    const weights = weightsOf(plan, free)
    assert.deepEqual(scaledTo(weights, rows(plan), rows, free), plan)
    const even = [185, 174, 163, 152, 141, 130, 119, 108, 97, 86, 75, 75]
    assert.deepEqual(scaledTo(weightsOf(even, falling), rows(even), rows, falling), even)
  })

  it('leave one row more where a block fuses, and nothing where that saves nothing', () => {
    const terms: Terms = { depth: 4, tokens: 100, blocks: 3, falling: true, fuses: true }
    assert.deepEqual(countsOf([1, 0, 1], 20, terms), [80, 81, 60, 61])
    assert.deepEqual(countsOf([0.01, 0, 1], 20, terms), [100, 100, 80, 81])
  })

  it('leave half of the rows where no more can be merged', () => {
    const terms: Terms = { depth: 3, tokens: 100, blocks: 3, falling: true, atLeast: 0.5 }
    assert.deepEqual(countsOf(normalized([1, 0, 0]), 30, terms), [50, 50, 50])
    assert.deepEqual(countsOf([1, 0, 0], 2000, { ...terms, atLeast: 0 }), [8, 8, 8])
  })

  it('cannot cost less than the fewest tokens do', () => {
    assert.equal(scaledTo(powerProfile(1, free), 11, rows, free), undefined)
    assert.deepEqual(scaledTo(powerProfile(1, free), 12 * 196, rows, free), new Array(12).fill(196))
  })
})
