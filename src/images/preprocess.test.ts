import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { golden } from '../../test/support/shared.js'
import { parseSafetensors } from '../weights/safetensors.js'
import { decodeImage } from './decode.js'
import { imagenetPreprocess, normalise, preprocessImage } from './preprocess.js'
import { resizeCrop } from './resample.js'

const POINT_STRIDE = 293 // the reference files hold every 293rd value

for (const [kind, ending] of [
  ['png', 'png'],
  ['jpeg', 'jpg'],
] as const) {
  describe(`preprocessing a ${kind}`, () => {
    const { state } = parseSafetensors(readFileSync(golden(`images/preprocess-${kind}.safetensors`)))
    it('gives the normalised values of torchvision', async () => {
      let compared = 0
      for (const [key, { data }] of state) {
        const [, name, size, what] = key.split('.')
        if (what !== 'points') continue
        const preprocess = { ...imagenetPreprocess(), resize: Number(size) }
        const tensor = preprocessImage(await decodeImage(golden(`images/${name}.${ending}`)), preprocess)
        const points = tensor.filter((_, i) => i % POINT_STRIDE === 0)
        const level = 1 / 255 / 0.224
        const off = points.reduce((sum, value, i) => sum + Math.abs(value - Number(data[i])), 0) / points.length
        // Where the decoder is exact too the float32 values are the same, to the bit.
        if (kind === 'png') assert.deepEqual(points, Float32Array.from(data as Float32Array), key)
        else assert.ok(off <= 0.6 * level, `${key}: ${off}`)
        compared++
      }
      assert.equal(compared, 10)
    })

    it('gives the 8-bit crops of torchvision', async () => {
      for (const [key, { data }] of state) {
        const [, name, size, what] = key.split('.')
        if (what !== 'crop_u8') continue
        const crop = resizeCrop(await decodeImage(golden(`images/${name}.${ending}`)), Number(size), 224)
        const off = crop.map((value, i) => Math.abs(value - Number(data[i])))
        assert.ok(off.reduce((a, b) => a + b, 0) / off.length <= (kind === 'png' ? 0 : 0.6), key)
      }
    })
  })
}

describe('normalise', () => {
  it('separates the channels: [S, S, 3] to [3, S, S]', () => {
    const preprocess = { resize: 2, crop: 2, mean: [0, 0.5, 0], std: [1, 0.5, 0.25] } as const
    const rgb = Uint8Array.from([0, 0, 0, 255, 255, 255, 51, 0, 51, 0, 255, 0])
    assert.deepEqual(
      [...normalise(rgb, preprocess)],
      [0, 1, Math.fround(0.2), 0, -1, 1, -1, 1, 0, 4, Math.fround(0.8), 0],
    )
  })
})

describe('imagenetPreprocess', () => {
  it('scales the shorter side with the picture size', () => {
    assert.deepEqual(
      [224, 384, 160, 32].map((size) => imagenetPreprocess(size).resize),
      [256, 439, 183, 37],
    )
  })
})
