import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { needs, sharedPath } from '../../test/support/shared.js'
import { imagenetLabels } from './imagenet.js'
import { imagenetSynsets } from './imagenet-synsets.js'
import { matchLabels } from './match.js'

const meant = (names: readonly string[], labels: readonly string[] = imagenetLabels) => matchLabels(names, labels)

test('a class answers to its name, its synonyms and its WordNet id, however they are written', () => {
  const names = ['tench', 'Carassius_auratus', 'n01484850', 'n01491361_tiger_shark', 'Gas-Pump', 'english springer']
  assert.deepEqual(meant(names), { indices: [0, 1, 2, 3, 571, 217], unknown: [], ambiguous: [] })
  assert.deepEqual(meant(['crane (machine)', 'crane-n02012849']).indices, [517, 134])
})

test('a name that several classes bear is told, with the classes', () => {
  const { indices, ambiguous } = meant(['crane', 'zebra'])
  assert.deepEqual(indices, [-1, 340])
  assert.deepEqual(ambiguous, [{ name: 'crane', classes: [134, 517] }])
})

test('two names of one class are told', () => {
  const { indices, ambiguous } = meant(['tench', 'n01440764'])
  assert.deepEqual(indices, [-1, -1])
  assert.deepEqual(
    ambiguous.map(({ name }) => name),
    ['tench', 'n01440764'],
  )
})

test('names of no class are told', () => {
  assert.deepEqual(meant(['zebra', 'my cat', '12']), {
    indices: [340, -1, -1],
    unknown: ['my cat', '12'],
    ambiguous: [],
  })
})

test('numbers are class numbers where they are no names', () => {
  assert.deepEqual(meant(['0', '007', '999']).indices, [0, 7, 999])
  assert.deepEqual(meant(['0', '1000']).unknown, ['0', '1000'])
  assert.deepEqual(meant(['2', '1'], ['1', '2', '3']).indices, [1, 0]) // labels of digits come first
})

test('labels of other makers are known as ImageNet', () => {
  const wordnet = imagenetSynsets.trim().split('\n')
  const synonyms = wordnet.map((line) => line.slice(9)) // Hugging Face: `tench, Tinca tinca`
  assert.deepEqual(meant(['Tinca tinca', 'n02391049'], synonyms).indices, [0, 340])
  const ids = wordnet.map((line) => `n${line.slice(0, 8)}`)
  assert.deepEqual(meant(['zebra'], ids).indices, [340])
  assert.deepEqual(meant(['n02391049'], ['horse', 'zebra']).indices, [-1]) // and others are not
})

const classes = sharedPath('data/imagenet/classes.txt')

test("every class has the list's WordNet id and synonyms", needs(classes, 'imagenet/classes.txt'), () => {
  const lines = readFileSync(classes as string, 'utf8').trim()
  assert.deepEqual(
    imagenetSynsets.trim().split('\n'),
    lines.split('\n').map((line) => line.slice(1).replace('\t', ' ')),
  )
  const ids = lines.split('\n').map((line) => line.slice(0, 9))
  assert.deepEqual(
    meant(ids).indices,
    Array.from(ids, (_, i) => i),
  )
})
