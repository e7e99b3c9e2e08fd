import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cascadeConfig, cascadePixels, randomCascade } from '../../test/support/cascade.js'
import { evaluate } from '../../test/support/models.js'
import type { Graph } from '../graph/graph.js'
import { isCascade } from '../models/cascade.js'
import { buildNet } from '../models/dvt-build.js'
import { confidencesOf, NEVER } from '../models/exits.js'
import { openCascade } from './cascade.js'
import { createSession, openNodeClassifier } from './node.js'
import type { SessionOptions, Values } from './session.js'

const model = randomCascade()
const PICTURES = 5
const EACH = 3 * 224 * 224
const pixels = cascadePixels(PICTURES)
const { classes } = model.config

/** Answers of every net to all pictures, every row computed: the official forward. */
async function everyNet(): Promise<Float32Array[]> {
  const { config } = model
  assert.ok(isCascade(config))
  const answers: Float32Array[] = []
  let feeds: Record<string, Values> = {}
  for (let k = 0; k < 3; k++) {
    const pixel_values = { data: pixels, shape: [PICTURES, 3, 224, 224] }
    const found = await evaluate(buildNet(config, model.state, k, { allRows: true }).graph, { ...feeds, pixel_values })
    answers.push(found.logits?.data as Float32Array)
    feeds = { received_rows: found.rows as Values, received_relations: found.relations as Values }
  }
  return answers
}

const near = (found: ArrayLike<number>, wanted: ArrayLike<number>) => {
  assert.equal(found.length, wanted.length)
  for (let i = 0; i < wanted.length; i++)
    assert.ok(Math.abs((found[i] as number) - (wanted[i] as number)) < 2e-5, `${i}: ${found[i]}, wanted ${wanted[i]}`)
}

describe('a cascade', async () => {
  const answers = await everyNet()
  const confidences = answers.map((own) => confidencesOf(own, classes))
  /** Half of the pictures leave at the first net, half of the others at the second. */
  const middle = (values: ArrayLike<number>) => {
    const falling = Array.from(values).sort((a, b) => b - a)
    const at = Math.ceil(falling.length / 2)
    return ((falling[at - 1] as number) + (falling[at] as number)) / 2
  }
  const first = middle(confidences[0] as Float64Array)
  const left = Array.from({ length: PICTURES }, (_, b) => b).filter((b) => (confidences[0]?.[b] as number) < first)
  const thresholds = [first, middle(left.map((b) => confidences[1]?.[b] as number))]
  const wanted = Array.from({ length: PICTURES }, (_, b) =>
    (confidences[0]?.[b] as number) >= first ? 0 : (confidences[1]?.[b] as number) >= (thresholds[1] as number) ? 1 : 2,
  )

  it('runs all nets where no threshold can be reached', async () => {
    const cascade = await openNodeClassifier(model, { thresholds: [NEVER, NEVER], threads: 1 })
    const { logits, exits } = await cascade.forward(pixels)
    await cascade.close()
    assert.deepEqual(exits, [2, 2, 2, 2, 2])
    near(logits, answers[2] as Float32Array)
  })

  it('answers at the first net that is sure, and asks the later ones about the other pictures alone', async () => {
    const asked: number[][] = []
    const counting = async (graph: Graph, options: SessionOptions) => {
      const session = await createSession(graph, options)
      const pictures: number[] = []
      asked.push(pictures)
      return {
        ...session,
        run: (feeds: Readonly<Record<string, Values>>) => {
          pictures.push(feeds.pixel_values?.shape[0] as number)
          return session.run(feeds)
        },
      }
    }
    const cascade = await openCascade(model, { thresholds, threads: 1, microBatch: 99 }, counting)
    const { logits, exits } = await cascade.forward(pixels)
    await cascade.close()
    assert.deepEqual([...new Set(wanted)].sort(), [0, 1, 2], 'the pictures are of all kinds')
    assert.deepEqual(exits, wanted)
    const onwards = (k: number) => wanted.filter((exit) => exit >= k).length
    assert.deepEqual(asked, [[PICTURES], [onwards(1)], [onwards(2)]])
    near(
      logits,
      wanted.flatMap((k, b) => [...(answers[k] as Float32Array).subarray(b * classes, (b + 1) * classes)]),
    )
  })

  it('answers a picture alone as in a batch, and never asks a later net about what is answered', async () => {
    const cascade = await openNodeClassifier(model, { thresholds, threads: 1 })
    for (let b = 0; b < PICTURES; b++) {
      const { logits, exits } = await cascade.forward(pixels.subarray(b * EACH, (b + 1) * EACH))
      assert.deepEqual(exits, [wanted[b]])
      near(logits, (answers[wanted[b] as number] as Float32Array).subarray(b * classes, (b + 1) * classes))
    }
    await cascade.close()
  })

  it('takes in 8-bit integers nearly the same answers', async () => {
    const cascade = await openNodeClassifier(model, { thresholds: [NEVER, NEVER], threads: 1, precision: 'int8' })
    const { logits } = await cascade.forward(pixels)
    await cascade.close()
    const distance = logits.reduce((sum, z, i) => sum + Math.abs(z - (answers[2]?.[i] as number)), 0) / logits.length
    assert.ok(distance > 0 && distance < 0.3, `${distance}`)
  })

  it('hands on rows alone, relations alone, or nothing', async () => {
    const { cascade: both } = cascadeConfig()
    const { smaller, features } = both
    for (const cascade of [
      { smaller, relations: true },
      { smaller, relations: false, ...(features && { features }) },
      { smaller, relations: false },
    ]) {
      const opened = await openNodeClassifier(randomCascade(cascadeConfig({ cascade })), { thresholds: [NEVER, NEVER] })
      const { logits } = await opened.forward(pixels.subarray(0, EACH))
      await opened.close()
      assert.ok(logits.every(Number.isFinite))
    }
  })

  it('refuses what it does not have, by name', async () => {
    const open = (options: object) => openNodeClassifier(model, options)
    await assert.rejects(open({ method: 'idle', keepRatio: 0.5 }), /cascade: .*reduces no tokens/)
    await assert.rejects(open({ trace: true }), /has no trace/)
    await assert.rejects(open({ precision: 'fp16' }), /wanted fp32 or int8 .* found fp16/)
    await assert.rejects(open({ thresholds: [0.5] }), /thresholds: wanted 2 numbers.*found 1/)
    await assert.rejects(open({ thresholds: [0.5, -1] }), /found -1/)
  })
})
