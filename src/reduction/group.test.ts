/** Laws of grouping: who is alone is computed as ever, and who is in a group moves as the group does. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { evaluate, floats, maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { createGraph, type Graph, input, liveNodes, output } from '../graph/graph.js'
import { lower } from '../graph/passes/precision.js'
import { shapeOf } from '../models/backbone.js'
import { type BuildOptions, buildForward, buildGraph, constantWeights, methodBuild } from '../models/build.js'
import { vitBlock } from '../models/vit.js'
import type { Values } from '../runtime/session.js'
import { falling, group } from './group.js'
import { planReduction, type ReductionRequest } from './registry.js'

const plain = { ...tiny, imageSize: 48, depth: 6 } // 36 image tokens, six blocks
const values = randomWeights(plain, 1)
const pixels = randomPixels(plain, 3, 2)
const shape = shapeOf(plain)
const planOf = (request: ReductionRequest) => planReduction({ method: 'group', ...request }, shape)

/** Rows before and behind every block, and the groups of every block that has some. */
async function forward(options: BuildOptions) {
  const { graph, model } = buildForward(plain, values, { ...options, blocks: true, trace: true })
  for (const [l, { step }] of model.blocks.entries())
    for (const [name, tensor] of Object.entries(step.seen ?? {})) output(`${name}.${l}`, tensor)
  return evaluate(graph, { pixel_values: pixels })
}

/** Row j of picture b. */
const rowOf = ({ data, shape: [, n, C] }: Values, b: number, j: number) =>
  (data as Float32Array).subarray((b * (n as number) + j) * (C as number), (b * (n as number) + j + 1) * (C as number))

const minus = (a: Float32Array, b: Float32Array) => a.map((x, i) => x - (b[i] as number))

