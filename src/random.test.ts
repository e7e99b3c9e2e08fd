import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InputError } from './errors.js'
import { createRandom, inverseNormal, shuffle } from './random.js'

test('xoshiro128** gives the numbers of its authors’ code', () => {
  const random = createRandom(0)
  random.setState([1, 2, 3, 4])
  const expected = [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804]
  assert.deepEqual(
    expected.map(() => random.bits()),
    expected,
  )
  assert.deepEqual(random.getState(), [939045227, 1864939416, 1451579149, 2199351389])
})

test('seed 0 expands to the first two outputs of SplitMix64', () => {
  // 0xe220a8397b1dcdaf and 0x6e789e6aa1b965f4, low word first.
  assert.deepEqual(createRandom(0).getState(), [0x7b1dcdaf, 0xe220a839, 0xa1b965f4, 0x6e789e6a])
})

test('the inverse normal distribution has the tabulated quantiles', () => {
  const quantiles: readonly (readonly [number, number])[] = [
    [0.5, 0],
    [0.75, 0.6744897501960817],
    [0.975, 1.959963984540054],
    [0.001, -3.0902323061678136],
    [1e-20, -9.262340089798409],
    [1e-9, -5.997807015007687],
  ]
  for (const [p, x] of quantiles) assert.ok(Math.abs(inverseNormal(p) - x) < 1e-14 * (1 + Math.abs(x)), `${p}`)
})

test('normal numbers have the moments of the normal distribution', () => {
  const random = createRandom(7)
  const n = 200_000
  const moments = [0, 0, 0, 0]
  for (let i = 0; i < n; i++) {
    const x = random.normal()
    for (let k = 0; k < 4; k++) moments[k] = (moments[k] ?? 0) + x ** (k + 1) / n
  }
  const [first = 0, second = 0, third = 0, fourth = 0] = moments
  // Five standard errors: variances of x, x², x³, x⁴ are 1, 2, 15, 96.
  const bound = (variance: number) => 5 * Math.sqrt(variance / n)
  assert.ok(Math.abs(first) < bound(1))
  assert.ok(Math.abs(second - 1) < bound(2))
  assert.ok(Math.abs(third) < bound(15))
  assert.ok(Math.abs(fourth - 3) < bound(96))
})

test('a saved state resumes the stream, through JSON too', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.nat(20), (seed, skip) => {
      const random = createRandom(seed)
      for (let i = 0; i < skip; i++) random.normal()
      const saved = JSON.parse(JSON.stringify(random.getState()))
      const rest = [random.normal(), random.uniform(), random.integer(10)]
      const other = createRandom(0)
      other.setState(saved)
      assert.deepEqual([other.normal(), other.uniform(), other.integer(10)], rest)
    }),
  )
})

test('integers stay in range and are evenly spread', () => {
  const random = createRandom(1)
  const counts = new Array<number>(7).fill(0)
  for (let i = 0; i < 70_000; i++) {
    const k = random.integer(7)
    counts[k] = (counts[k] ?? 0) + 1
  }
  // Chi-square with 6 degrees of freedom exceeds 22.46 once in a thousand.
  const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)
  assert.ok(chiSquare < 22.46, `${counts}`)
})

test('shuffling keeps every item and depends on the seed alone', () => {
  const items = Array.from({ length: 50 }, (_, i) => i)
  const shuffled = shuffle([...items], createRandom(3))
  assert.deepEqual(shuffled, shuffle([...items], createRandom(3)))
  assert.notDeepEqual(shuffled, items)
  assert.deepEqual(
    [...shuffled].sort((a, b) => a - b),
    items,
  )
})

test('bad seeds, ranges and states are refused', () => {
  assert.throws(() => createRandom(0.5), InputError)
  assert.throws(() => createRandom(1).integer(0), InputError)
  assert.throws(() => createRandom(1).setState([0, 0, 0, 0]), InputError)
  assert.throws(() => createRandom(1).setState([-1, 0, 0, 0]), InputError)
})
