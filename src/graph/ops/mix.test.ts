import assert from 'node:assert/strict'
import { it } from 'node:test'
import { evaluate } from '../../../test/support/models.js'
import { gradients } from '../gradients.js'
import { createGraph, input, output, totalMacs } from '../graph.js'
import { reduceSum } from './broadcast.js'
import { mul } from './elementwise.js'
import { mix } from './mix.js'

const matrix = { rows: 3, columns: 2, data: Float32Array.of(1, 0, 0.5, 0.5, 0, 2) }

it('mixes entries of the last axis and of the one before it', async () => {
  const graph = createGraph()
  output('rows', mix(input(graph, 'a', ['batch', 2, 2]), 'before last', matrix))
  output('columns', mix(input(graph, 'b', ['batch', 2]), 'last', matrix))
  const found = await evaluate(graph, {
    a: { data: Float32Array.of(1, 2, 3, 4), shape: [1, 2, 2] },
    b: { data: Float32Array.of(1, 2, 3, 5), shape: [2, 2] },
  })
  assert.deepEqual(found.rows, { data: Float32Array.of(1, 2, 2, 3, 6, 8), shape: [1, 3, 2] })
  assert.deepEqual(found.columns, { data: Float32Array.of(1, 1.5, 4, 3, 4, 10), shape: [2, 3] })
  assert.equal(totalMacs(graph), 3 * 2 * 2 + 3 * 2)
})

it('has the gradient of a linear map', async () => {
  const graph = createGraph()
  const [a, b] = [input(graph, 'a', [2, 1]), input(graph, 'b', [1, 2])]
  const weights = input(graph, 'w', [3, 1])
  const turned = input(graph, 'v', [1, 3])
  const loss = (x: ReturnType<typeof mix>, w: ReturnType<typeof mix>) => reduceSum(mul(x, w), [0, 1])
  output('da', gradients(loss(mix(a, 'before last', matrix), weights), [a])[0] as typeof a)
  output('db', gradients(loss(mix(b, 'last', matrix), turned), [b])[0] as typeof b)
  const zeros = { data: new Float32Array(2) }
  const w = Float32Array.of(1, 2, 3)
  const fed = { a: { ...zeros, shape: [2, 1] }, b: { ...zeros, shape: [1, 2] } }
  const found = await evaluate(graph, { ...fed, w: { data: w, shape: [3, 1] }, v: { data: w, shape: [1, 3] } })
  assert.deepEqual(found.da?.data, Float32Array.of(2, 7)) // the matrix transposed, times 1, 2, 3
  assert.deepEqual(found.db?.data, Float32Array.of(2, 7))
})

it('refuses another number of entries', () => {
  assert.throws(() => mix(input(createGraph(), 'x', [4, 3]), 'last', matrix), /wanted 2 entries to mix, found 3/)
})
