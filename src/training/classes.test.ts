import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ModelClasses } from '../data/classes.js'
import type { Dataset } from '../data/dataset.js'
import { InputError } from '../errors.js'
import { imagenetLabels } from '../labels/imagenet.js'
import { type ClassRequest, planClasses } from './classes.js'

const data = (labels: readonly number[], classNames?: readonly string[]): Dataset => ({
  name: 'data',
  samples: labels.map((label) => ({ name: 'x', label })),
  ...(classNames && { classNames }),
  source: () => ({ kind: 'bytes', bytes: new Uint8Array() }),
  close: async () => {},
})

const deit: ModelClasses = { name: 'deit', classes: 1000, labels: imagenetLabels }
const unnamed: ModelClasses = { name: 'unnamed', classes: 3 }
const own = data([0, 1, 2], ['oak', 'birch', 'pine'])

function planned(from: Dataset, model: ModelClasses | undefined, request: ClassRequest = {}) {
  const { head, classes, labels } = planClasses(request, from, model)
  return { head, classes, ...(labels && labels.length < 10 && { labels }) }
}

describe('the head of a run', () => {
  it('is new for classes that are not the model’s', () => {
    const wanted = { head: 'new', classes: 3, labels: ['oak', 'birch', 'pine'] }
    assert.deepEqual(planned(own, deit), wanted)
    assert.deepEqual(planned(data([0, 1], ['tench', 'my dog']), deit), {
      head: 'new',
      classes: 2,
      labels: ['tench', 'my dog'],
    })
    assert.deepEqual(planned(own, undefined), wanted)
  })

  it('is kept where every class is one of the model’s', () => {
    const kept = { head: 'keep', classes: 1000 }
    assert.deepEqual(planned(data([0, 1], ['tench', 'n02102040']), deit), kept)
    assert.deepEqual(planned(data([0, 217, 999]), deit), kept) // numbers with gaps: some of ImageNet's
    assert.deepEqual(planned(own, unnamed), { head: 'keep', classes: 3 })
  })

  it('is new where numbers run from 0 without a gap and end before the model’s', () => {
    assert.deepEqual(planned(data([0, 1, 2, 1]), deit), { head: 'new', classes: 3 })
    assert.deepEqual(planned(data([0, 1, 2, 3]), unnamed), { head: 'new', classes: 4 })
    assert.deepEqual(planned(data([0, 1, 2]), unnamed), { head: 'keep', classes: 3 })
  })

  it('is what the request says', () => {
    assert.deepEqual(planned(data([0, 1], ['tench', 'goldfish']), deit, { head: 'new' }).classes, 2)
    assert.deepEqual(planned(data([0, 1, 2]), deit, { head: 'keep' }), { head: 'keep', classes: 1000 })
    assert.deepEqual(planned(data([0, 1]), deit, { classes: 5 }), { head: 'new', classes: 5 })
    const labels = ['a', 'b', 'c']
    assert.deepEqual(planned(data([0, 1]), deit, { labels }), { head: 'new', classes: 3, labels })
    assert.deepEqual(planned(data([0, 1]), unnamed, { labels }), { head: 'keep', classes: 3, labels })
    assert.deepEqual(planned(data([0, 1]), { ...unnamed, labels: ['b', 'a', 'c'] }, { labels }).head, 'new')
  })

  it('is refused where the request contradicts itself or the data', () => {
    const refused = (from: Dataset, request: ClassRequest, message: string) =>
      assert.throws(() => planClasses(request, from, deit), new InputError(message))
    refused(own, { classes: 2 }, '--classes 2: data names 3; --labels FILE names all of them')
    refused(data([0, 4]), { classes: 3 }, '--classes 3: wanted at least 5, as the labels of data go from 0 to 4')
    refused(own, { labels: ['a', 'b'], classes: 3 }, '--classes 3: wanted 2, as many as --labels names')
    refused(own, { head: 'keep', classes: 3 }, '--head keep: deit has 1000 classes, found 3 in --classes')
    refused(data([0], ['one']), {}, 'data: wanted pictures of two classes at least, found one')
  })
})
