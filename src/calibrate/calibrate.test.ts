import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NEVER } from '../models/exits.js'
import { parsePlan } from '../tune/plan-file.js'
import { STEPS_FORMAT } from '../tune/steps-file.js'
import type { Asked, StepAnswers } from './answers.js'
import { calibrate } from './calibrate.js'
import { parseStepsTarget, stepsTargetText } from './target.js'

const COUNT = 8

/** Answers of a step: how sure it is, and whether it is right. */
function step(work: number, confidence: readonly number[], right: readonly number[], labelled = true): StepAnswers {
  const same = right.map((each) => each === 1)
  return { work, confidence, good: right, ...(labelled && { right: same }), same }
}

/** The first step is right where it is surer than 0.5, in each half of the pictures alike; the dense model always. */
function example(labelled = true): Asked {
  const sure = [0.9, 0.9, 0.8, 0.8, 0.4, 0.4, 0.3, 0.3]
  const dense = step(4e9, new Array<number>(COUNT).fill(0.9), new Array<number>(COUNT).fill(1), labelled)
  const first = step(1e9, sure, [1, 1, 1, 1, 0, 0, 1, 1], labelled)
  return { steps: [first, dense], dense, pictures: COUNT, labelled }
}

describe('calibration', () => {
  it('finds thresholds for an accuracy, and counts each half under those of the other', () => {
    const { chosen, thresholds, calibrated, heldOut, alone } = calibrate(example(), parseStepsTarget('-1%'), 2)
    assert.deepEqual([chosen, thresholds], [[0, 1], [(0.8 + 0.4) / 2]])
    const gmacs = (8 * 1 + 4 * 4) / 8
    for (const outcome of [calibrated, heldOut]) {
      assert.deepEqual([outcome.pictures, outcome.top1, outcome.denseTop1], [8, 8, 8])
      assert.deepEqual([outcome.pointsToDense, outcome.agreementPercent, outcome.exits], [0, 100, [4, 4]])
      assert.ok(Math.abs(outcome.gmacs - gmacs) < 1e-12)
    }
    assert.deepEqual(alone, { step: 1, gmacs: 4 })
  })

  it('counts a half under the thresholds of the other, not under its own', () => {
    const { dense } = example()
    // Of the even pictures the first step knows the surer two, of the odd ones the surest alone.
    const first = step(1e9, [0.9, 0.9, 0.8, 0.8, 0.4, 0.4, 0.3, 0.3], [1, 1, 1, 0, 0, 0, 0, 0])
    const { heldOut } = calibrate({ ...example(), steps: [first, dense] }, parseStepsTarget('-1%'), 2)
    assert.deepEqual([heldOut.top1, heldOut.exits], [7, [3, 5]])
  })

  it('finds the best answers for a mean work', () => {
    const { thresholds, calibrated } = calibrate(example(), parseStepsTarget('3.4gmacs'), 2)
    assert.deepEqual([thresholds, calibrated.top1, calibrated.gmacs], [[(0.8 + 0.4) / 2], 8, 3])
    // Two of eight may go on, and those of 0.3 are known to the first step, too: then it answers all.
    const less = calibrate(example(), parseStepsTarget('0.55x'), 2)
    assert.deepEqual([less.thresholds, less.calibrated.top1, less.calibrated.gmacs], [[0], 6, 1])
    assert.throws(() => calibrate(example(), parseStepsTarget('0.2x'), 2), {
      name: 'InputError',
      message: /--target: the smallest step alone does 1.000 GMACs/,
    })
  })

  it('goes by the dense model where pictures have no labels, and counts no right answers', () => {
    const { thresholds, calibrated } = calibrate(example(false), parseStepsTarget('-1%'), 2)
    assert.deepEqual(thresholds, [(0.8 + 0.4) / 2])
    assert.deepEqual([calibrated.top1, calibrated.pointsToDense, calibrated.agreementPercent], [null, null, 100])
  })

  it('refuses a target that no step reaches', () => {
    const { steps, ...rest } = example()
    const [first] = steps as [StepAnswers]
    assert.throws(() => calibrate({ ...rest, steps: [{ ...first, work: 5e8 }, first] }, parseStepsTarget('-1%'), 2), {
      name: 'InputError',
      message: /--target -1%: no steps lose so little, the last one by itself loses 25.00 points/,
    })
  })
})

describe('targets of steps', () => {
  it('are read as they are written', () => {
    for (const text of ['-0.25%', '0.6x', '0.65gmacs']) assert.equal(stepsTargetText(parseStepsTarget(text)), text)
    for (const text of ['12ms', '1.5x', '0.5', '-0.5', '0gmacs'])
      assert.throws(() => parseStepsTarget(text), { name: 'InputError', message: /^--target: wanted / })
  })
})

describe('a file of steps', () => {
  const file = {
    format: STEPS_FORMAT,
    method: 'idle',
    settings: { score: 'softmax' },
    steps: [
      [16, 8],
      [16, 16],
    ],
    thresholds: [0.5],
    model: { name: 'tiny', depth: 2, tokens: 16, weights: 'abc' },
  }
  const read = (changes: object) => parsePlan(JSON.stringify({ ...file, ...changes }), 'steps.json')

  it('is a plan in steps for its model', () => {
    assert.deepEqual(read({}), {
      path: 'steps.json',
      reduction: {
        method: 'idle',
        score: 'softmax',
        steps: [{ keepTokens: [16, 8] }, { keepTokens: [16, 16] }],
        thresholds: [0.5],
      },
      made: { name: 'tiny', depth: 2, tokens: 16 },
      weights: 'abc',
    })
    assert.deepEqual(read({ thresholds: [NEVER] }).reduction.thresholds, [NEVER])
  })

  it('is refused by what is wrong with it', () => {
    const wrong: [changes: object, message: RegExp][] = [
      [{ steps: [[16, 8]] }, /^steps.json: steps should be two or more lists/],
      [
        {
          steps: [
            [16, 8],
            [16, 17],
          ],
        },
        /steps\[1\] should be 2 counts from 1 to 16, found \[16,17\]/,
      ],
      [{ steps: [[16, 8], [16]] }, /steps\[1\] should be 2 counts/],
      [{ thresholds: [] }, /thresholds should be 1 numbers from 0 on/],
      [{ thresholds: [-1] }, /thresholds should be .* found \[-1\]/],
      [{ method: 'dvt' }, /method should be one of .* found "dvt"/],
      [{ model: { depth: 2, tokens: 16 } }, /model.weights should be a hash/],
      [{ format: 'idlevit-steps-9' }, /wanted a plan that tune or calibrate wrote/],
    ]
    for (const [changes, message] of wrong) assert.throws(() => read(changes), { name: 'InputError', message })
  })
})