describe('grouping', () => {
  for (const request of [{ keepRatio: 0.5 }, { groups: 7, regroup: [3] }, { groups: 5, attention: 0 }])
    it(`gives the same in the gathered and the masked form: ${JSON.stringify(request)}`, async () => {
      const [gathered, masked] = [await forward(planOf(request)), await forward({ ...planOf(request), form: 'masked' })]
      assert.ok('home.5' in gathered)
      for (const [name, { data }] of Object.entries(gathered)) {
        const other = masked[name]?.data
        if (!(data instanceof Float32Array)) assert.deepEqual(other, data, name)
        else
          assert.ok(
            maxAbsDiff(data, other as Float32Array) < 1e-5 * Math.max(1, ...Array.from(data, Math.abs)),
            `${name}`,
          )
      }
    })

  it('moves all tokens of a group alike, and others otherwise', async () => {
    const result = await forward(planOf({ groups: [36, 12, 12, 7, 7, 20] }))
    for (let l = 1; l < plain.depth; l++) {
      const [before, after] = [result[`block.${l - 1}`] as Values, result[`block.${l}`] as Values]
      const [homes, sizes] = [result[`home.${l}`]?.data as BigInt64Array, floats(result[`size.${l}`])]
      const m = sizes.length / 3
      for (let b = 0; b < 3; b++) {
        const home = Array.from(homes.subarray(b * 36, (b + 1) * 36), Number)
        const count = home.reduce((all, g) => all.with(g, (all[g] as number) + 1), new Array<number>(m).fill(0))
        assert.deepEqual(count, Array.from(sizes.subarray(b * m, (b + 1) * m))) // so sizes sum to N0
        const change = home.map((_, j) => minus(rowOf(after, b, j + 1), rowOf(before, b, j + 1)))
        for (const [j, g] of home.entries())
          for (const [i, other] of home.entries()) {
            const difference = maxAbsDiff(change[j] as Float32Array, change[i] as Float32Array)
            if (g === other) assert.ok(difference < 1e-4, `block ${l}`)
            else assert.ok(difference > 1e-3, `block ${l}`)
          }
      }
    }
  })

  it('changes nothing where the tokens that are joined are equal', async () => {
    const graph = createGraph()
    const x = input(graph, 'x', ['batch', 37, plain.width])
    const weights = constantWeights(graph, values)
    const form = group.open(methodBuild(graph, weights, plain), { keep: [36, 36, 9, 9, 9, 9], attention: 0.5 })
    const rows = { x, prefix: 1 }
    const block = vitBlock(weights, plain, 2)
    const grouped = form.block(block, rows, form.start(rows), 'all')
    output('grouped', grouped.rows.x)
    output('size', grouped.seen?.size as typeof x)
    const same = group.open(methodBuild(graph, weights, plain), { keep: new Array<number>(6).fill(36) })
    output('dense', same.block(block, rows, undefined, 'all').rows.x)
    // Neighbours are of one kind: 36 → 18 → 9 joins equal ones only.
    const kinds = floats(randomPixels({ ...tiny, imageSize: 24 }, 1, 3))
    const data = Float32Array.from({ length: 37 * plain.width }, (_, i) => {
      const row = Math.floor(i / plain.width)
      return kinds[(row === 0 ? 9 : Math.floor((row - 1) / 4)) * plain.width + (i % plain.width)] as number
    })
    const result = await evaluate(graph, { x: { data, shape: [1, 37, plain.width] } })
    assert.deepEqual(Array.from(floats(result.size)), new Array(9).fill(4))
    assert.ok(maxAbsDiff(floats(result.grouped), floats(result.dense)) < 1e-5)
  })

  it('lets the class token look at every token in the last block, however few groups there are', async () => {
    const run = (last: number) =>
      evaluate(buildGraph(plain, values, { method: 'group', keep: [36, 36, 36, 36, 36, last] }), {
        pixel_values: pixels,
      })
    const [few, all] = [await run(2), await run(36)]
    assert.deepEqual(few.logits?.data, all.logits?.data)
  })

  it('does nearly as many multiply-adds as idling at the same keep ratio', () => {
    // Counts by hand for K = 0.7 of 196 tokens: 196·3 + 137·3 + 96·3 + 67·2 = 1421 in eleven blocks.
    const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0)
    assert.ok(Math.abs(sum(falling(0.7, 12, 196).slice(0, 11)) - 1421) <= 6)
    assert.deepEqual(falling(1, 12, 196), new Array(12).fill(196))
    assert.equal(Math.min(...falling(0.1, 12, 196)), 24)
  })

  it('joins before every second block, of which there are few operators', () => {
    const counts = falling(0.6, 12, 196)
    for (const l of [0, 2, 4, 6, 8, 10, 11]) assert.equal(counts[l], counts[l - 1] ?? 196)
    for (const l of [1, 3, 5, 7, 9]) assert.ok((counts[l] as number) < (counts[l - 1] as number))
    const each = planOf({ keepRatio: 0.6, every: 1 }).keep as number[]
    for (const [l, count] of each.entries())
      assert.equal(count < (each[l - 1] ?? 36), l > 0 && l < each.length - 1, `block ${l}`)
    const operators = (request: ReductionRequest) => liveNodes(lower(buildGraph(plain, values, planOf(request))))
    const sorts = operators({ keepRatio: 0.8 }).filter(({ op }) => op.name === 'topK')
    assert.equal(sorts.length, 2 * 2) // blocks 1 and 3 of six, a partner and an order each
    // What every token is worth is summed where groups change and where tokens are read, not in every block.
    const moves = operators({ keepRatio: 0.8 }).filter(({ op }) => op.name === 'gatherRows')
    assert.equal(moves.length, 2)
  })

  it('leaves no product with constant weights to floats in int8', () => {
    const products = (request: ReductionRequest, more: BuildOptions = {}) => {
      const graph = buildGraph(plain, values, { ...planOf(request), ...more })
      const names = (each: Graph) =>
        liveNodes(each)
          .filter(({ inputs }) => inputs.some(({ data }) => (data?.length ?? 0) > 64))
          .map(({ op }) => op.name)
      return { floats: names(graph), int8: names(lower(graph, { precision: 'int8' })) }
    }
    for (const more of [{}, { elastic: true }, { form: 'masked' as const }]) {
      const { floats, int8 } = products({ keepRatio: 0.5 }, more)
      assert.ok(floats.includes('linear') && int8.some((name) => /product/i.test(name)))
      assert.deepEqual(
        int8.filter((name) => name === 'linear' || name === 'matmul'),
        [],
      )
    }
  })

  it('refuses what cannot be', () => {
    assert.throws(() => planOf({ groups: [3, 3] }), /groups: wanted one number, or 6, one for each block, found 2/)
    assert.throws(() => planOf({ groups: 37 }), /groups: wanted counts from 1 to 36, found 37/)
    assert.throws(() => planOf({ attention: 2 }), /attention: wanted a number from 0 to 1, found 2/)
    assert.throws(() => planOf({ groups: 4, keepRatio: 0.5 }), /groups and keepRatio: wanted one of them/)
  })
})
