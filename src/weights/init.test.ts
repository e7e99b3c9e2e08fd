import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { VitConfig } from '../models/config.js'
import { vitParameters } from '../models/config.js'
import { checkState } from './infer.js'
import { randomVit } from './init.js'

const small: VitConfig = {
  imageSize: 32,
  patchSize: 8,
  width: 48,
  depth: 3,
  heads: 3,
  hidden: 192,
  classes: 10,
  distilled: true,
  layerNormEps: 1e-6,
}

test('random weights are complete and distributed as DeiT draws them', () => {
  const state = randomVit(small, 5)
  checkState(state, vitParameters(small))
  let [count, sum, squares] = [0, 0, 0]
  for (const [name, { data }] of state) {
    const values = [...(data as Float32Array)]
    if (/norm\d?\.weight$/.test(name))
      assert.ok(
        values.every((value) => value === 1),
        name,
      )
    else if (name.endsWith('.bias'))
      assert.ok(
        values.every((value) => value === 0),
        name,
      )
    else
      for (const value of values) {
        count++
        sum += value
        squares += value * value
      }
  }
  // Five standard errors of mean and variance.
  assert.ok(Math.abs(sum / count) < (5 * 0.02) / Math.sqrt(count))
  assert.ok(Math.abs(squares / count / 0.0004 - 1) < 5 * Math.sqrt(2 / count))
})

test('a seed means the same bits everywhere, another seed other ones', () => {
  const digest = (seed: number) => {
    const hash = createHash('sha256')
    for (const [name, { data }] of randomVit(small, seed)) hash.update(name).update(data as Float32Array)
    return hash.digest('hex')
  }
  assert.equal(digest(0).slice(0, 16), '298149779ae92921') // a transcription into Python gives the same
  assert.notEqual(digest(0), digest(1))
})
