import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NEVER } from '../models/exits.js'
import { bestStages, bestThresholds, outcomeOf, type StageAnswers } from './thresholds.js'

/** Six pictures, by falling confidence of the first stage: it is right of the first three and of the fifth. */
const small: StageAnswers = { work: 1, confidence: [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], good: [1, 1, 1, 0, 1, 0] }
/** Right of all but the second. */
const large: StageAnswers = { work: 4, confidence: [0.9, 0.9, 0.9, 0.9, 0.9, 0.9], good: [1, 0, 1, 1, 1, 1] }

describe('the best thresholds', () => {
  it('do the least work that keeps so many answers', () => {
    // Three answered early, one of which the large one does not know: 6 good. A fourth would cost one, a fifth no more.
    assert.deepEqual(bestThresholds([small, large], { kind: 'answers', least: 6 }), {
      thresholds: [(0.7 + 0.6) / 2],
      good: 6,
      work: 6 * 1 + 3 * 4,
    })
    assert.deepEqual(bestThresholds([small, large], { kind: 'answers', least: 5 }), {
      thresholds: [(0.5 + 0.4) / 2],
      good: 5,
      work: 6 * 1 + 1 * 4,
    })
    assert.deepEqual(bestThresholds([small, large], { kind: 'answers', least: 4 })?.thresholds, [0])
    assert.equal(bestThresholds([small, large], { kind: 'answers', least: 7 }), undefined)
  })

  it('take none that meets the goal by luck alone', () => {
    // Answering none early has 1 good, one 0, two 1 again: going down, the goal is lost with the first.
    const unsteady: StageAnswers = { work: 1, confidence: [0.9, 0.8], good: [0, 1] }
    const steady: StageAnswers = { work: 4, confidence: [1, 1], good: [1, 0] }
    const found = bestThresholds([unsteady, steady], { kind: 'answers', least: 1 })
    assert.deepEqual(found, { thresholds: [NEVER], good: 1, work: 10 })
  })

  it('give the most answers that so much work allows', () => {
    // 18 of 6 pictures is a mean of 3.
    assert.deepEqual(bestThresholds([small, large], { kind: 'work', most: 3 }), {
      thresholds: [(0.7 + 0.6) / 2],
      good: 6,
      work: 18,
    })
    assert.equal(bestThresholds([small, large], { kind: 'work', most: 0.9 }), undefined)
  })

  it('never part pictures of equal confidence', () => {
    const level: StageAnswers = { ...small, confidence: [0.9, 0.6, 0.6, 0.6, 0.6, 0.4] }
    const { thresholds = [] } = bestThresholds([level, large], { kind: 'answers', least: 5 }) ?? {}
    assert.deepEqual(thresholds, [(0.6 + 0.4) / 2])
  })

  it('are the best of three stages, found by trying all', () => {
    const middle: StageAnswers = { work: 2, confidence: [0.3, 0.9, 0.2, 0.8, 0.7, 0.1], good: [1, 1, 0, 1, 0, 0] }
    const stages = [small, middle, large]
    const tried = [NEVER, 0.85, 0.75, 0.65, 0.55, 0.45, 0].flatMap((a) =>
      [NEVER, 0.85, 0.75, 0.5, 0.25, 0.15, 0].map((b) => outcomeOf(stages, [a, b])),
    )
    for (const budget of [1, 2, 3, 5, 7]) {
      const most = Math.max(...tried.filter(({ work }) => work <= budget * 6).map(({ good }) => good))
      const found = bestThresholds(stages, { kind: 'work', most: budget })
      assert.equal(found?.good, most)
      const again = outcomeOf(stages, found?.thresholds ?? [])
      assert.deepEqual([again.good, again.work], [found?.good, found?.work])
    }
  })
})

describe('the best stages', () => {
  it('leave out those that do not pay', () => {
    const useless: StageAnswers = { work: 2, confidence: [0.1, 0.1, 0.1, 0.1, 0.1, 0.1], good: [0, 0, 0, 0, 0, 0] }
    const found = bestStages([small, useless, large], { kind: 'answers', least: 6 }, 3)
    assert.deepEqual([found?.chosen, found?.work], [[0, 2], 18])
    const two = bestStages([useless, small, large], { kind: 'answers', least: 6 }, 2)
    assert.deepEqual(two?.chosen, [1, 2])
  })
})
