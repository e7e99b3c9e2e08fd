/** Every operation against what Pillow made of the same picture: equal in every byte. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { PerChannel } from '../preprocess.js'
import type { RgbImage } from '../resample.js'
import * as colors from './color.js'
import * as geometry from './geometry.js'

const golden = JSON.parse(
  readFileSync(new URL('../../../test/golden/augment/pillow.json', import.meta.url), 'utf8'),
) as {
  width: number
  height: number
  fill: PerChannel
  input: string
  cases: Record<string, string>
}
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
const image: RgbImage = { width: golden.width, height: golden.height, data: bytes(golden.input) }

type Operation = (image: RgbImage, amount: number, fill: PerChannel) => RgbImage
const operations = { ...colors, ...geometry } as unknown as Record<string, Operation>

test('the golden file covers every operation', () => {
  const covered = new Set(Object.keys(golden.cases).map((name) => name.split(' ')[0]))
  assert.deepEqual(covered, new Set(Object.keys(operations).filter((name) => name !== 'affine')))
})

for (const [name, expected] of Object.entries(golden.cases)) {
  const [operation = '', amount] = name.split(' ')
  test(`${name} has Pillow's bytes`, () => {
    const { data } = (operations[operation] as Operation)(image, Number(amount), golden.fill)
    const wanted = bytes(expected)
    const wrong = data.filter((value, i) => value !== wanted[i]).length
    assert.equal(wrong, 0, `${wrong} of ${wanted.length} bytes differ`)
  })
}
