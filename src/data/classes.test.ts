import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { InputError } from '../errors.js'
import { imagenetLabels } from '../labels/imagenet.js'
import { inModelClasses, type ModelClasses } from './classes.js'
import type { Dataset } from './dataset.js'

const data = (labels: readonly number[], classNames?: readonly string[]): Dataset => ({
  name: 'data',
  samples: labels.map((label, i) => ({ name: `${i}.png`, label })),
  ...(classNames && { classNames }),
  source: () => ({ kind: 'bytes', bytes: new Uint8Array() }),
  close: async () => {},
})

const pets: ModelClasses = { name: 'pets', classes: 3, labels: ['cat', 'dog', 'guinea pig'] }

function read(from: Dataset, model: ModelClasses) {
  const { samples, classNames, warnings = [] } = inModelClasses(from, model)
  return { labels: samples.map(({ label }) => label), classNames, told: warnings }
}

const refused = (from: Dataset, model: ModelClasses, message: string) =>
  assert.throws(() => inModelClasses(from, model), new InputError(message))

describe('labels of a data set as classes of a model', () => {
  it('go by name where a class is missing or the order is another', () => {
    assert.deepEqual(read(data([0, 1, 1], ['Guinea_Pig', 'cat']), pets), {
      labels: [2, 0, 0],
      classNames: pets.labels,
      told: [],
    })
    const imagenet = { name: 'deit', classes: 1000, labels: imagenetLabels }
    assert.deepEqual(read(data([0, 1, 2], ['church', 'n02102040', 'tench']), imagenet).labels, [497, 217, 0])
  })

  it('go by number where the data has numbers', () => {
    assert.deepEqual(read(data([2, 0]), pets).labels, [2, 0])
    assert.deepEqual(read(data([0, 1], ['2', '1']), pets).labels, [2, 1])
    refused(data([0, 3]), pets, 'data: 1.png has label 3, but pets knows classes 0 to 2')
  })

  it('are refused by name where the model has no such class', () =>
    refused(
      data([0, 1, 2], ['cat', 'cow', 'sheep']),
      pets,
      "data: 2 of 3 classes are none of the model's: cow, sheep; pets knows 3 classes (cat, dog, guinea pig)",
    ))

  it('are refused where two names are one class', () =>
    refused(
      data([0, 1], ['cat', 'CAT']),
      pets,
      "data: 'cat' and another class of the data are both class 0 cat; pets knows 3 classes (cat, dog, guinea pig)",
    ))

  it('go by order, and that is told, only where the model has no names and as many classes', () => {
    const unnamed = { name: 'm', classes: 2 }
    const { labels, told } = read(data([1, 0], ['cow', 'sheep']), unnamed)
    assert.deepEqual(labels, [1, 0])
    assert.deepEqual(told, ['data: m has no class names, so its classes are taken in this order: cow, sheep'])
    refused(data([0], ['cow']), unnamed, 'data: 1 classes (cow), but m has 2 without names: --labels FILE names them')
  })
})
