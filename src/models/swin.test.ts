/** Swin against the buffers of the official code, against central differences, and against a count by hand. */

import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { evaluate, floats, maxAbsDiff, randomPixels, randomWeights, tinySwin } from '../../test/support/models.js'
import { golden } from '../../test/support/shared.js'
import { gradients } from '../graph/gradients.js'
import { constant, createGraph, input, output } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { mul } from '../graph/ops/elementwise.js'
import { lower } from '../graph/passes/precision.js'
import { createRandom } from '../random.js'
import { readReference, tensorOf } from '../verify/reference.js'
import { forward } from './backbone.js'
import { buildGraph } from './build.js'
import { modelCost } from './cost.js'
import { presets } from './presets.js'
import type { SwinConfig } from './swin-config.js'
import { invert, mergeOrder, relativePositionIndex, shiftRegions, windowOrder, windowsOf } from './windows.js'

test('relative positions and regions are those of the official code', async () => {
  const reference = await readReference(golden('swin.safetensors'))
  const index = tensorOf(reference, 'state.layers.0.blocks.0.attn.relative_position_index')
  assert.deepEqual(relativePositionIndex(4), Array.from(index.data as BigInt64Array, Number))
  for (const [stage, side] of [
    [0, 32],
    [1, 16],
    [2, 8],
  ] as const) {
    const mask = tensorOf(reference, `state.layers.${stage}.blocks.1.attn_mask`)
    const regions = shiftRegions({ map: [side, side], window: 4, shift: 2 })
    const ours = Float32Array.from(mask.data as Float32Array, (_, at) => {
      const [window, i, j] = [Math.floor(at / 256), Math.floor((at % 256) / 16), at % 16]
      return regions[window * 16 + i] === regions[window * 16 + j] ? 0 : -100
    })
    assert.deepEqual(ours, mask.data)
  }
})

test('windows and cells of a map, by hand', () => {
  assert.deepEqual(
    windowOrder({ map: [4, 4], window: 2, shift: 1 }).slice(0, 8),
    [5, 6, 9, 10, 7, 4, 11, 8], // rolled up and to the left by one
  )
  assert.deepEqual(mergeOrder([2, 4]), [0, 4, 1, 5, 2, 6, 3, 7])
  const order = windowOrder({ map: [8, 12], window: 4, shift: 2 })
  assert.deepEqual(
    invert(order).map((at) => order[at]),
    [...order.keys()],
  )
})

test('rows enter windows and leave them where they were; chosen places have their bias and mask', async () => {
  const sizes = { map: [8, 8], window: 4, shift: 2 } as const
  const random = createRandom(3)
  const [H, n, windows] = [2, 16, 4]
  const noise = (count: number) => Float32Array.from({ length: count }, () => random.normal())
  const table = noise(49 * H)
  for (const trained of [false, true]) {
    const graph = createGraph()
    const x = input(graph, 'x', ['batch', 64, 3])
    const logits = input(graph, 'logits', [`${windows}*batch`, H, n, n])
    const at = input(graph, 'at', [`${windows}*batch`, 3], 'int64')
    const bias = trained ? input(graph, 'table', [49, H]) : constant(graph, table, [49, H])
    const cut = windowsOf(sizes, bias)
    output('back', cut.leave(cut.enter(x)))
    output('tokens', cut.tokensAt(at))
    output('all', cut.biased(logits))
    output('some', cut.biased(input(graph, 'few', [`${windows}*batch`, H, 3, 3]), at))
    const places = Array.from({ length: 2 * windows * 3 }, (_, i) => (i * 5 + 1) % n)
    const values = noise(2 * 64 * 3)
    const found = await evaluate(graph, {
      x: { data: values, shape: [2, 64, 3] },
      logits: { data: new Float32Array(2 * windows * H * n * n), shape: [2 * windows, H, n, n] },
      at: { data: BigInt64Array.from(places, BigInt), shape: [2 * windows, 3] },
      few: { data: new Float32Array(2 * windows * H * 9), shape: [2 * windows, H, 3, 3] },
      ...(trained && { table: { data: table, shape: [49, H] } }),
    })
    assert.deepEqual(found.back?.data, values)
    const order = windowOrder(sizes)
    assert.deepEqual(
      Array.from((found.tokens ?? assert.fail()).data as BigInt64Array, Number),
      places.map((place, i) => order[(Math.floor(i / 3) % windows) * n + place]),
    )
    const [all, some] = [floats(found.all), floats(found.some)]
    for (let w = 0; w < 2 * windows; w++)
      for (let h = 0; h < H; h++)
        for (let i = 0; i < 3; i++)
          for (let j = 0; j < 3; j++) {
            const [p, q] = [places[w * 3 + i] as number, places[w * 3 + j] as number]
            assert.equal(some[((w * H + h) * 3 + i) * 3 + j], all[((w * H + h) * n + p) * n + q])
          }
  }
})

