import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createStore, fromHash, initial, KEEP, type State, toHash, views } from './state.js'

const states: fc.Arbitrary<State> = fc.record(
  {
    model: fc.oneof(fc.constant('demo'), fc.constant('own'), fc.string({ minLength: 1 })),
    picture: fc.oneof(fc.constant('own' as const), fc.nat(2 ** 31)),
    keep: fc.integer({ min: KEEP.least, max: KEEP.most }),
    block: fc.nat(99),
    attention: fc.boolean(),
    patch: fc.option(fc.nat(1000), { nil: undefined }),
    view: fc.constantFrom(...views),
  },
  { noNullPrototype: true },
)

describe('the address', () => {
  it('gives back every state', () =>
    fc.assert(fc.property(states, (state) => assert.deepEqual(fromHash(`#${toHash(state)}`), state))))

  it('is empty at the start and says the rest in words', () => {
    assert.equal(toHash(initial), '')
    const state: State = { ...initial, model: 'facebook/deit-tiny-patch16-224', keep: 70, block: 4, view: 'bench' }
    assert.equal(toHash(state), 'model=facebook/deit-tiny-patch16-224&keep=0.70&block=4&view=bench')
  })

  it('takes what cannot be meant for nothing', () => {
    for (const hash of ['#keep=7&block=-1&view=x&picture=1e9&patch=a', '#keep=&picture=99999999999', '#%', ''])
      assert.deepEqual(fromHash(hash), initial)
  })
})

describe('the store', () => {
  it('tells of changes, and of nothing else', () => {
    const store = createStore(initial)
    const told: [number, number][] = []
    store.subscribe((state, before) => told.push([before.keep, state.keep]))
    store.set({ keep: 70 })
    store.set({ keep: 70 })
    assert.deepEqual(told, [[50, 70]])
  })
})
