import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  assertClose,
  evaluate,
  floats,
  maxAbsDiff,
  pictureOf,
  randomPixels,
  randomWeights,
  tiny,
  weightsUnder,
} from '../../test/support/models.js'
import { gradients } from '../graph/gradients.js'
import { createGraph, input, output } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { mul } from '../graph/ops/elementwise.js'
import { lower } from '../graph/passes/precision.js'
import { createRandom } from '../random.js'
import { planReduction } from '../reduction/registry.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import { randomVit } from '../weights/init.js'
import { shapeOf } from './backbone.js'
import { buildGraph } from './build.js'
import type { VitConfig } from './config.js'
import { modelCost } from './cost.js'
import { presets } from './presets.js'
import { orthogonalFeatures, sinusoids, softSplit, tokensToToken } from './tokens-to-token.js'

/** 16 image tokens of 64 x 64 pixels. */
const t2t = (attention: 'performer' | 'transformer'): VitConfig => ({
  ...tiny,
  imageSize: 64,
  patchSize: 16,
  layerNormEps: 1e-5,
  tokensToToken: { attention, width: 6 },
  qkvBias: 'none',
})
const kinds = ['performer', 'transformer'] as const

const normal = (seed: number, ...shape: number[]): Values => {
  const random = createRandom(seed)
  return { data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()), shape }
}

describe('soft split', () => {
  for (const [side, stride, padding, h, w] of [
    [7, 4, 2, 16, 24],
    [3, 2, 1, 8, 6],
    [3, 3, 0, 9, 6],
    [2, 3, 0, 8, 8],
  ] as const)
    it(`takes pieces of ${side} in steps of ${stride} as a loop does`, async () => {
      const c = 3
      const x = normal(1, 2, h, w, c)
      const graph = createGraph()
      output('y', softSplit(input(graph, 'x', ['batch', h, w, c]), { side, stride, padding }))
      const { y } = await evaluate(graph, { x })
      const [rows, columns] = [h, w].map((n) => Math.floor((n + 2 * padding - side) / stride) + 1) as [number, number]
      const wanted: number[] = []
      for (let b = 0; b < 2; b++)
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < columns; j++)
            for (let channel = 0; channel < c; channel++)
              for (let u = 0; u < side; u++)
                for (let v = 0; v < side; v++) {
                  const [at, from] = [stride * i + u - padding, stride * j + v - padding]
                  const inside = at >= 0 && at < h && from >= 0 && from < w
                  wanted.push(inside ? Number(x.data[((b * h + at) * w + from) * c + channel]) : 0)
                }
      assert.deepEqual(y?.shape, [2, rows * columns, c * side * side])
      assert.deepEqual(Array.from(floats(y)), wanted)
    })
})

