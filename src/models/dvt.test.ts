import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cascadeConfig } from '../../test/support/cascade.js'
import { macsOfPicture, modelCost } from './cost.js'
import { resizeMatrix } from './dvt.js'

/**
 * DVT of DeiT-S by hand: C = 384, 12 blocks of 6 heads, MLP of 1536, 1000 classes. Multiply-adds of one picture with n rows
 * on a grid of G: patches G²·3P²·C; a block 4nC² (query, key, value, projection), 2n²C (attention) and 2n·C·1536 (MLP); the
 * head 1000 C. Behind the first net, with m rows on a grid of g before it: fc1 reads 48 numbers more, n·48·1536 a block; m
 * rows go through C -> 128 -> 48 in every block; the two convolutions take 2·72·216 for each of m² pairs; to resize F
 * numbers from g² to G² places takes F·(g·g·G + g·G·G).
 */
const C = 384
const R = 1536
const L = 12
const MAPS = 72
const toGrid = (g: number, G: number) => g * g * G + g * G * G

function byHand(G: number, P: number, g?: number): number {
  const n = G ** 2 + 1
  const plain = G ** 2 * 3 * P ** 2 * C + L * (4 * n * C ** 2 + 2 * n ** 2 * C + 2 * n * C * R) + 1000 * C
  if (g === undefined) return plain
  const m = g ** 2 + 1
  const features = L * (n * 48 * R + m * (C * 128 + 128 * 48) + 48 * toGrid(g, G))
  const relations = m ** 2 * 2 * MAPS * 3 * MAPS + MAPS * toGrid(g, G) * (m + n) // keys of m rows, then queries of n keys
  return plain + features + relations
}

describe('DVT of DeiT-S', () => {
  const config = cascadeConfig({ width: C, depth: L, heads: 6, hidden: R, classes: 1000 })
  const { denseMacs, nets = [], macs, params, countings, blocks } = modelCost(config)

  it('takes the multiply-adds that are counted by hand', () => {
    const wanted = [byHand(7, 32), byHand(10, 23, 7), byHand(14, 16, 10)] as const
    assert.deepEqual(
      wanted.map((each) => Number((each / 1e9).toFixed(3))),
      [1.143, 2.514, 5.232],
    )
    assert.equal(
      denseMacs,
      wanted.reduce((a, b) => a + b, 0),
    )
    // In the last block of the last net the class row alone is read: 196 rows less in all but keys and values, nothing
    // received by them, and the resized logits of one row of queries.
    const [n, m] = [197, 101]
    const saved =
      196 * (2 * C ** 2 + 2 * n * C + 2 * C * R + 48 * R) +
      (m * (C * 128 + 128 * 48) + 48 * toGrid(10, 14)) +
      6 * toGrid(10, 14) * (m - 1 + n)
    assert.deepEqual(
      nets.map((net) => net.macs),
      [wanted[0], wanted[1], wanted[2] - saved],
    )
    assert.equal(macs, countings.executed)
    assert.equal(macs, denseMacs - saved)
    assert.deepEqual(
      [blocks.length, blocks[0]?.tokens, blocks[12]?.tokens, blocks[35]?.tokens, blocks[35]?.block],
      [36, 49, 100, 196, 35],
    )
  })

  it('costs a picture the nets up to the one that answers it', () => {
    const macsAt = macsOfPicture(config, {})
    const [first = 0, second = 0, third = 0] = nets.map((net) => net.macs)
    assert.deepEqual(
      [0, 1, 2].map((exit) => macsAt({ exit })),
      [first, first + second, first + second + third],
    )
  })

  it('has three times the parameters of DeiT-S, and what is between nets', () => {
    const deit = 22_050_664
    const patches = (P: number) => 3 * C * (P ** 2 - 16 ** 2)
    const positions = (rows: number) => (rows - 197) * C
    const reuse = 2 * 48 + 48 * R + (2 * C + (C + 1) * 128 + 129 * 48)
    const convolutions = 2 * MAPS * 3 * MAPS + 4 * MAPS
    assert.equal(
      params,
      3 * deit + patches(32) + patches(23) + positions(50) + positions(101) + 2 * (L * reuse + convolutions),
    )
  })
})

it('a grid is doubled and then averaged', () => {
  const rows = ({ rows, columns, data }: ReturnType<typeof resizeMatrix>) =>
    Array.from({ length: rows }, (_, i) => Array.from(data.subarray(i * columns, (i + 1) * columns)))
  // 7 -> 14 -> 10: the third average is of the places 2, 3 and 4, which are the entries 1, 1 and 2.
  const third = Math.fround(1 / 3)
  assert.deepEqual(rows(resizeMatrix(7, 10)).slice(0, 4), [
    [1, 0, 0, 0, 0, 0, 0],
    [0.5, 0.5, 0, 0, 0, 0, 0],
    [0, Math.fround(third + third), third, 0, 0, 0, 0],
    [0, 0, 1, 0, 0, 0, 0],
  ])
  for (const [from, to] of [
    [7, 10],
    [10, 14],
  ] as const)
    for (const row of rows(resizeMatrix(from, to)))
      assert.ok(Math.abs(row.reduce((a, b) => a + b, 0) - 1) < 1e-6, 'weights of an average')
})
