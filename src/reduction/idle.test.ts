import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { evaluate, floats, maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { constant, createGraph, input, liveNodes, output, type Tensor } from '../graph/graph.js'
import { type BuildOptions, buildGraph, constantWeights } from '../models/build.js'
import { vitBlock } from '../models/vit.js'
import { createRandom } from '../random.js'
import { createSession } from '../runtime/node.js'
import { idleBlock } from './idle-block.js'

const weights = randomWeights(tiny, 1)
const pixels = randomPixels(tiny, 3, 2)
const keep = [16, 11, 7, 5]

const forward = (options: BuildOptions, feeds = {}) =>
  evaluate(buildGraph(tiny, weights, options), { pixel_values: pixels, ...feeds })

describe('idling', () => {
  for (const score of ['softmax', 'logits'] as const) {
    it(`keeps the dense numbers when every token is selected (${score})`, async () => {
      const dense = await forward({ method: 'none' })
      for (const form of ['gathered', 'masked'] as const) {
        const all = await forward({ keep: [16, 16, 16, 16], idleAll: true, score, form })
        assert.ok(maxAbsDiff(floats(all.logits), floats(dense.logits)) < 1e-5)
      }
    })

    it(`gives the same in the gathered and the masked form (${score})`, async () => {
      const gathered = await forward({ keep, score, trace: true, blocks: true })
      const masked = await forward({ keep, score, trace: true, blocks: true, form: 'masked' })
      for (const name of Object.keys(gathered)) {
        const [a, b] = [gathered[name], masked[name]] as const
        const tolerance = name.startsWith('selected') ? 0 : 1e-5 * Math.max(1, ...floats(a ?? pixels).map(Math.abs))
        assert.ok(a && b && maxAbsDiff(a.data, b.data) <= tolerance, name)
      }
    })
  }

  for (const distilled of [false, true])
    for (const method of ['none', 'idle'] as const)
      it(`changes nothing when only ${distilled ? 'two rows are' : 'one row is'} read out (${method})`, async () => {
        const config = { ...tiny, distilled }
        const values = randomWeights(config, 1)
        const read = (options: BuildOptions) =>
          evaluate(buildGraph(config, values, { keep, method, ...options }), { pixel_values: pixels })
        const [lean, full] = [await read({}), await read({ features: true, blocks: true })]
        assert.ok(maxAbsDiff(floats(lean.logits), floats(full.logits)) < 1e-5)
      })

  it('passes idle rows by, bit for bit, and computes the others', async () => {
    const result = await forward({ keep, trace: true, blocks: true })
    const rows = 17
    for (let l = 1; l < tiny.depth; l++) {
      const [before, after] = [floats(result[`block.${l - 1}`]), floats(result[`block.${l}`])]
      const selected = result[`selected.${l}`]?.data as BigInt64Array
      const count = keep[l] ?? 0
      for (let b = 0; b < 3; b++) {
        const chosen = new Set([0, ...Array.from(selected.subarray(b * count, (b + 1) * count), (j) => Number(j) + 1)])
        assert.equal(chosen.size, count + 1)
        for (let row = 0; row < rows; row++) {
          const at = (b * rows + row) * tiny.width
          const same = maxAbsDiff(before.subarray(at, at + tiny.width), after.subarray(at, at + tiny.width)) === 0
          assert.equal(same, !chosen.has(row), `block ${l}, picture ${b}, row ${row}`)
        }
      }
    }
  })

  it('treats every picture of a batch alone', async () => {
    const together = await forward({ keep, trace: true })
    const length = pixels.data.length / 3
    for (let b = 0; b < 3; b++) {
      const alone = { data: pixels.data.slice(b * length, (b + 1) * length), shape: [1, 3, 32, 32] }
      const one = await evaluate(buildGraph(tiny, weights, { keep, trace: true }), { pixel_values: alone })
      for (const name of Object.keys(one)) {
        const [part, whole] = [one[name]?.data ?? [], together[name]?.data ?? []] as [Float32Array, Float32Array]
        const mine = whole.subarray(b * part.length, (b + 1) * part.length)
        assert.ok(maxAbsDiff(part, mine) <= (name.startsWith('selected') ? 0 : 1e-5), `${name} of picture ${b}`)
      }
    }
  })

  it('does not care in which order the rows were selected', async () => {
    const options = { keep: [16, 16, 16, 6], givenSelection: true, features: true }
    const choose = (order: readonly number[]) =>
      forward(options, {
        'selection.3': { data: BigInt64Array.from([...order, ...order, ...order], BigInt), shape: [3, 6] },
      })
    const raster = await choose([1, 4, 7, 9, 12, 15])
    const shuffled = await choose([12, 1, 15, 9, 4, 7])
    assert.ok(maxAbsDiff(floats(raster.features), floats(shuffled.features)) < 1e-5)
    const others = await choose([0, 4, 7, 9, 12, 15])
    assert.ok(maxAbsDiff(floats(raster.features), floats(others.features)) > 1e-3)
  })

  it('counts the pictures of a batch once for all blocks', () => {
    const nodes = liveNodes(buildGraph(tiny, weights, { keep }))
    assert.equal(nodes.filter(({ op }) => op.name === 'firstRows').length, 1)
  })

  it('computes the same with standard operators only', async () => {
    const options = { keep, trace: true }
    const ours = await forward(options)
    const standard = await evaluate(buildGraph(tiny, weights, options), { pixel_values: pixels }, { contrib: false })
    assert.ok(maxAbsDiff(floats(ours.logits), floats(standard.logits)) < 1e-5)
    assert.deepEqual(ours['selected.3']?.data, standard['selected.3']?.data)
  })
})

describe('folded scores', () => {
  const rows = 9

  /** Scores as they are defined, from projected keys, in double precision; equal tokens tie exactly. */
  function definition(y: Float32Array, score: 'softmax' | 'logits'): number[] {
    const { width: C, heads: H } = tiny
    const d = C / H
    const read = (name: string) => weights.get(`blocks.0.attn.qkv.${name}`)?.data as Float32Array
    const project = (row: number, out: number) => {
      let sum = read('bias')[out] ?? 0
      for (let c = 0; c < C; c++) sum += (y[row * C + c] ?? 0) * (read('weight')[out * C + c] ?? 0)
      return sum
    }
    const scores = new Array<number>(rows - 1).fill(0)
    for (let h = 0; h < H; h++) {
      const z = Array.from({ length: rows }, (_, j) => {
        let dot = 0
        for (let i = h * d; i < (h + 1) * d; i++) dot += project(0, i) * project(j, C + i)
        return dot
      })
      const exps = z.map((value) => Math.exp((value - Math.max(...z)) / Math.sqrt(d)))
      const sum = exps.reduce((a, b) => a + b, 0)
      for (let j = 1; j < rows; j++)
        scores[j - 1] = (scores[j - 1] ?? 0) + (score === 'logits' ? (z[j] ?? 0) : (exps[j] ?? 0) / sum) / H
    }
    return scores
  }

  async function open(scoring: 'folded' | 'projected', score: 'softmax' | 'logits') {
    const graph = createGraph()
    const x = input(graph, 'x', ['batch', rows, tiny.width])
    const block = vitBlock(constantWeights(graph, weights), tiny, 0)
    const raw = { ...block, norm1: (rows: Tensor) => rows }
    const { kept, scores } = idleBlock({ keep: rows - 1, score, scoring })(raw, { x, prefix: 1 }, 'all')
    if (!kept || !scores) throw new Error('nothing was ranked')
    output('selected', kept)
    output('scores', scores)
    return createSession(graph, { threads: 1 })
  }

  for (const score of ['softmax', 'logits'] as const) {
    it(`rank as projected keys do, ties included (${score}, 1,000 cases)`, async () => {
      const [folded, projected] = [await open('folded', score), await open('projected', score)]
      await fc.assert(
        fc.asyncProperty(fc.integer(), fc.array(fc.nat(7), { minLength: 8, maxLength: 8 }), async (seed, copies) => {
          // Image token j is a copy of random token copies[j]: equal tokens have equal scores.
          const random = createRandom(seed)
          const source = Array.from({ length: 8 }, () => Float32Array.from({ length: tiny.width }, random.normal))
          const cls = Float32Array.from({ length: tiny.width }, random.normal)
          const data = Float32Array.from([cls, ...copies.map((j) => source[j] ?? cls)].flatMap((row) => [...row]))
          const feeds = { x: { data, shape: [1, rows, tiny.width] } }
          const [a, b] = [await folded.run(feeds), await projected.run(feeds)]
          const exact = definition(data, score)
          const size = Math.max(...exact.map(Math.abs))
          for (const result of [a, b])
            assert.ok(maxAbsDiff(floats(result.scores), Float32Array.from(exact)) < 1e-5 * size)
          const wanted = [...exact.keys()].sort((i, j) => (exact[j] ?? 0) - (exact[i] ?? 0) || i - j)
          for (const [rank, token] of Array.from(a.selected?.data ?? [], Number).entries()) {
            const other = wanted[rank] ?? -1
            if (token === other) continue
            // Different tokens may only change places where float32 cannot tell their scores apart.
            assert.notEqual(copies[token], copies[other], 'equal tokens must come in index order')
            assert.ok(Math.abs((exact[token] ?? 0) - (exact[other] ?? 0)) < 1e-5 * size, `rank ${rank}`)
          }
        }),
        { numRuns: 1000 },
      )
      await Promise.all([folded.close(), projected.close()])
    })
  }

  it('select the lower index of equal scores', async () => {
    const graph = createGraph()
    const x = input(graph, 'x', ['batch', 6, tiny.width])
    const block = vitBlock(constantWeights(graph, weights), tiny, 0)
    const { kept } = idleBlock({ keep: 3 })(block, { x, prefix: 1 }, 'all')
    output('selected', kept ?? constant(graph, Float32Array.of(0), []))
    const same = Float32Array.from({ length: 6 * tiny.width }, (_, i) => Math.sin(i % tiny.width))
    const { selected } = await evaluate(graph, { x: { data: same, shape: [1, 6, tiny.width] } })
    assert.deepEqual(Array.from(selected?.data ?? [], Number), [0, 1, 2])
  })
})