for (const kind of kinds)
  describe(`T2T-ViT, ${kind}`, () => {
    const config = t2t(kind)
    const values = randomWeights(config, 1)
    const pixels = randomPixels(config, 3, 2)

    it('treats every picture of a batch alone, with standard operators and in int8, too', async () => {
      const graph = buildGraph(config, values, { method: 'none' })
      const { logits } = await evaluate(graph, { pixel_values: pixels })
      for (let b = 0; b < 3; b++) {
        const alone = await evaluate(graph, { pixel_values: pictureOf(pixels, b) })
        assertClose(alone.logits, pictureOf(logits as Values, b), `picture ${b}`)
      }
      const options = { contrib: false }
      const standard = await evaluate(lower(graph, options), { pixel_values: pixels }, options)
      assertClose(standard.logits, logits, 'standard operators')
      const integers = await evaluate(lower(graph, { precision: 'int8' }), { pixel_values: pixels })
      assert.ok(floats(integers.logits).every(Number.isFinite))
    })

    it('keeps its tokens where all are kept, and is gathered as it is masked', async () => {
      for (const method of ['idle', 'evit', 'dynamicvit', 'tome', 'adavit'] as const) {
        const all = planReduction(method === 'tome' ? { method, r: 0 } : { method, keepRatio: 1 }, shapeOf(config))
        const own = weightsUnder(config, all)
        const feeds = { pixel_values: pixels }
        const kept = await evaluate(buildGraph(config, own, all), feeds)
        const dense = await evaluate(buildGraph(config, own, { method: 'none' }), feeds)
        assertClose(kept.logits, dense.logits, method)
        const some = planReduction(method === 'tome' ? { method, r: 3 } : { method, keepRatio: 0.6 }, shapeOf(config))
        const more = weightsUnder(config, some)
        const [lean, full] = [
          await evaluate(buildGraph(config, more, some), feeds),
          await evaluate(buildGraph(config, more, { ...some, official: true, features: true }), feeds),
        ]
        assertClose(lean.logits, full.logits, `${method}, official structure`)
      }
    })

    it('has the gradients of its module', async () => {
      const random = createRandom(5)
      const values = randomWeights(config, 1, 0.1) // where exponents of features stay small
      const names = [...values.keys()].filter((name) => name.startsWith('tokens_to_token.'))
      const graph = createGraph()
      const pictures = input(graph, 'pixels', ['batch', 3, 64, 64])
      const weights = new Map(names.map((name) => [name, input(graph, name, values.get(name)?.shape ?? [])]))
      const module = { attention: kind, width: 6 }
      const tokens = tokensToToken(
        (name) => weights.get(name) ?? assert.fail(name),
        pictures,
        module,
        config.layerNormEps,
      )
      const loss = reduceSum(mul(tokens, input(graph, 'g', ['batch', 16, config.width])), [0, 1, 2])
      output('loss', loss)
      const sought = [pictures, ...weights.values()]
      for (const [i, gradient] of gradients(loss, sought).entries()) output(`d${i}`, gradient)
      const feeds: Record<string, Values> = {
        pixels: normal(2, 2, 3, 64, 64),
        g: normal(3, 2, 16, config.width),
        ...Object.fromEntries(
          names.map((name) => [
            name,
            { data: values.get(name)?.data as Float32Array, shape: [...(values.get(name)?.shape ?? [])] },
          ]),
        ),
      }
      const session = await createSession(graph, { threads: 1 })
      const found = await session.run(feeds)
      for (const [i, { name }] of sought.entries()) {
        const slope = floats(found[`d${i}`])
        const { data, shape } = feeds[name] as Values
        // Mostly uphill, so that the slope stands out from rounding.
        const size = Math.sqrt(slope.reduce((sum, value) => sum + value * value, 0) / slope.length)
        const direction = slope.map((value) => 0.5 * random.normal() + value / size)
        const along = slope.reduce((sum, value, j) => sum + value * (direction[j] as number), 0)
        const at = async (h: number) => {
          const moved = Float32Array.from(data as Float32Array, (value, j) => value + h * (direction[j] as number))
          return Number((await session.run({ ...feeds, [name]: { data: moved, shape } }, ['loss'])).loss?.data[0])
        }
        const h = 2e-3
        const numeric = (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h)
        assert.ok(
          Math.abs(along - numeric) < 2e-2 * Math.abs(numeric) + 1e-3,
          `${name}: ${along}, differences ${numeric}`,
        )
      }
      await session.close()
    })
  })

describe('published T2T-ViTs', () => {
  it('have the published parameters and multiply-adds', () => {
    // arXiv 2101.11986, tables 1 to 3: millions of parameters, GMACs.
    const published: Readonly<Record<string, readonly [number, number]>> = {
      't2t-vit-7': [4.3, 1.1],
      't2t-vit-12': [6.9, 1.8],
      't2t-vit-14': [21.5, 4.8],
      't2t-vit-19': [39.2, 8.5],
      't2t-vit-24': [64.1, 13.8],
      't2t-vit-t-14': [21.5, 6.1],
    }
    for (const [name, [params, gmacs]] of Object.entries(published)) {
      const cost = modelCost(presets[name]?.config as VitConfig, { method: 'none' })
      assert.ok(Math.abs(cost.params / 1e6 - params) < 0.15, `${name}: ${cost.params}`)
      assert.ok(Math.abs(cost.denseMacs / 1e9 - gmacs) < 0.1 + 0.02 * gmacs, `${name}: ${cost.denseMacs}`)
    }
  })

  it('start from sinusoid positions and features at right angles', () => {
    const table = sinusoids(3, 4)
    const wanted = [0, 1, 0, 1, Math.sin(1), Math.cos(1), Math.sin(0.01), Math.cos(0.01)]
    assert.ok(maxAbsDiff(table.subarray(0, 8), Float32Array.from(wanted)) < 1e-7)
    const features = orthogonalFeatures(() => random.normal(), 3, 6)
    const row = (i: number) => features.subarray(6 * i, 6 * i + 6)
    for (const i of [0, 1, 2])
      for (const j of [0, 1, 2]) {
        const product = row(i).reduce((sum, value, k) => sum + value * (row(j)[k] as number), 0)
        assert.ok(Math.abs(product - (i === j ? 3 : 0)) < 1e-5)
      }
    const state = randomVit(t2t('performer'), 1)
    assert.deepEqual(state.get('pos_embed')?.data, sinusoids(17, tiny.width))
    assert.notDeepEqual(
      randomVit(t2t('performer'), 2).get('tokens_to_token.attention1.w'),
      state.get('tokens_to_token.attention1.w'),
    )
  })
})

const random = createRandom(9)
