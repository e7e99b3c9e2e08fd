import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { countStates, idleStatistics, tokenMap } from './tokens.js'

const letters = (map: ReturnType<typeof tokenMap>) => map.map((states) => states.map((state) => state[0]).join(''))

describe('tokenMap', () => {
  it('marks tokens in the block that they come back in, and there alone', () => {
    const selections = [
      { block: 1, selected: [0, 1] },
      { block: 2, selected: [1, 2] },
      { block: 4, selected: [3, 0] },
    ]
    assert.deepEqual(letters(tokenMap(selections, 5, 4)), ['ssss', 'ssii', 'isri', 'rssr', 'siis'])
  })

  it('tells tokens that share a row, and those that are gone', () => {
    const selections = [
      { block: 1, selected: [0, 2, 3], home: [0, -1, 1, 1] },
      { block: 3, selected: [2, 3], home: [-1, -1, 0, 0] },
    ]
    assert.deepEqual(tokenMap(selections, 4, 4), [
      ['selected', 'selected', 'selected', 'selected'],
      ['selected', 'gone', 'merged', 'merged'],
      ['selected', 'gone', 'merged', 'merged'],
      ['gone', 'gone', 'merged', 'merged'],
    ])
  })

  it('never marks a token when selections only shrink, as pruning does', () => {
    const selections = [3, 2, 1].map((n, i) => ({ block: i + 1, selected: Array.from({ length: n }, (_, j) => j) }))
    const statistics = idleStatistics(tokenMap(selections, 4, 4))
    assert.deepEqual(statistics, { tokens: 4, idled: 3, returned: 0, returns: 0 })
  })

  const arbitrary = fc
    .array(fc.uniqueArray(fc.nat(8), { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 6 })
    .map((selected) => ({ depth: selected.length, selections: selected.map((s, block) => ({ block, selected: s })) }))

  it('computes exactly what was selected, and calls it returned exactly if it idled in the block just before', () => {
    fc.assert(
      fc.property(arbitrary, ({ depth, selections }) => {
        const map = tokenMap(selections, depth, 9)
        for (const { block, selected } of selections) {
          const states = map[block] ?? []
          const counts = countStates(states)
          assert.equal(counts.selected + counts.returned, selected.length)
          assert.equal(counts.idle, 9 - selected.length)
          for (const token of selected) {
            assert.equal(states[token], map[block - 1]?.[token] === 'idle' ? 'returned' : 'selected')
          }
        }
      }),
    )
  })
})

describe('idleStatistics', () => {
  it('counts tokens once and returns every time', () => {
    const selections = [[0], [1], [0], [1]].map((selected, block) => ({ block, selected }))
    // Token 0: selected, idle, returned, idle. Token 1: idle, returned, idle, returned. Token 2 idles throughout.
    assert.deepEqual(idleStatistics(tokenMap(selections, 4, 3)), { tokens: 3, idled: 3, returned: 2, returns: 3 })
  })

  it('takes a token that stays after its return for one return', () => {
    const selections = [[0], [1], [1], [1]].map((selected, block) => ({ block, selected }))
    assert.deepEqual(idleStatistics(tokenMap(selections, 4, 2)), { tokens: 2, idled: 2, returned: 1, returns: 1 })
  })

  it('looks at some tokens alone', () => {
    const selections = [[0], [1], [0], [1]].map((selected, block) => ({ block, selected }))
    const map = tokenMap(selections, 4, 3)
    assert.deepEqual(
      idleStatistics(map, (token) => token === 1),
      { tokens: 1, idled: 1, returned: 1, returns: 2 },
    )
  })
})
