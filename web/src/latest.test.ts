import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { latestWins } from './latest.js'

/** A queue whose runs end when the test says so. */
function held() {
  const runs: number[] = []
  const failures: unknown[] = []
  const ends: ((error?: Error) => void)[] = []
  const ask = latestWins<number>(
    (question) =>
      new Promise((resolve, reject) => {
        runs.push(question)
        ends.push((error) => (error ? reject(error) : resolve()))
      }),
    (error) => failures.push(error),
  )
  const end = async (error?: Error) => {
    ends.shift()?.(error)
    await new Promise(setImmediate)
  }
  return { ask, end, runs, failures, open: () => ends.length }
}

describe('latestWins', () => {
  it('runs at once, and of what is asked meanwhile the newest alone', async () => {
    const { ask, end, runs } = held()
    for (const question of [1, 2, 3, 4]) ask(question)
    assert.deepEqual(runs, [1])
    await end()
    assert.deepEqual(runs, [1, 4])
    await end()
    ask(5)
    assert.deepEqual(runs, [1, 4, 5])
  })

  it('goes on after a failure', async () => {
    const { ask, end, runs, failures } = held()
    ask(1)
    ask(2)
    await end(new Error('no'))
    assert.equal(failures.length, 1)
    assert.deepEqual(runs, [1, 2])
  })

  it('never has two runs under way, and always ends with the last question', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), async (asks) => {
        const { ask, end, runs, open } = held()
        let last = -1
        for (const [i, isAsk] of asks.entries()) {
          if (isAsk) ask(i)
          else await end()
          if (isAsk) last = i
          assert.ok(open() <= 1)
        }
        while (open() > 0) await end()
        assert.equal(runs.at(-1), last === -1 ? undefined : last)
        assert.deepEqual(
          runs,
          [...runs].sort((a, b) => a - b),
        )
      }),
    ))
})
