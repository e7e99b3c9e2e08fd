import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { randomWeights, tiny } from '../../test/support/models.js'
import { matchGmacs, nearest } from './matching.js'
import { comparedMethods, costOf, type Reduction } from './methods.js'

const model = { config: tiny, state: randomWeights(tiny, 1) }

describe('matching of work', () => {
  it('finds the nearest of all values, wherever the target lies', async () => {
    const steps = fc.array(fc.nat(5), { minLength: 1, maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: -10, max: 220 }), async (rises, target) => {
        let sum = 0
        const works = rises.map((rise) => {
          sum += rise
          return sum
        })
        const found = await nearest(works.length, (i) => works[i] as number, target)
        const off = (i: number) => Math.abs((works[i] as number) - target)
        assert.equal(off(found), Math.min(...[...works.keys()].map(off)))
      }),
    )
  })

  // Gates decide how much is computed: the most that it can be says nothing of the keep ratio.
  for (const { name, knob, at } of comparedMethods(tiny).filter(({ name }) => !/adavit|dynamicswin/.test(name))) {
    const work = (reduction: Reduction) => costOf(model, reduction).gmacs
    const all = Array.from({ length: knob.count }, (_, i) => work(knob.at(knob.value(i))))

    it(`leaves no value of ${name} that would come nearer`, async () => {
      const works = [...new Set(all)]
      const [least, most] = [Math.min(...works), Math.max(...works)]
      for (let i = -1; i <= 11; i++) {
        const target = least + ((most - least) * i) / 10
        const found = work(knob.at(await matchGmacs(knob, work, target)))
        const best = Math.min(...works.map((each) => Math.abs(each - target)))
        assert.ok(Math.abs(Math.abs(found - target) - best) < 1e-15, `target ${target}`)
      }
    })

    it(`turns a knob of ${name} whose work rises on the whole, and that reaches its keep ratios`, () => {
      for (let i = knob.around; i < all.length; i++)
        assert.ok((all[i] as number) >= (all[i - knob.around] as number), `value ${knob.value(i)}`)
      for (const keepRatio of [0.9, 0.7, 0.5]) assert.ok(all.includes(work(at(keepRatio))), `keep ratio ${keepRatio}`)
    })
  }
})
