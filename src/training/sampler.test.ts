import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochOrder } from './sampler.js'

test('an epoch visits every picture once, in an order of its own', () => {
  const order = epochOrder(100, 1, 0)
  assert.deepEqual(
    [...order].sort((a, b) => a - b),
    [...Array(100).keys()],
  )
  assert.deepEqual(epochOrder(100, 1, 0), order)
  assert.notDeepEqual(epochOrder(100, 1, 1), order)
  assert.notDeepEqual(epochOrder(100, 2, 0), order)
})

test('repeated augmentation: as many draws, each picture three times in a row', () => {
  const order = epochOrder(10, 1, 0, 3)
  assert.equal(order.length, 10)
  assert.deepEqual(
    order,
    Int32Array.from({ length: 10 }, (_, i) => epochOrder(10, 1, 0)[Math.floor(i / 3)] as number),
  )
})
