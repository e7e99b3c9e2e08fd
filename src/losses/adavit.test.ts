import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { evaluate, floats } from '../../test/support/models.js'
import { gradients } from '../graph/gradients.js'
import { createGraph, input, output, type Tensor } from '../graph/graph.js'
import { createRandom } from '../random.js'
import { createSession } from '../runtime/node.js'
import {
  certainty,
  headFloor,
  headShare,
  headSpread,
  sublayerFloor,
  sublayerShare,
  sublayerSpread,
  tokenFloor,
  tokenShare,
} from './adavit.js'

const shapes = [
  [2, 5],
  [2, 3],
  [2, 2],
] as const

/** Every term of two blocks' gates: tokens, heads, sublayers, each between 0 and 1, so that all of them are smooth. */
const terms: Readonly<Record<string, (blocks: readonly (readonly [Tensor, Tensor, Tensor])[]) => Tensor | undefined>> =
  {
    headShare: (blocks) => headShare(decisions(blocks), 0.3),
    sublayerShare: (blocks) => sublayerShare(decisions(blocks), 0.3),
    tokenShare: (blocks) => tokenShare(decisions(blocks), 0.3, 1),
    headSpread: (blocks) => headSpread(decisions(blocks), 0.3),
    sublayerSpread: (blocks) => sublayerSpread(decisions(blocks), 0.3),
    headFloor: (blocks) => headFloor(decisions(blocks), 0.7),
    sublayerFloor: (blocks) => sublayerFloor(decisions(blocks), 0.7),
    tokenFloor: (blocks) => tokenFloor(decisions(blocks), 0.7, 1),
    certainty: (blocks) => certainty(blocks.flat()),
  }

const decisions = (blocks: readonly (readonly [Tensor, Tensor, Tensor])[]) =>
  blocks.map(([tokens, heads, sublayers]) => ({ tokens, heads, sublayers }))

const random = createRandom(3)
const feeds = Object.fromEntries(
  [0, 1].flatMap((l) =>
    shapes.map((shape, i) => {
      const data = Float32Array.from({ length: shape[0] * shape[1] }, () => 0.3 + 0.6 * random.uniform())
      return [`${l}.${i}`, { data, shape: [...shape] }] as const
    }),
  ),
)

describe('terms of the loss of AdaViT', () => {
  for (const [name, term] of Object.entries(terms))
    it(`${name} has the gradient of its differences`, async () => {
      const graph = createGraph()
      const blocks = [0, 1].map(
        (l) => shapes.map((shape, i) => input(graph, `${l}.${i}`, [...shape])) as unknown as [Tensor, Tensor, Tensor],
      )
      const value = term(blocks) ?? assert.fail(name)
      output('value', value)
      const all = blocks.flat()
      for (const [i, gradient] of gradients(value, all).entries()) output(`d${i}`, gradient)
      const session = await createSession(graph, { threads: 1 })
      const found = await session.run(feeds)
      const h = 1e-2
      for (const [i, { name }] of all.entries()) {
        const { data, shape } = feeds[name] ?? assert.fail(name)
        const at = async (j: number, step: number) => {
          const moved = data.map((each, k) => (k === j ? each + step : each))
          return Number((await session.run({ ...feeds, [name]: { data: moved, shape } }, ['value'])).value?.data[0])
        }
        const j = i % data.length
        const numeric = ((await at(j, h)) - (await at(j, -h))) / (2 * h)
        const slope = floats(found[`d${i}`])[j] as number
        assert.ok(Math.abs(slope - numeric) < 2e-3, `${name}: ${slope}, differences ${numeric}`)
      }
      await session.close()
    })

  it('have the numbers worked out by hand', async () => {
    const graph = createGraph()
    const [tokens, heads, sublayers] = [
      input(graph, 'tokens', [2, 3]),
      input(graph, 'heads', [2, 2]),
      input(graph, 'sublayers', [2, 2]),
    ]
    const block = [{ tokens, heads, sublayers }]
    // The second picture computes neither sublayer: its heads do not count.
    const values = { tokens: [1, 0, 0, 1, 1, 1], heads: [1, 0, 1, 1], sublayers: [1, 0, 0, 0] }
    const named = {
      share: headShare(block, 0.4), // |1/2 - 0.4|
      spread: headSpread(block, 0.4), // (|1 - 0.4| + |0 - 0.4|) / 2
      floor: headFloor(block, 0.25), // 0 and 0.25
      blocks: sublayerSpread(block, 0.5), // |1/4 - 1/2|
      sublayerFloor: sublayerFloor(block, 0.6), // 0.1 and 0.6
      rows: tokenFloor(block, 0.75, 1), // 0.75 - 2/4 and 0
      certainty: certainty([tokens]), // of chances at logits 1 and 0
    }
    for (const [name, value] of Object.entries(named)) output(name, value ?? assert.fail(name))
    const found = await evaluate(
      graph,
      Object.fromEntries(
        Object.entries(values).map(([name, list]) => [
          name,
          { data: Float32Array.from(list), shape: [2, list.length / 2] },
        ]),
      ),
    )
    const p = 1 / (1 + Math.exp(-1))
    const sure = (4 * (p * Math.log(p) + (1 - p) * Math.log(1 - p)) + 2 * Math.log(0.5)) / 6
    const wanted = {
      share: 0.1,
      spread: 0.5,
      floor: 0.25,
      blocks: 0.25,
      sublayerFloor: 0.7,
      rows: 0.25,
      certainty: sure,
    }
    for (const [name, value] of Object.entries(wanted))
      assert.ok(
        Math.abs(Number(found[name]?.data[0]) - value) < 1e-5,
        `${name}: ${found[name]?.data[0]}, wanted ${value}`,
      )
  })
})
