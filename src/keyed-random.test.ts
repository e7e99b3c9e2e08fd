import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keyedRandom } from './keyed-random.js'

test('the same key gives the same stream, any other key another', () => {
  const first = (seed: number, purpose: string, ...numbers: number[]) => keyedRandom(seed, purpose, ...numbers).bits()
  assert.equal(first(1, 'a', 2, 3), first(1, 'a', 2, 3))
  const keys: [number, string, ...number[]][] = [
    [1, 'a'],
    [1, 'b'],
    [1, 'ab'],
    [1, 'ba'],
    [2, 'a'],
    [1, 'a', 0],
    [1, 'a', 0, 0],
    [1, 'a', 1, 0],
    [1, 'a', 0, 1],
    [1, 'a', 2 ** 32],
    [1, 'a', 2 ** 33],
  ]
  assert.equal(new Set(keys.map((key) => first(...key))).size, keys.length)
})

test('first numbers of neighbouring keys are uniform and uncorrelated', () => {
  const n = 20000
  const values = Array.from({ length: n }, (_, i) => keyedRandom(7, 'augment', i >> 7, i & 127).uniform() - 0.5)
  const mean = values.reduce((a, b) => a + b, 0) / n
  const square = values.reduce((a, b) => a + b * b, 0) / n
  const product = values.slice(1).reduce((sum, v, i) => sum + v * (values[i] as number), 0) / n
  // Deviations of the three means: sqrt(1/12n), sqrt(1/180n), 1/12 sqrt(1/n); five of them allowed.
  assert.ok(Math.abs(mean) < 5 * Math.sqrt(1 / 12 / n), `mean ${mean}`)
  assert.ok(Math.abs(square - 1 / 12) < 5 * Math.sqrt(1 / 180 / n), `variance ${square}`)
  assert.ok(Math.abs(product) < 5 / 12 / Math.sqrt(n), `correlation ${product}`)
  assert.equal(new Set(values).size, n)
})

test('literal values, so that a change of the hash is noticed: runs are resumed by it', () => {
  assert.deepEqual(
    [keyedRandom(0, ''), keyedRandom(42, 'order', 3), keyedRandom(2 ** 32 - 1, 'augment', 299, 1281166)].map((random) =>
      random.bits(),
    ),
    [490566780, 506013931, 3962496174],
  )
})
