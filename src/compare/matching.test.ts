import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { randomWeights, tiny } from '../../test/support/models.js'
import { matchGmacs, nearest } from './matching.js'
import { comparedMethods, costOf } from './methods.js'

const model = { config: tiny, state: randomWeights(tiny, 1) }
const [idle] = comparedMethods()
assert.ok(idle)

describe('matching of work', () => {
  it('finds the nearest of all values, wherever the target lies', () => {
    const steps = fc.array(fc.nat(5), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(steps, fc.integer({ min: -10, max: 220 }), (rises, target) => {
        let sum = 0
        const works = rises.map((rise) => {
          sum += rise
          return sum
        })
        const found = nearest(works.length, (i) => works[i] as number, target)
        const off = (i: number) => Math.abs((works[i] as number) - target)
        assert.equal(off(found), Math.min(...[...works.keys()].map(off)))
      }),
    )
  })

  it('leaves no keep ratio that would come nearer', () => {
    const { knob } = idle
    const works = new Set<number>()
    for (let i = 0; i < knob.count; i++) works.add(costOf(model, knob.at(knob.value(i))).gmacs)
    const [least, most] = [Math.min(...works), Math.max(...works)]
    for (let i = -1; i <= 11; i++) {
      const target = least + ((most - least) * i) / 10
      const found = costOf(model, knob.at(matchGmacs(model, knob, target))).gmacs
      const best = Math.min(...[...works].map((work) => Math.abs(work - target)))
      assert.ok(Math.abs(Math.abs(found - target) - best) < 1e-15, `target ${target}`)
    }
  })

  it('gives a method its own work back', () => {
    for (const keepRatio of [0.9, 0.7, 0.5]) {
      const { gmacs } = costOf(model, idle.at(keepRatio))
      const found = matchGmacs(model, idle.knob, gmacs)
      assert.equal(costOf(model, idle.knob.at(found)).gmacs, gmacs)
    }
  })

  it('is of a knob whose work never falls', () => {
    const { knob } = idle
    let before = 0
    for (let i = 0; i < knob.count; i += 37) {
      const { gmacs } = costOf(model, knob.at(knob.value(i)))
      assert.ok(gmacs >= before)
      before = gmacs
    }
  })
})
