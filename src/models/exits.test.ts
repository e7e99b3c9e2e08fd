import assert from 'node:assert/strict'
import { it } from 'node:test'
import { confidencesOf, exitOf, exitShares, findThresholds, NEVER } from './exits.js'

it('confidence is the largest probability', () => {
  const logits = Float32Array.of(Math.log(6), Math.log(3), Math.log(1), 1000, 1000, 0)
  assert.deepEqual(
    Array.from(confidencesOf(logits, 3), (each) => Number(each.toFixed(6))),
    [0.6, 0.5],
  )
})

it('shares of a budget of 20 are equal, a small one answers early', () => {
  assert.deepEqual(exitShares(20, 3), [1 / 3, 1 / 3, 1 / 3])
  const [first = 0, second = 0, third = 0] = exitShares(10, 3) // as 1/2 to 1/4 to 1/8
  assert.deepEqual([first, second, third], [4 / 7, 2 / 7, 1 / 7])
})

it('thresholds let the wanted number of pictures leave, the surest first', () => {
  const confidences = [
    [0.9, 0.2, 0.5, 0.7, 0.4, 0.3],
    [0.1, 0.8, 0.9, 0.2, 0.95, 0.6],
    [0, 0, 0, 0, 0, 0],
  ]
  assert.deepEqual(findThresholds(confidences, [1 / 3, 1 / 3, 1 / 3]), [0.7, 0.9, -NEVER])
  const exits = [0, 1, 2, 3, 4, 5].map((i) =>
    exitOf(
      confidences.map((own) => own[i] as number),
      [0.7, 0.9],
    ),
  )
  assert.deepEqual(exits, [0, 2, 1, 0, 1, 2])
  assert.deepEqual(findThresholds(confidences, [0.1, 0.5, 0.4]), [NEVER, 0.8, -NEVER], 'a share of no whole picture')
})