test('gradients are those of central differences', async () => {
  const values = randomWeights(tinySwin, 1)
  const pixels = randomPixels(tinySwin, 2, 2)
  const graph = createGraph()
  const x = input(graph, 'pixel_values', ['batch', 3, 32, 32])
  const weights = new Map([...values].map(([name, { shape }]) => [name, input(graph, name, shape)]))
  const { logits } = forward((name) => weights.get(name) ?? assert.fail(name), x, tinySwin)
  const towards = constant(graph, Float32Array.of(1, -2, 0.5, 1.5, -1), [5])
  const loss = reduceSum(mul(logits, towards), [0, 1])
  output('loss', loss)
  const names = [
    'patch_embed.norm.weight',
    'layers.0.blocks.1.attn.relative_position_bias_table',
    'layers.0.downsample.norm.bias',
    'layers.1.downsample.reduction.weight',
    'layers.1.blocks.1.attn.qkv.weight',
    'layers.2.blocks.1.attn.relative_position_bias_table',
  ]
  for (const [i, gradient] of gradients(
    loss,
    names.map((name) => weights.get(name) ?? assert.fail()),
  ).entries())
    output(`gradient.${names[i]}`, gradient)
  const data = (name: string) => (values.get(name) ?? assert.fail(name)).data as Float32Array
  const feeds = (changed?: readonly [string, Float32Array]) => ({
    pixel_values: pixels,
    ...Object.fromEntries([...values].map(([name, { shape }]) => [name, { data: data(name), shape }])),
    ...(changed && { [changed[0]]: { data: changed[1], shape: values.get(changed[0])?.shape ?? [] } }),
  })
  const found = await evaluate(graph, feeds())
  const random = createRandom(5)
  for (const name of names) {
    const direction = data(name).map(() => random.normal())
    const step = 2e-3
    const at = async (sign: number) => {
      const moved = data(name).map((value, i) => value + sign * step * (direction[i] as number))
      return floats((await evaluate(graph, feeds([name, moved]))).loss)[0] as number
    }
    const difference = ((await at(1)) - (await at(-1))) / (2 * step)
    const gradient = floats(found[`gradient.${name}`])
    const along = gradient.reduce((sum, g, i) => sum + g * (direction[i] as number), 0)
    assert.ok(Math.abs(along - difference) < 2e-2 * Math.max(1, Math.abs(along)), `${name}: ${along}, ${difference}`)
  }
})

describe('Swin, dense', () => {
  const values = randomWeights(tinySwin, 1)
  const pixels = randomPixels(tinySwin, 3, 2)
  const graph = () => buildGraph(tinySwin, values, { method: 'none' })

  it('gives the same lowered, and with standard operators alone', async () => {
    const logits = floats((await evaluate(graph(), { pixel_values: pixels })).logits)
    const lowered = await evaluate(lower(graph()), { pixel_values: pixels })
    const standard = await evaluate(lower(graph(), { contrib: false }), { pixel_values: pixels }, { contrib: false })
    for (const other of [lowered, standard]) assert.ok(maxAbsDiff(floats(other.logits), logits) < 1e-5)
  })

  it('treats every picture alone', async () => {
    const together = floats((await evaluate(graph(), { pixel_values: pixels })).logits)
    const length = pixels.data.length / 3
    for (let b = 0; b < 3; b++) {
      const one = { data: pixels.data.slice(b * length, (b + 1) * length), shape: [1, 3, 32, 32] }
      const logits = floats((await evaluate(graph(), { pixel_values: one })).logits)
      assert.ok(maxAbsDiff(logits, together.subarray(5 * b, 5 * b + 5)) < 1e-5)
    }
  })
})

describe('what Swin costs', () => {
  const config = (name: string) => (presets[name] ?? assert.fail(name)).config as SwinConfig

  it('as many parameters as published', () => {
    const published = { 'swin-tiny': 28_288_354, 'swin-small': 49_606_258, 'swin-base': 87_768_224 }
    for (const [name, params] of Object.entries(published)) assert.equal(modelCost(config(name)).params, params, name)
  })

  it('Swin-T by hand', () => {
    let macs = 56 * 56 * 48 * 96 // patches
    for (const [stage, depth] of [2, 2, 6, 2].entries()) {
      const [N, C] = [(56 / 2 ** stage) ** 2, 96 * 2 ** stage]
      macs += depth * (12 * N * C ** 2 + 2 * N * 49 * C) // attention within windows of 49, MLP of 4 C
      if (stage < 3) macs += (N / 4) * 4 * C * 2 * C // merging
    }
    macs += 768 * 1000 // head
    const { macs: counted, denseMacs, blocks } = modelCost(config('swin-tiny'), { method: 'none' })
    assert.equal(counted, macs)
    assert.equal(denseMacs, macs)
    assert.equal((macs / 1e9).toFixed(3), '4.491')
    assert.deepEqual(
      blocks.map(({ tokens }) => tokens),
      [3136, 3136, 784, 784, 196, 196, 196, 196, 196, 196, 49, 49],
    )
  })
})
