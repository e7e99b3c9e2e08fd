import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { interleave, median, speedup } from './interleave.js'

/** A clock that only work moves, and a machine that is twice as slow in every second round. */
function machine() {
  let now = 0
  const log: string[] = []
  const contender = (name: string, cost: () => number) => ({
    async run() {
      log.push(name)
      now += cost()
    },
  })
  return { log, contender, clock: () => now }
}

describe('interleave', () => {
  it('alternates blocks, leaves out the first runs of each, and counts rounds after the warm-up', async () => {
    const { log, contender, clock } = machine()
    const contenders = [contender('a', () => 10), contender('b', () => 4)]
    const rounds: number[] = []
    const [a, b] = await interleave(contenders, {
      rounds: 2,
      warmup: 1,
      blockMilliseconds: 10,
      settleMilliseconds: 5,
      now: clock,
      onRound: (done) => rounds.push(done),
    })
    assert.equal(log.join(''), 'aabbbbb'.repeat(3))
    assert.deepEqual(
      [a?.rounds, b?.rounds],
      [
        [10, 10],
        [4, 4],
      ],
    )
    assert.deepEqual(rounds, [1, 2, 3])
  })

  it('forms ratios inside each round', async () => {
    const { log, contender, clock } = machine()
    const slow = () => (Math.floor(log.length / 8) % 2 === 0 ? 1 : 3)
    const contenders = [contender('a', () => 20 * slow()), contender('b', () => 10 * slow())]
    const [a, b] = await interleave(contenders, {
      rounds: 4,
      warmup: 0,
      blockMilliseconds: 1,
      settleMilliseconds: 0,
      now: clock,
    })
    assert.ok(a && b && a.max === 3 * a.min)
    assert.equal(speedup(a, b), 2)
  })
})

it('median of an even and an odd number of values', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
})
