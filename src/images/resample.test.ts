import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { golden } from '../../test/support/shared.js'
import { createRandom } from '../random.js'
import { parseSafetensors } from '../weights/safetensors.js'
import { decodeImage } from './decode.js'
import { type Interpolation, type RgbImage, resizeBox, resizeCrop } from './resample.js'

/** v(x, y, c) = (37x + 91y + 53c + 5xy) mod 256: what the literals below were computed from with Pillow 9.4. */
function patterned(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < data.length; i++) {
    const x = Math.trunc(i / 3) % width
    const y = Math.trunc(i / 3 / width)
    data[i] = 37 * x + 91 * y + 53 * (i % 3) + 5 * x * y
  }
  return { width, height, data }
}

function noise(width: number, height: number, seed: number): RgbImage {
  let state = seed
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    data[i] = state >>> 24
  }
  return { width, height, data }
}

function cut(image: RgbImage, left: number, top: number, width: number, height: number): Uint8Array {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    const at = ((top + y) * image.width + left) * 3
    data.set(image.data.subarray(at, at + width * 3), y * width * 3)
  }
  return data
}

describe('resizeCrop', () => {
  const { state } = parseSafetensors(readFileSync(golden('images/preprocess-png.safetensors')))
  const crops = [...state].filter(([key]) => key.endsWith('crop_u8'))
  assert.equal(crops.length, 5)
  for (const [key, tensor] of crops) {
    it(`has the bits of Pillow and torchvision: ${key}`, async () => {
      const [, name, size] = key.split('.')
      const picture = await decodeImage(golden(`images/${name}.png`))
      assert.deepEqual(resizeCrop(picture, Number(size), 224), Uint8Array.from(tensor.data as Uint8Array))
    })
  }

  it('computes the same values for the crop as for the whole', () => {
    const sizes = fc.integer({ min: 1, max: 40 })
    fc.assert(
      fc.property(sizes, sizes, sizes, sizes, fc.nat(), (width, height, resize, crop, seed) => {
        const image = noise(width, height, seed)
        const short = Math.min(width, height)
        const wide = Math.trunc((resize * width) / short)
        const high = Math.trunc((resize * height) / short)
        fc.pre(crop <= resize && wide * high < 10_000)
        const whole = resizeBox(image, { left: 0, top: 0, width, height }, wide, high)
        const even = (x: number) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : x)
        const part = cut(
          { width: wide, height: high, data: whole },
          even((wide - crop) / 2),
          even((high - crop) / 2),
          crop,
          crop,
        )
        assert.deepEqual(resizeCrop(image, resize, crop), part)
      }),
      { numRuns: 200 },
    )
  })

  it('squashes the whole picture where it is told to', () => {
    // Image.resize((6, 6), BILINEAR).crop((1, 1, 5, 5)) of Pillow 12.3, and Image.resize((4, 4), BICUBIC)
    const image = patterned(13, 9)
    assert.deepEqual(
      [...resizeCrop(image, 6, 4, { mode: 'squash', interpolation: 'bilinear' })],
      [111, 112, 127, 115, 122, 111, 158, 110, 131, 142, 122, 141, 132, 129, 116, 114, 122, 135, 151, 140, 136, 133, 120, 117, 116, 131, 140, 159, 146, 136, 151, 144, 134, 145, 132, 123, 134, 128, 108, 140, 132, 123, 149, 137, 128, 111, 152, 140], // biome-ignore format: one case, one line
    )
    assert.deepEqual(
      [...resizeCrop(image, 4, 4, { mode: 'squash' })],
      [104, 129, 143, 120, 127, 133, 123, 110, 129, 144, 142, 118, 120, 127, 122, 123, 121, 125, 148, 128, 128, 132, 124, 137, 110, 141, 120, 146, 139, 135, 150, 144, 130, 117, 136, 122, 117, 141, 130, 124, 133, 106, 132, 136, 133, 116, 117, 159], // biome-ignore format: one case, one line
    )
  })

  it('fills up with zeros around a picture smaller than the crop', () => {
    const white = { width: 4, height: 4, data: new Uint8Array(48).fill(255) }
    const rows = resizeCrop(white, 2, 5).filter((_, i) => i % 3 === 0)
    // torchvision: (5 - 2) // 2 on the left and top, the odd one on the right and bottom.
    const [o, w] = [0, 255]
    assert.deepEqual([...rows], [o, o, o, o, o, o, w, w, o, o, o, w, w, o, o, o, o, o, o, o, o, o, o, o, o])
  })

  it('reads a few rows of an extreme strip, not all of it', () => {
    const strip = { width: 100_000, height: 1, data: new Uint8Array(300_000).fill(7) }
    assert.deepEqual(resizeCrop(strip, 256, 224), new Uint8Array(224 * 224 * 3).fill(7))
  })
})

