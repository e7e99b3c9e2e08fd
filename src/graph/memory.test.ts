import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createGraph, input, output } from './graph.js'
import { peakMemory } from './memory.js'
import { add, mul } from './ops/elementwise.js'

it('peak memory counts the tensors that are alive together', () => {
  const graph = createGraph()
  const x = input(graph, 'x', ['batch', 10])
  const a = add(x, x) // x, a
  const b = mul(a, a) // x, a, b; a is free afterwards
  const c = mul(b, b) // x, b, c
  output('y', add(c, x)) // x, c, y: x lives to the end
  add(b, a) // nobody reads it
  assert.equal(peakMemory(graph, { batch: 1 }), 3 * 40)
  assert.equal(peakMemory(graph, { batch: 7 }), 7 * 3 * 40)
})
