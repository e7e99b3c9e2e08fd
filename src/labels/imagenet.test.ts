import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { imagenetLabels } from './imagenet.js'

test('there are 1000 class names, all different even without regard to case', () => {
  assert.equal(imagenetLabels.length, 1000)
  assert.equal(new Set(imagenetLabels.map((name) => name.toLowerCase())).size, 1000)
  for (const name of imagenetLabels) assert.match(name, /^[a-z][a-z' -]*( \([a-z ]+\))?$/i)
})

test('class names stand at their index', () => {
  const known: Record<number, string> = {
    0: 'tench',
    1: 'goldfish',
    2: 'great white shark',
    99: 'goose',
    134: 'crane (bird)',
    207: 'golden retriever',
    281: 'tabby cat',
    340: 'zebra',
    388: 'giant panda',
    404: 'airliner',
    517: 'crane (machine)',
    609: 'jeep',
    761: 'remote control',
    817: 'sports car',
    849: 'teapot',
    954: 'banana',
    963: 'pizza',
    999: 'toilet tissue',
  }
  for (const [index, name] of Object.entries(known)) assert.equal(imagenetLabels[Number(index)], name)
})

const classes = join(process.env.IDLEVIT_SHARED ?? '../shared', 'data/imagenet/classes.txt')

test('every name is one of the synonyms of its WordNet entry', {
  skip: !existsSync(classes) && `no ${classes} here`,
}, () => {
  const synonyms = readFileSync(classes, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (line.split('\t')[1] ?? '').toLowerCase().split(', '))
  assert.equal(synonyms.length, 1000)
  const isShared = (name: string) => synonyms.filter((entry) => entry.includes(name)).length > 1
  for (const [index, label] of imagenetLabels.entries()) {
    const [name = '', remark] = label.toLowerCase().split(' (')
    assert.ok(synonyms[index]?.includes(name), `class ${index}: '${label}' is none of: ${synonyms[index]?.join(', ')}`)
    if (remark !== undefined) assert.ok(isShared(name), `class ${index}: '${name}' needs no remark`)
  }
})