describe('resizeBox', () => {
  const image = patterned(13, 9)
  const cases: [string, [number, number, number, number], [number, number], number[]][] = [
    // Image.crop(box).resize(size, BICUBIC) of Pillow 9.4
    ['down', [2, 1, 9, 7], [4, 3], [117, 119, 112, 103, 108, 119, 152, 126, 133, 154, 108, 134, 126, 122, 134, 139, 141, 140, 155, 141, 131, 134, 133, 118, 123, 129, 114, 149, 130, 117, 144, 143, 132, 115, 149, 132]], // biome-ignore format: one case, one line
    ['up across, down along', [2, 1, 4, 3], [6, 2], [114, 178, 53, 144, 109, 79, 147, 46, 119, 50, 90, 152, 59, 127, 127, 95, 147, 95, 76, 129, 203, 99, 167, 138, 142, 182, 80, 190, 89, 125, 133, 98, 107, 67, 131, 78]], // biome-ignore format: one case, one line
    ['one pixel wide', [3, 0, 1, 9], [2, 3], [142, 106, 129, 142, 106, 129, 109, 135, 129, 109, 135, 129, 160, 141, 129, 160, 141, 129]], // biome-ignore format: one case, one line
    ['to one pixel', [0, 0, 13, 9], [1, 1], [129, 131, 129]],
  ]
  for (const [name, [left, top, width, height], size, expected] of cases) {
    it(`has the bits of Pillow: ${name}`, () => {
      assert.deepEqual([...resizeBox(image, { left, top, width, height }, ...size)], expected)
    })
  }

  const kernels: [Interpolation, number[], number[]][] = [
    // The cases `down` and `up across, down along` of Pillow 12.3 (BOX, BILINEAR, HAMMING, LANCZOS)
    ['box', [120, 109, 98, 103, 114, 124, 151, 140, 129, 176, 101, 154, 123, 133, 143, 137, 133, 129, 152, 162, 130, 138, 105, 116, 126, 115, 104, 129, 139, 107, 153, 142, 131, 100, 153, 142], [98, 151, 76, 142, 67, 120, 142, 67, 120, 59, 112, 165, 103, 156, 81, 103, 156, 81, 121, 174, 227, 173, 226, 23, 173, 226, 23, 225, 22, 75, 21, 74, 127, 21, 74, 127]], // biome-ignore format: one case, one line
    ['bilinear', [117, 120, 115, 108, 113, 117, 151, 124, 135, 153, 109, 133, 124, 120, 129, 136, 140, 139, 154, 138, 132, 134, 136, 120, 125, 131, 114, 147, 128, 118, 143, 143, 132, 117, 147, 130], [117, 170, 63, 139, 112, 85, 141, 61, 114, 64, 90, 143, 67, 120, 125, 89, 142, 99, 83, 136, 189, 108, 161, 134, 142, 168, 88, 175, 95, 121, 129, 102, 107, 74, 127, 84]], // biome-ignore format: one case, one line
    ['hamming', [114, 115, 113, 104, 124, 111, 159, 122, 138, 157, 106, 146, 121, 114, 130, 137, 140, 150, 157, 138, 133, 138, 131, 118, 130, 121, 111, 144, 128, 121, 151, 138, 132, 112, 149, 138], [132, 185, 53, 154, 114, 75, 171, 44, 97, 38, 86, 139, 56, 109, 126, 77, 130, 112, 93, 146, 199, 118, 171, 132, 145, 193, 66, 193, 66, 113, 127, 88, 105, 60, 113, 95]], // biome-ignore format: one case, one line
    ['lanczos', [116, 120, 110, 102, 102, 122, 151, 128, 130, 152, 109, 132, 127, 123, 136, 140, 145, 139, 158, 138, 131, 133, 135, 119, 122, 130, 113, 151, 130, 118, 142, 143, 133, 116, 150, 129], [106, 180, 48, 147, 106, 75, 143, 39, 129, 45, 87, 162, 54, 138, 126, 105, 151, 91, 72, 118, 211, 88, 172, 140, 145, 187, 79, 201, 93, 128, 136, 95, 110, 65, 139, 74]], // biome-ignore format: one case, one line
  ]
  for (const [interpolation, down, up] of kernels) {
    it(`has the bits of Pillow: ${interpolation}`, () => {
      const resized = (left: number, top: number, width: number, height: number, across: number, along: number) => [
        ...resizeBox(image, { left, top, width, height }, across, along, interpolation),
      ]
      assert.deepEqual(resized(2, 1, 9, 7, 4, 3), down)
      assert.deepEqual(resized(2, 1, 4, 3, 6, 2), up)
    })
  }

  it('has the bits of Pillow: a whole picture, larger', () => {
    const expected = [
      170, 56, 131, 128, 190, 43, 172, 87, 80, 124, 52, 139, 36, 114, 171, 94, 168, 127, 153, 132, 172, 145, 150, 110,
      123, 147, 34, 167, 30, 94,
    ]
    const resized = resizeBox(image, { left: 0, top: 0, width: 13, height: 9 }, 17, 11)
    assert.deepEqual([...resized.subarray(150, 180)], expected)
  })

  it('leaves a picture of the wanted size as it is, and one colour one colour', () => {
    const side = fc.integer({ min: 1, max: 24 })
    fc.assert(
      fc.property(side, side, side, side, fc.integer({ min: 0, max: 255 }), (width, height, w, h, grey) => {
        const box = { left: 0, top: 0, width, height }
        const image = noise(width, height, grey)
        assert.deepEqual(resizeBox(image, box, width, height), image.data)
        const plain = { width, height, data: new Uint8Array(width * height * 3).fill(grey) }
        assert.deepEqual(resizeBox(plain, box, w, h), new Uint8Array(w * h * 3).fill(grey))
      }),
    )
  })

  it('sees nothing outside its box', () => {
    const image = noise(20, 15, 5)
    const alone = { width: 7, height: 6, data: cut(image, 9, 4, 7, 6) }
    assert.deepEqual(
      resizeBox(image, { left: 9, top: 4, width: 7, height: 6 }, 11, 4),
      resizeBox(alone, { left: 0, top: 0, width: 7, height: 6 }, 11, 4),
    )
  })
})

it('a rectangle is covered by the picture at its aspect, and cut out of the middle', () => {
  const [width, height] = [100, 60]
  const random = createRandom(3)
  const image = { width, height, data: Uint8Array.from({ length: 3 * width * height }, () => random.bits() >>> 24) }
  // 60/40 is less than 100/30: the height becomes 40, the width 100 / 1.5 = 66.7, rounded; 67 - 24 leaves 21.5 in front, to even.
  const whole = resizeBox(image, { left: 0, top: 0, width, height }, 67, 40) // [40, 67, 3]
  const rows = Array.from({ length: 36 }, (_, y) => [
    ...whole.subarray(((y + 2) * 67 + 22) * 3, ((y + 2) * 67 + 46) * 3),
  ])
  assert.deepEqual([...resizeCrop(image, [40, 30], [36, 24])], rows.flat())
  const squashed = resizeBox(image, { left: 0, top: 0, width, height }, 30, 40) // [40, 30, 3]
  assert.deepEqual(resizeCrop(image, [40, 30], [40, 30], { mode: 'squash' }), squashed)
})
