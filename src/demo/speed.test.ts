import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { interleave } from '../bench/interleave.js'
import { type Pairs, quartiles, speeds } from '../bench/speed.js'
import { HEADLINE_TURNS } from './measure.js'

/** Rounds of the demo over as many pictures as it takes by default. */
const ROUNDS = 20

/** Times batches of 32 on a clock of its own: `pace` says how many times slower the machine is at a run. */
async function timed(costs: readonly number[], rounds: number, pace: (run: number) => number): Promise<Pairs[]> {
  let [clock, run] = [0, 0]
  const contenders = costs.map((cost) => ({
    async run() {
      clock += cost * pace(run++)
    },
  }))
  const options = { rounds, warmup: 0, blockMilliseconds: 0, settleMilliseconds: 0, now: () => clock }
  const timings = await interleave(contenders, options)
  const first = timings[0]?.rounds ?? []
  return timings.map((timing) => ({ own: timing.rounds, first, images: Array(rounds).fill(32) }))
}

describe('speeds', () => {
  it('tells one story on a machine that is three times slower in every third round', async () => {
    const runs = 2 * 2 // a run that settles and one that counts, of both
    const pairs = await timed([100, 40], 9, (run) => (Math.floor(run / runs) % 3 === 0 ? 3 : 1))
    const [dense, idle] = speeds(pairs)
    assert.deepEqual([dense?.speedup, idle?.speedup], [1, 2.5])
    assert.deepEqual(idle?.speedupQuartiles, [2.5, 2.5])
    assert.deepEqual([dense?.imagesPerSecond, idle?.imagesPerSecond], [320, 800])
    assert.equal(idle?.imagesPerSecondQuartiles[0], 800)
  })

  it('does not believe a hiccup', async () => {
    const [, idle] = speeds(await timed([100, 50], 11, (run) => (run === 5 ? 40 : 1)))
    assert.equal(idle?.speedup, 2)
    assert.equal(idle?.imagesPerSecond, 640)
  })

  it('lets images per second and ratios agree on every row, whatever the noise', async () => {
    let state = 1
    const noise = () => {
      state = (state * 48271) % 2147483647
      return 0.5 + state / 2147483647
    }
    const found = speeds(await timed([90, 70, 45, 30], 20, noise))
    const [dense] = found
    for (const row of found) {
      assert.ok(Math.abs(row.imagesPerSecond / (dense?.imagesPerSecond as number) - row.speedup) < 1e-12)
      assert.ok(row.speedupQuartiles[0] <= row.speedup && row.speedup <= row.speedupQuartiles[1])
      const [low, high] = row.imagesPerSecondQuartiles
      assert.ok(low <= row.imagesPerSecond && row.imagesPerSecond <= high)
    }
  })

  it('counts the pictures of each round', () => {
    const own = [100, 50, 100]
    const [found] = speeds([{ own, first: own, images: [10, 5, 12] }])
    assert.deepEqual([found?.imagesPerSecond, found?.ratios], [100, 3])
  })
})

describe('the headline', () => {
  /** A machine whose runs are off by up to a fifth, that others slow down threefold now and then, with a hiccup in twelve runs. */
  const noisy = (seed: number) => {
    let state = seed
    const random = () => {
      state = (state * 48271) % 2147483647
      return state / 2147483647
    }
    return (run: number) => (0.8 + 0.4 * random()) * (Math.sin(run / 40) > 0 ? 3 : 1) * (random() < 1 / 12 ? 5 : 1)
  }
  /** How far from the truth the ratio is in the worst of a hundred demos. */
  async function worst(turns: number): Promise<number> {
    let most = 0
    for (let demo = 1; demo <= 100; demo++) {
      const [, half] = speeds(await timed([100, 50], turns, noisy(demo * 7919)))
      most = Math.max(most, Math.abs((half?.speedup as number) / 2 - 1))
    }
    return most
  }

  it('repeats on a noisy machine with the turns that the demo gives it, and would not with a few', async () => {
    const many = await worst(ROUNDS * HEADLINE_TURNS)
    assert.ok(many < 0.07, `off by ${many}`)
    assert.ok((await worst(5)) > 0.15)
  })
})

it('quartiles are the middles of the halves', () => {
  assert.deepEqual(quartiles([4, 1, 3, 2]), [1.5, 3.5])
  assert.deepEqual(quartiles([5, 1, 4, 2, 3]), [2, 4])
  assert.deepEqual(quartiles([7]), [7, 7])
})
