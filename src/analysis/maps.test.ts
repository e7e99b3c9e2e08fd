import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import sharp from 'sharp'
import { attentionPng, jpeg, tokenSvg } from './maps.js'

/** A picture of one grey with four tokens: computed, idle, returned, computed. Gives the pixels of a rectangle. */
async function drawn(grey: number) {
  const side = 64
  const photo = await jpeg(new Uint8Array(side * side * 3).fill(grey), side)
  const svg = tokenSvg({ photo, side, states: ['selected', 'idle', 'returned', 'selected'] })
  const png = await sharp(Buffer.from(svg)).removeAlpha().png().toBuffer()
  return async (left: number, top: number, width = 1, height = 1) => {
    const part = await sharp(png).extract({ left, top, width, height }).toBuffer()
    const { channels } = await sharp(part).stats()
    const each = (of: 'mean' | 'min' | 'max') => channels.map((channel) => channel[of])
    return { mean: each('mean'), min: each('min'), max: each('max') }
  }
}

describe('tokenSvg', () => {
  it('fades idle patches to hatched paper and frames returned ones where they are', async () => {
    const at = await drawn(200)
    assert.deepEqual((await at(0, 0, 30, 30)).mean, [200, 200, 200])
    assert.deepEqual((await at(40, 40, 20, 20)).mean, [200, 200, 200])
    assert.deepEqual((await at(10, 44, 10, 10)).mean, [200, 200, 200]) // inside of the frame
    const [red = 0, , blue = 0] = (await at(16, 35)).mean
    assert.ok(red > blue + 100, `the frame is amber, found ${[red, blue]}`)
  })

  it('tells idle patches on black and on white pictures', async () => {
    for (const grey of [0, 255]) {
      const { min, max } = await (await drawn(grey))(34, 2, 28, 28)
      const [dark = 0, bright = 0] = [min[0], max[0]]
      assert.ok(bright > 190 && dark < 140, `on ${grey}: from ${dark} to ${bright}`)
    }
  })

  it('embeds nothing where nothing idles but the photograph', async () => {
    const photo = await jpeg(new Uint8Array(3 * 16), 4)
    assert.doesNotMatch(tokenSvg({ photo, side: 4, states: ['selected'] }), /<path/)
  })
})

describe('attentionPng', () => {
  const read = async (kept: number) => {
    const rows = 5
    const values = Float32Array.from({ length: rows * rows }, (_, i) => (i === rows + 1 ? 16 / rows : 1e-9))
    const { png, side } = await attentionPng({ block: 3, prefix: 1, kept, rows, order: [0, 1, 2, 3, 4], values })
    const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true })
    assert.equal(info.width, side)
    return (x: number, y: number) => {
      const start = (Math.floor(y * side) * side + Math.floor(x * side)) * 3
      return [...data.subarray(start, start + 3)]
    }
  }

  it('is dark for little attention, bright for much, with lines behind the selected tokens', async () => {
    const at = await read(2)
    assert.deepEqual(at(0.1, 0.1), [68, 1, 84]) // the ends of viridis
    assert.deepEqual(at(0.3, 0.3), [253, 231, 37])
    assert.deepEqual(at(0.6, 0.9), [255, 255, 255])
    assert.deepEqual(at(0.9, 0.6), [255, 255, 255])
  })

  it('has no lines where every token is selected', async () => {
    const at = await read(4)
    assert.deepEqual(at(0.999, 0.999), [68, 1, 84])
  })
})
