import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NEVER } from '../models/exits.js'
import { inStages } from './stages.js'

const SIDE = 2

/** The logits by which a stage is just so sure that its answer is class 0. */
const logitsAt = (confidence: number) => [Math.log(confidence / (1 - confidence)), 0]

/** How sure the second stage is of a picture: of each another number, by its name. */
const later = (name: number) => 0.9 + name / 1000

/** A first stage that is as sure of a picture as the picture says, or a second one; it tells which pictures it was asked about together. */
function stage(k: number, asked: number[][][], delay = 0) {
  return {
    async run(feeds: Readonly<Record<string, { data: unknown; shape: readonly number[] }>>) {
      const pixels = feeds.pixel_values?.data as Float32Array
      const names: number[] = []
      const logits: number[] = []
      for (let at = 0; at < pixels.length; at += SIDE) {
        names.push(pixels[at] as number)
        logits.push(...logitsAt(k === 0 ? (pixels[at + 1] as number) : later(pixels[at] as number)))
      }
      ;(asked[k] as number[][]).push(names)
      await new Promise((resolve) => setTimeout(resolve, delay))
      return { logits: { data: Float32Array.from(logits), shape: [names.length, 2] } }
    },
  }
}

/** Pictures of one call: a name, and how sure the first stage is of each. */
const call = (first: number, sure: readonly number[]) => ({
  pixel_values: { data: Float32Array.from(sure.flatMap((each, i) => [first + i, each])), shape: [sure.length, SIDE] },
})

function open(thresholds: readonly number[], how: { size?: number; lanes?: number; delay?: number } = {}) {
  const asked: number[][][] = [[], []]
  const stages = [0, 1].map((k) => ({ session: stage(k, asked, how.delay) }))
  const { size = 4, lanes = 1 } = how
  return { asked, answer: inStages(stages, { thresholds, classes: 2, size, lanes }) }
}

const sure = 0.8
const unsure = 0.6

const near = (found: Float32Array, wanted: readonly number[]) => {
  assert.equal(found.length, wanted.length)
  for (const [i, value] of wanted.entries()) assert.ok(Math.abs((found[i] as number) - value) < 1e-5)
}

describe('stages', () => {
  it('answer all at the first where the threshold is 0, and all at the last where nothing reaches it', async () => {
    const pictures = call(0, [sure, unsure, sure, unsure])
    const first = await open([0]).answer(pictures)
    assert.deepEqual(first.exits, [0, 0, 0, 0])
    near(first.logits, [sure, unsure, sure, unsure].flatMap(logitsAt))
    const last = await open([NEVER]).answer(pictures)
    assert.deepEqual(last.exits, [1, 1, 1, 1])
    near(
      last.logits,
      [0, 1, 2, 3].flatMap((name) => logitsAt(later(name))),
    )
  })

  it('answer from their threshold on', async () => {
    const { exits } = await open([0.5]).answer(call(0, [0.5, unsure]))
    assert.deepEqual(exits, [0, 0])
  })

  it('fill a later run from several calls, and hand every answer to its own place', async () => {
    const { asked, answer } = open([0.7])
    const calls = [0, 10, 20, 30].map((first) => answer(call(first, [sure, unsure, sure, sure])))
    const found = await Promise.all(calls)
    assert.deepEqual(asked[1], [[1, 11, 21, 31]], 'the uncertain picture of every call in one run of the second stage')
    for (const [c, { exits, confidences, logits }] of found.entries()) {
      const own = later(10 * c + 1)
      assert.deepEqual(exits, [0, 1, 0, 0])
      assert.ok(Math.abs((confidences[1]?.[1] ?? 0) - own) < 1e-6)
      near(logits, [sure, own, sure, sure].flatMap(logitsAt))
      assert.ok(Number.isNaN(confidences[1]?.[0]))
    }
  })

  it('run what is left over as soon as there is nothing else to do', async () => {
    const { asked, answer } = open([0.7])
    const { exits } = await answer(call(0, [unsure, sure, unsure]))
    assert.deepEqual([asked[1], exits], [[[0, 2]], [1, 0, 1]])
  })

  it('let no lane idle: what waits is parted among those that are free', async () => {
    const { asked, answer } = open([0.7], { lanes: 2, delay: 1 })
    await answer(call(0, [unsure, unsure, unsure, unsure]))
    assert.deepEqual(asked[0], [
      [0, 1],
      [2, 3],
    ])
  })

  it('give an error to the calls that it concerns, and go on with the others', async () => {
    const { asked } = open([0.7])
    const failing = stage(1, asked)
    const stages = [
      { session: stage(0, asked) },
      {
        session: {
          run: async (feeds: Parameters<typeof failing.run>[0]) =>
            Array.from(feeds.pixel_values?.data as Float32Array).includes(66)
              ? Promise.reject(new Error('no'))
              : failing.run(feeds),
        },
      },
    ]
    const answer = inStages(stages, { thresholds: [0.7], classes: 2, size: 1, lanes: 1 })
    const [bad, good] = await Promise.allSettled([answer(call(66, [unsure])), answer(call(1, [unsure]))])
    assert.equal(bad.status, 'rejected')
    assert.ok(good.status === 'fulfilled' && good.value.exits[0] === 1)
  })
})
