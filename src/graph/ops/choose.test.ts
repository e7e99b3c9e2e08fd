import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSession } from '../../runtime/node.js'
import { constant, createGraph, input, output, totalMacs } from '../graph.js'
import { choose } from './choose.js'
import { add, equal, neg, scale } from './elementwise.js'
import { linear } from './linear.js'
import { gatherRows, selectRows } from './rows.js'
import { slice } from './shape.js'

/** x doubled where the flag holds, else the rows of x at `rows`: a body that fails when a row does not exist. */
function example(seeRows: boolean) {
  const graph = createGraph()
  const flag = input(graph, 'flag', [1], 'int64')
  const x = input(graph, 'x', ['batch', 3, 1])
  const rows = input(graph, 'rows', ['batch', 'n'], 'int64')
  const picked = gatherRows(neg(x), selectRows(rows, 3)) // [B, n, 1]
  output('y', choose(equal(flag, constant(graph, BigInt64Array.of(1n), [1])), scale(x, 2), scale(picked, 3)))
  if (seeRows) output('picked', picked)
  const feeds = (holds: boolean, at: readonly bigint[]) => ({
    flag: { data: BigInt64Array.of(holds ? 1n : 0n), shape: [1] },
    x: { data: Float32Array.of(1, 2, 3), shape: [1, 3, 1] },
    rows: { data: BigInt64Array.from(at), shape: [1, at.length] },
  })
  return { graph, feeds }
}

describe('choose', () => {
  it('gives the one side or the other', async () => {
    const { graph, feeds } = example(false)
    const session = await createSession(graph)
    assert.deepEqual((await session.run(feeds(true, [2n, 0n]))).y?.data, Float32Array.of(2, 4, 6))
    assert.deepEqual((await session.run(feeds(false, [2n, 0n]))).y?.data, Float32Array.of(-9, -3))
    await session.close()
  })

  it('runs nothing that only the other side needs', async () => {
    const { graph, feeds } = example(false)
    const session = await createSession(graph)
    assert.deepEqual((await session.run(feeds(true, [7n]))).y?.data, Float32Array.of(2, 4, 6))
    await assert.rejects(session.run(feeds(false, [7n])), /indices|bounds/)
    await session.close()
  })

  it('runs what somebody else reads too', async () => {
    const { graph, feeds } = example(true)
    const session = await createSession(graph)
    const { y, picked } = await session.run(feeds(true, [1n]))
    assert.deepEqual([y?.data, picked?.data], [Float32Array.of(2, 4, 6), Float32Array.of(-2)])
    await assert.rejects(session.run(feeds(true, [7n])), /indices|bounds/)
    await session.close()
  })

  it('counts the work of the side that is taken', () => {
    const graph = createGraph()
    const [flag, x] = [input(graph, 'flag', [1], 'bool'), input(graph, 'x', [2, 3])]
    const weight = constant(graph, new Float32Array(9), [3, 3])
    const one = linear(x, weight) // 18 multiply-adds
    const three = linear(linear(linear(x, weight), weight), weight) // 54
    output('y', choose(flag, one, three, 'taken'))
    assert.equal(totalMacs(graph, { taken: 1 }), 18)
    assert.equal(totalMacs(graph, { taken: 0 }), 54)
    output('three', three)
    assert.equal(totalMacs(graph, { taken: 1 }), 72)
  })

  it('runs nothing of a branch in a branch, nor what both of its sides read, unless it is wanted', async () => {
    const graph = createGraph()
    const flags = input(graph, 'flags', [2], 'int64')
    const x = input(graph, 'x', ['batch', 3, 1])
    const rows = input(graph, 'rows', ['batch', 'n'], 'int64')
    const holds = (i: number) => equal(slice(flags, 0, i, i + 1), constant(graph, BigInt64Array.of(1n), [1]))
    const picked = gatherRows(neg(x), selectRows(rows, 3)) // [B, n, 1], fails when a row does not exist
    const inner = choose(holds(1), scale(picked, 2), scale(picked, 3))
    output('y', choose(holds(0), scale(x, 2), add(inner, picked)))
    const session = await createSession(graph)
    const run = async (a: bigint, b: bigint, row: bigint) =>
      (
        await session.run({
          flags: { data: BigInt64Array.of(a, b), shape: [2] },
          x: { data: Float32Array.of(1, 2, 3), shape: [1, 3, 1] },
          rows: { data: BigInt64Array.of(row), shape: [1, 1] },
        })
      ).y?.data
    assert.deepEqual(await run(1n, 0n, 7n), Float32Array.of(2, 4, 6))
    assert.deepEqual([await run(0n, 1n, 2n), await run(0n, 0n, 2n)], [Float32Array.of(-9), Float32Array.of(-12)])
    await assert.rejects(run(0n, 0n, 7n), /indices|bounds/)
    await session.close()
  })

  it('refuses sides that do not fit', () => {
    const graph = createGraph()
    const [flag, x] = [input(graph, 'flag', [1], 'bool'), input(graph, 'x', [3])]
    assert.throws(() => choose(flag, x, input(graph, 'y', [4])), /sizes 3 and 4 differ/)
    assert.throws(() => choose(x, x, x), /a condition is bool, found float32/)
  })
})
