import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { interleave } from '../bench/interleave.js'
import { quartiles, speeds } from './speed.js'

/** Times things on a clock of its own: `pace` says how many times slower the machine is at a run. */
async function timed(costs: readonly number[], rounds: number, pace: (run: number) => number) {
  let [clock, run] = [0, 0]
  const contenders = costs.map((cost) => ({
    async run() {
      clock += cost * pace(run++)
    },
  }))
  const options = { rounds, warmup: 0, blockMilliseconds: 0, settleMilliseconds: 0, now: () => clock }
  return interleave(contenders, options)
}

describe('speeds', () => {
  it('tells one story on a machine that is three times slower in every third round', async () => {
    const runs = 2 * 2 // a run that settles and one that counts, of both
    const timings = await timed([100, 40], 9, (run) => (Math.floor(run / runs) % 3 === 0 ? 3 : 1))
    const [dense, idle] = speeds(timings, Array(9).fill(32))
    assert.deepEqual([dense?.speedup, idle?.speedup], [1, 2.5])
    assert.deepEqual(idle?.speedupQuartiles, [2.5, 2.5])
    assert.deepEqual([dense?.imagesPerSecond, idle?.imagesPerSecond], [320, 800])
    assert.equal(idle?.imagesPerSecondQuartiles[0], 800)
  })

  it('does not believe a hiccup', async () => {
    const timings = await timed([100, 50], 11, (run) => (run === 5 ? 40 : 1))
    const [, idle] = speeds(timings, Array(11).fill(32))
    assert.equal(idle?.speedup, 2)
    assert.equal(idle?.imagesPerSecond, 640)
  })

  it('lets images per second and ratios agree on every row, whatever the noise', async () => {
    let state = 1
    const noise = () => {
      state = (state * 48271) % 2147483647
      return 0.5 + state / 2147483647
    }
    const timings = await timed([90, 70, 45, 30], 20, noise)
    const found = speeds(timings, Array(20).fill(32))
    const [dense] = found
    for (const row of found) {
      assert.ok(Math.abs(row.imagesPerSecond / (dense?.imagesPerSecond as number) - row.speedup) < 1e-12)
      assert.ok(row.speedupQuartiles[0] <= row.speedup && row.speedup <= row.speedupQuartiles[1])
      const [low, high] = row.imagesPerSecondQuartiles
      assert.ok(low <= row.imagesPerSecond && row.imagesPerSecond <= high)
    }
  })

  it('counts the pictures of each round', () => {
    const timing = { rounds: [100, 50, 100], min: 50, median: 100, max: 100 }
    assert.equal(speeds([timing], [10, 5, 12])[0]?.imagesPerSecond, 100)
  })
})

it('quartiles are the middles of the halves', () => {
  assert.deepEqual(quartiles([4, 1, 3, 2]), [1.5, 3.5])
  assert.deepEqual(quartiles([5, 1, 4, 2, 3]), [2, 4])
  assert.deepEqual(quartiles([7]), [7, 7])
})
