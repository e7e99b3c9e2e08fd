import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseTarget, targetText } from './target.js'

describe('a target', () => {
  it('is a share of the work, a speed, a time or a loss of accuracy, by its form', () => {
    assert.deepEqual(parseTarget('0.7x'), { kind: 'work', share: 0.7 })
    assert.deepEqual(parseTarget('1.8x'), { kind: 'speed', ratio: 1.8 })
    assert.deepEqual(parseTarget('12ms'), { kind: 'milliseconds', milliseconds: 12 })
    assert.deepEqual(parseTarget('-0.5%'), { kind: 'accuracy', points: 0.5 })
    for (const text of ['0.7x', '1.8x', '12ms', '-0.5%']) assert.equal(targetText(parseTarget(text)), text)
  })

  for (const [text, message] of [
    ['0.7', /^--target: wanted 0\.7x .*, found "0\.7"$/],
    ['fast', /^--target: wanted 0\.7x .*, found "fast"$/],
    ['1x', /^--target: wanted .*1x is the dense model, found 1x$/],
    ['0x', /^--target: wanted a number above 0, found 0x$/],
    ['-3ms', /^--target: wanted a number above 0, found -3ms$/],
    ['0.5%', /^--target: wanted .* as in -0\.5%, found 0\.5%$/],
  ] as const)
    it(`is refused: ${text}`, () => assert.throws(() => parseTarget(text), { name: 'InputError', message }))
})
