import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import sharp from 'sharp'
import { attentionPng, jpeg, tokenSvg } from './maps.js'

describe('tokenSvg', () => {
  it('dims idle patches and outlines returned ones where they are', async () => {
    const side = 64
    const photo = await jpeg(new Uint8Array(side * side * 3).fill(200), side)
    const svg = tokenSvg({ photo, side, states: ['selected', 'idle', 'returned', 'selected'] })
    const { data } = await sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer({ resolveWithObject: true })
    const at = (x: number, y: number) => [...data.subarray((y * side + x) * 3, (y * side + x) * 3 + 3)]
    assert.deepEqual(at(16, 16), [200, 200, 200])
    assert.ok((at(48, 16)[0] as number) < 70)
    assert.deepEqual(at(48, 48), [200, 200, 200])
    assert.deepEqual(at(16, 48), [200, 200, 200]) // inside of the outline
    const [red, , blue] = at(16, 34) as [number, number, number]
    assert.ok(red > blue + 100, `the outline is amber, found ${at(16, 34)}`)
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
