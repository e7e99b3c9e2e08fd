import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keptTokens, planKeep, stageRatios } from './schedule.js'

describe('stage ratios', () => {
  it('give the token counts of the official code at 196 tokens', () => {
    const stages: Record<number, readonly number[]> = {
      0.9: [176, 158, 142],
      0.8: [156, 125, 100],
      0.7: [137, 96, 67],
      0.6: [117, 70, 42],
      0.5: [98, 49, 24],
      0.4: [78, 31, 12],
      0.3: [58, 17, 5],
      1: [196, 196, 196],
    }
    for (const [k, [a, b, c]] of Object.entries(stages)) {
      const kept = keptTokens(196, stageRatios(12, Number(k)))
      assert.deepEqual(kept, [196, 196, 196, a, a, a, b, b, b, c, c, c])
    }
  })

  it('truncate the float product, as the official code does', () => {
    assert.equal(keptTokens(100, [0.7 ** 2])[0], 48) // 0.7² is 0.48999… in floating point
  })

  it('cover blocks 4 to 11 in the official training script', () => {
    const kept = keptTokens(196, stageRatios(12, 0.7, 'train-script'))
    assert.deepEqual(kept, [196, 196, 196, 196, 137, 137, 137, 96, 96, 96, 67, 67])
  })
})

describe('keep plans', () => {
  it('warn about ratios that rise along depth', () => {
    const { warnings } = planKeep({ keepRatios: [1, 0.5, 0.7, 0.5] }, 4, 196)
    assert.match(warnings.join(), /rise at block 2/)
  })

  it('refuse what cannot be', () => {
    const refuse = (request: Parameters<typeof planKeep>[0], message: RegExp) =>
      assert.throws(() => planKeep(request, 4, 16), { name: 'InputError', message })
    refuse({ keepRatio: 0 }, /above 0 and at most 1, found 0/)
    refuse({ keepRatio: -0.5 }, /found -0.5/)
    refuse({ keepRatio: 1.2 }, /found 1.2/)
    refuse({ keepRatio: Number.NaN }, /found NaN/)
    refuse({ keepRatios: [1, 1] }, /wanted 4 values, one per block, found 2/)
    refuse({ keepTokens: [16, 16, 17, 8] }, /from 1 to 16, found 17/)
    refuse({ keepRatio: 0.5, keepTokens: [1, 1, 1, 1] }, /found several/)
  })
})
