import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { macsOfPicture, modelCost } from '../models/cost.js'
import { NEVER } from '../models/exits.js'
import type { ClassifierOptions } from './classifier.js'
import { openNodeClassifier } from './node.js'

const config = { ...tiny, imageSize: 48, depth: 4 } // 36 image tokens
const model = { name: 'tiny', config, state: randomWeights(config, 1) }
const PICTURES = 7
const pixels = randomPixels(config, PICTURES, 2).data as Float32Array
const each = pixels.length / PICTURES
const { classes } = config

async function answersOf(options: ClassifierOptions, pictures = pixels) {
  const classifier = await openNodeClassifier(model, { threads: 1, microBatch: 3, ...options })
  try {
    return { ...(await classifier.forward(pictures)), plan: classifier.plan, warnings: classifier.warnings }
  } finally {
    await classifier.close()
  }
}

for (const method of ['idle', 'group'] as const)
  describe(`steps of ${method}`, async () => {
    const steps = [{ keepRatio: 0.4 }, { keepRatio: 0.7 }, { keepRatio: 1 }]
    const alone = await Promise.all(steps.map((step) => answersOf({ method, ...step, elastic: true })))
    const taken = await answersOf({ method, steps, thresholds: [NEVER, NEVER] })
    const sure = (k: number) => taken.confidences?.[k] as Float64Array
    /** About half of the pictures leave at each. */
    const middle = (values: ArrayLike<number>) => [...Array.from(values)].sort((a, b) => a - b)[PICTURES >> 1] as number
    const thresholds = [middle(sure(0)) + 1e-9, middle(sure(1))]
    const wanted = Array.from({ length: PICTURES }, (_, b) =>
      (sure(0)[b] as number) >= (thresholds[0] as number)
        ? 0
        : (sure(1)[b] as number) >= (thresholds[1] as number)
          ? 1
          : 2,
    )

    it('give the first step’s answers where the thresholds are 0, the last one’s where nothing reaches them', async () => {
      const first = await answersOf({ method, steps, thresholds: [0, 0] })
      assert.deepEqual(first.logits, alone[0]?.logits)
      assert.deepEqual(taken.logits, alone[2]?.logits)
      const dense = await answersOf({ method: 'none' })
      assert.ok(maxAbsDiff(taken.logits, dense.logits) < 1e-5)
    })

    it('give every picture the answer of the first step that is sure, in its place', async () => {
      assert.ok(new Set(wanted).size > 1, `the pictures leave at ${wanted}`)
      const { logits, exits } = await answersOf({ method, steps, thresholds })
      assert.deepEqual(exits, wanted)
      for (const [b, exit] of wanted.entries()) {
        const own = (all: Float32Array) => all.subarray(b * classes, (b + 1) * classes)
        assert.ok(maxAbsDiff(own(logits), own(alone[exit]?.logits as Float32Array)) < 1e-5)
      }
    })

    it('answer a picture alone as in a batch, and as among other calls in lanes', async () => {
      const classifier = await openNodeClassifier(model, { method, steps, thresholds, lanes: 2, microBatch: 2 })
      const order = [3, 0, 6, 1, 5, 2, 4]
      const calls = order.map((b) => classifier.forward(pixels.slice(b * each, (b + 1) * each)))
      const found = await Promise.all(calls)
      await classifier.close()
      for (const [i, { logits, exits }] of found.entries()) {
        const b = order[i] as number
        assert.deepEqual(exits, [wanted[b]])
        const { logits: all } = alone[wanted[b] as number] as { readonly logits: Float32Array }
        const own = all.subarray(b * classes, (b + 1) * classes)
        assert.ok(maxAbsDiff(logits, own) < 1e-5)
      }
    })

    it('cost what the steps cost that were asked, each as a plan of its own', async () => {
      const { exits = [], sizes = [], plan } = await answersOf({ method, steps, thresholds })
      const macs = macsOfPicture(config, plan)
      const own = alone.map(({ plan: { steps: _, ...single } }) => modelCost(config, single).macs)
      for (const [b, size] of sizes.entries())
        assert.equal(
          macs(size),
          own.slice(0, (exits[b] as number) + 1).reduce((sum, step) => sum + step, 0),
        )
    })
  })

describe('steps', () => {
  it('all are taken, and that is told, where no thresholds are given', async () => {
    const { exits, warnings } = await answersOf({ steps: [{ keepRatio: 0.5 }, { keepRatio: 1 }] })
    assert.deepEqual(new Set(exits), new Set([1]))
    assert.match(warnings.join(), /no thresholds are given: every picture goes through all 2 steps/)
  })

  it('are refused by name where they cannot be', async () => {
    const steps = [{ keepRatio: 0.5 }, { keepRatio: 1 }]
    const refused = (options: ClassifierOptions, message: RegExp) =>
      assert.rejects(openNodeClassifier(model, options), { name: 'InputError', message })
    await refused({ steps: [{ keepRatio: 0.5 }] }, /steps: wanted two or more, found 1/)
    await refused(
      { steps, thresholds: [0.5, 0.5] },
      /thresholds: wanted 1 number, one for every step but the last, found 2/,
    )
    await refused({ steps, keepRatio: 0.7 }, /steps and keepRatio: wanted one of them/)
    await refused({ steps, trace: true }, /trace: wanted one plan for every picture, found steps/)
    await refused({ steps, method: 'evit' }, /elastic: wanted a method .*\(idle, group\), found evit/)
    await refused(
      { steps: [{ keepTokens: [9, 9, 9, 9] }, { keepRatio: 1 }] },
      /block 0 of an elastic model computes all 36/,
    )
    await refused({ thresholds: [0.5] }, /thresholds: wanted a cascade .* or a plan in steps, found tiny/)
  })
})
