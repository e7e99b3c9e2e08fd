import assert from 'node:assert/strict'
import { test } from 'node:test'
import { narrow } from '../../test/support/models.js'
import { withNewHead } from './head.js'
import { randomVit } from './init.js'
import type { WeightTensor } from './state.js'

const config = { ...narrow, distilled: true }
const model = { config, state: randomVit(config, 1), labels: ['yes', 'no'] }
const lvvit = { ...narrow, stem: 2, auxHead: true }
const values = ({ data }: WeightTensor = {} as WeightTensor) => Array.from(data as Float32Array)

test('a new head has other rows, and the backbone stays', () => {
  const { config: sizes, state, labels } = withNewHead(model, 7, 3, [...'abcdefg'])
  assert.deepEqual([sizes.classes, labels], [7, [...'abcdefg']])
  assert.deepEqual([...state.keys()], [...model.state.keys()])
  for (const [name, tensor] of state) {
    if (!name.startsWith('head')) assert.equal(tensor, model.state.get(name), name)
    else if (name.endsWith('bias')) assert.deepEqual(values(tensor), Array(7).fill(0), name)
    else assert.deepEqual(tensor.shape, [7, config.width], name)
  }
  assert.notDeepEqual(values(state.get('head.weight')), values(state.get('head_dist.weight')))
})

test('the head of every row is new, too', () => {
  const { state } = withNewHead({ config: lvvit, state: randomVit(lvvit, 1) }, 7, 3)
  assert.deepEqual(state.get('aux_head.weight')?.shape, [7, lvvit.width])
})

test('the seed decides its bits, and names that are not given are gone', () => {
  const head = (seed: number) => values(withNewHead(model, 7, seed).state.get('head.weight'))
  assert.deepEqual(head(3), head(3))
  assert.notDeepEqual(head(3), head(4))
  assert.ok(!('labels' in withNewHead(model, 7, 3)))
})
