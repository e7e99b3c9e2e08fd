import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evaluate, floats, maxAbsDiff, randomWeights, tiny } from '../../test/support/models.js'
import { createGraph, input, output } from '../graph/graph.js'
import { createRandom } from '../random.js'
import { constantWeights } from './build.js'
import type { VitConfig } from './config.js'
import { modelCost } from './cost.js'
import { presets } from './presets.js'
import { vitBlock } from './vit.js'

/** LN2, then W₂ (act(W_g y + b_g) ⊙ (W_v y + b_v)) + b₂, in double precision. */
function byHand(row: readonly number[], of: (name: string) => readonly number[], hidden: number): number[] {
  const C = row.length
  const mean = row.reduce((a, b) => a + b) / C
  const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / C
  const [gamma, beta] = [of('norm2.weight'), of('norm2.bias')]
  const y = row.map((x, c) => ((x - mean) / Math.sqrt(variance + 1e-6)) * (gamma[c] ?? 0) + (beta[c] ?? 0))
  const dot = (name: string, r: number, x: readonly number[]) =>
    x.reduce((sum, value, c) => sum + value * (of(`${name}.weight`)[r * x.length + c] ?? 0), of(`${name}.bias`)[r] ?? 0)
  const units = Array.from({ length: hidden }, (_, j) => {
    const gate = dot('mlp.fc1', j, y)
    return (gate / (1 + Math.exp(-gate))) * dot('mlp.fc1', hidden + j, y)
  })
  return row.map((_, c) => dot('mlp.fc2', c, units))
}

test('a gated MLP is silu(first half) times the second half, as in SwiGLUFFN of DINOv2', async () => {
  const config: VitConfig = { ...tiny, gated: true, hidden: 20 }
  const weights = randomWeights(config, 3)
  const graph = createGraph()
  const x = input(graph, 'x', [1, 5, config.width])
  output('y', vitBlock(constantWeights(graph, weights), config, 1).feedForward(x))
  const random = createRandom(4)
  const data = Float32Array.from({ length: 5 * config.width }, () => random.normal())
  const found = floats((await evaluate(graph, { x: { data, shape: [1, 5, config.width] } })).y)
  const of = (name: string) => [...((weights.get(`blocks.1.${name}`) ?? assert.fail(name)).data as Float32Array)]
  const wanted = Array.from({ length: 5 }, (_, i) =>
    byHand([...data.subarray(i * config.width, (i + 1) * config.width)], of, 20),
  ).flat()
  assert.ok(maxAbsDiff(found, Float32Array.from(wanted)) < 3e-5, `${maxAbsDiff(found, Float32Array.from(wanted))}`)
})

test('the giant DINOv2 has the multiply-adds and parameters that its sizes say', () => {
  const config = presets['dinov2-giant']?.config ?? assert.fail('no preset')
  const [C, h, L, n0] = [1536, 4096, 40, 37 * 37]
  const n = n0 + 1
  const block = n * C * 3 * C + 2 * n * n * C + n * C * C + n * C * 2 * h + n * h * C
  const { denseMacs, params } = modelCost(config, { method: 'none' })
  assert.equal(denseMacs, n0 * 3 * 14 * 14 * C + L * block)
  // 1,136,480,768 in facebook/dinov2-giant, of which 1,536 are the mask token of pretraining.
  assert.equal(params, 1_136_480_768 - 1536)
})
