/** Number formats of picture files: to the stored numbers, or refused by name. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type TiffTags, tiff } from '../../test/support/tiff.js'
import { decodeImage } from './decode.js'

/** 2×1 pixels, or what `tags` say. */
const make = (tags: Partial<TiffTags>, data: Uint8Array) =>
  tiff({ width: 2, height: 1, photometric: 1, samples: 1, bits: 8, ...tags }, data)

const littleEndian = (values: readonly number[]) => new Uint8Array(Uint16Array.from(values).buffer)

const decoded = async (file: Uint8Array) => [...(await decodeImage(file)).data]

const grey = (...values: number[]) => values.flatMap((value) => [value, value, value])

describe('TIFF numbers', () => {
  // The upper bytes are those of Image.frombytes('CMYK', …).convert('RGB') of Pillow 9.4, see decode.test.ts.
  it('of 16-bit inks are mixed by their upper bytes', async () => {
    const inks = [0, 0, 0, 0, 10, 200, 30, 40, 128, 128, 128, 128, 90, 0, 255, 77]
    const low = (i: number) => (i * 97 + 200) % 256
    const data = littleEndian(inks.map((ink, i) => ink * 256 + low(i)))
    const file = make({ width: 4, photometric: 5, samples: 4, bits: 16 }, data)
    assert.deepEqual(await decoded(file), [255, 255, 255, 207, 46, 190, 63, 63, 63, 115, 178, 0])
  })

  it('of grey are spread over 8 bits, with black or white at zero', async () => {
    const one = Uint8Array.of(0b0110_0000)
    assert.deepEqual(await decoded(make({ width: 4, bits: 1 }, one)), grey(0, 255, 255, 0))
    assert.deepEqual(await decoded(make({ width: 4, bits: 1, photometric: 0 }, one)), grey(255, 0, 0, 255))
    assert.deepEqual(await decoded(make({ width: 4, bits: 2 }, Uint8Array.of(0b0001_1011))), grey(0, 85, 170, 255))
    assert.deepEqual(await decoded(make({ bits: 4 }, Uint8Array.of(0x3c))), grey(51, 204))
    assert.deepEqual(await decoded(make({ photometric: 0 }, Uint8Array.of(1, 200))), grey(254, 55))
    const wide = littleEndian([0x12ff, 0xfe00])
    assert.deepEqual(await decoded(make({ bits: 16 }, wide)), grey(0x12, 0xfe))
    assert.deepEqual(await decoded(make({ bits: 16, photometric: 0 }, wide)), grey(0xed, 0x01))
    const alpha = { samples: 2, more: { 338: [2] } }
    assert.deepEqual(await decoded(make(alpha, Uint8Array.of(7, 0, 9, 255))), grey(7, 9))
  })

  it('of palettes are its upper bytes', async () => {
    for (const [bits, data] of [
      [1, Uint8Array.of(0b0100_0000)],
      [2, Uint8Array.of(0b0001_0000)],
      [4, Uint8Array.of(0x01)],
      [8, Uint8Array.of(0, 1)],
    ] as const) {
      const colour = (values: readonly number[]) => [...values, ...new Array<number>(2 ** bits - 2).fill(0)]
      const map = [...colour([0x0aff, 0x28ff]), ...colour([0x1400, 0x3200]), ...colour([0x1e80, 0x3c80])]
      const file = make({ bits, photometric: 3, more: { 320: map } }, data)
      assert.deepEqual(await decoded(file), [10, 20, 30, 40, 50, 60], `${bits} bits`)
    }
  })

  it('of RGB are read from planes, without alpha, premultiplied or not', async () => {
    const planes = { photometric: 2, samples: 3, planes: true }
    assert.deepEqual(await decoded(make(planes, Uint8Array.of(1, 2, 3, 4, 5, 6))), [1, 3, 5, 2, 4, 6])
    const wide = littleEndian([0x01ff, 0x0200, 0x03ff, 0x0400, 0x05ff, 0x0600])
    assert.deepEqual(await decoded(make({ ...planes, bits: 16 }, wide)), [1, 3, 5, 2, 4, 6])
    const extra = (kind: number) => ({ photometric: 2, samples: 4, more: { 338: [kind] } })
    const data = Uint8Array.of(100, 50, 0, 255, 100, 50, 0, 200)
    assert.deepEqual(await decoded(make(extra(0), data)), [100, 50, 0, 100, 50, 0])
    assert.deepEqual(await decoded(make(extra(2), data)), [100, 50, 0, 100, 50, 0])
    // 100 · 255/200 and 50 · 255/200
    assert.deepEqual(await decoded(make(extra(1), data)), [100, 50, 0, 127, 63, 0])
  })

  it('are turned by the orientation tag, as Pillow does on loading', async () => {
    const file = make({ width: 3, height: 2, more: { 274: [6] } }, Uint8Array.of(1, 2, 3, 4, 5, 6))
    const image = await decodeImage(file)
    assert.deepEqual([image.width, image.height], [2, 3])
    assert.deepEqual([...image.data], grey(4, 1, 5, 2, 6, 3))
  })

  const refused: [Partial<TiffTags>, string][] = [
    [{ bits: 32, format: 3 }, '32-bit floating-point grey samples'],
    [{ bits: 32, format: 3, photometric: 2, samples: 3 }, '32-bit floating-point RGB samples'],
    [{ bits: 64, format: 3 }, '64-bit floating-point grey samples'],
    [{ bits: 16, format: 3 }, '16-bit floating-point grey samples'],
    [{ bits: 64, format: 6 }, '64-bit complex grey samples'],
    [{ bits: 32 }, '32-bit grey samples'],
    [{ bits: 32, photometric: 2, samples: 3 }, '32-bit RGB samples'],
    [{ bits: 12 }, '12-bit grey samples'],
    [{ bits: 8, format: 2 }, '8-bit signed grey samples'],
    [{ bits: 16, format: 2 }, '16-bit signed grey samples'],
    [{ bits: 16, photometric: 3 }, '16-bit palette samples'],
    [{ photometric: 8, samples: 3 }, 'L*a*b* samples'],
    [{ bits: 16, photometric: 8, samples: 3 }, 'L*a*b* samples'],
    [{ photometric: 6, samples: 3 }, 'YCbCr samples without JPEG compression'],
    [{ photometric: 32803 }, 'camera sensor samples'],
    [{ photometric: 2, samples: 6 }, '6 RGB samples per pixel'],
    [{ photometric: 5, samples: 4, more: { 332: [2] } }, 'inks other than cyan, magenta, yellow and black'],
    [{ photometric: 2, samples: 3, more: { 258: [5, 6, 5] } }, '5, 6, 5 bits per sample'],
  ]
  for (const [tags, what] of refused) {
    it(`of ${what} are refused`, () =>
      assert.rejects(decodeImage(make(tags, new Uint8Array(64)), { name: 'x.tif' }), {
        name: 'InputError',
        message: `x.tif: TIFF of ${what}: not decoded exactly; convert it to RGB of 8 bits`,
      }))
  }
})

describe('other number formats', () => {
  const base64 = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))

  it('transparent GIF pixels keep their palette colour', async () => {
    // Written and read by Pillow 12.3: three colours, and a transparent one.
    const file = base64('R0lGODlhAwACAIEAAAoUHigyPEZQWsiWZCH5BAEAAAMALAAAAAADAAIAAAgJAAEEEDBgQICAADs=')
    const colours = [10, 20, 30, 40, 50, 60, 70, 80, 90, 200, 150, 100, 200, 150, 100, 40, 50, 60]
    assert.deepEqual(await decoded(file), colours)
  })

  for (const [bits, file] of [
    [
      10,
      'AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAOQAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAABAAAAAQAAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x4AAIAAgAAgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAQW1kYXQSAAoIOAR/nAgIAkAyKxAAAPW0ikOQ8UHLHRkGxbCtoncteN87AThS8oSpd6cIanpWUZ107T91u04=',
    ],
    [
      12,
      'AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAOttZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAA5waXRtAAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAAAQAAAQ8AAAA9AAAAKGlpbmYAAAAAAAEAAAAaaW5mZQIAAAAAAQAAYXYwMUNvbG9yAAAAAGppcHJwAAAAS2lwY28AAAAUaXNwZQAAAAAAAAAEAAAABAAAABBwaXhpAAAAAAMMDAwAAAAMYXYxQ4FAYAAAAAATY29scm5jbHgAAgACAACAAAAAF2lwbWEAAAAAAAAAAQABBAECgwQAAABFbWRhdBIACghYBH+NAgIAiDIvEAAA9bSbcGVxYi+e6NsuHNww8Crv3Svw2INWy8qmpAh2EWmSiAmMlV5cPpjuXeA=',
    ],
  ] as const) {
    it(`AVIF of ${bits} bits is read to a level`, async () => {
      // As Pillow 12.3 reads it.
      const rows = [
        [0, 0, 0, 85, 0, 42, 170, 0, 85, 255, 0, 127, 0, 85, 42, 85, 85, 85, 170, 85, 127, 255, 85, 170],
        [
          0, 170, 85, 85, 170, 127, 170, 170, 170, 255, 170, 212, 0, 255, 127, 85, 255, 170, 170, 255, 212, 255, 255,
          255,
        ],
      ].flat()
      const data = await decoded(base64(file))
      assert.equal(data.length, rows.length)
      assert.ok(data.every((value, i) => Math.abs(value - (rows[i] as number)) <= 1))
    })
  }

  it('a JPEG of 12 bits is refused', () => {
    const file = base64(
      '/9j/4AAQSkZJRgABAQAAAQABAAD/wQARDAAEAAQDASIAAhEBAxEB/9oADAMBAAIRAxEAPwC/5ZEt/9k=', //
    )
    return assert.rejects(decodeImage(file, { name: 'x.jpg' }), {
      message: 'x.jpg: JPEG of 12-bit samples: not decoded; convert it to 8 bits',
    })
  })

  const text = (content: string) => new Uint8Array(Buffer.from(content, 'latin1'))
  const box = (brands: string) =>
    text(`\0\0\0${String.fromCharCode(8 + brands.length + 4)}ftyp${brands.slice(0, 4)}\0\0\0\0${brands.slice(4)}`)
  for (const [file, what] of [
    [box('heicmif1'), 'a HEIC picture'],
    [box('mif1heic'), 'a HEIC picture'],
    [box('mp42isom'), 'a video'],
    [text('BM0123456789'), 'a BMP picture'],
    [text('version https://git-lfs.github.com/spec/v1'), 'a Git LFS pointer (git lfs pull fetches the picture)'],
    [text('\n<!DOCTYPE html><html>'), 'a web page'],
    [text('<?xml version="1.0"?><svg/>'), 'an SVG drawing'],
  ] as const) {
    it(`${what} is refused as such`, () =>
      assert.rejects(decodeImage(file, { name: 'x' }), {
        name: 'InputError',
        message: `x: not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF), but ${what}`,
      }))
  }

  it('AVIF is known by any of its brands', async () => {
    await assert.rejects(
      decodeImage(box('mif1avif'), { name: 'x' }),
      /^InputError: x: damaged or unsupported AVIF file/,
    )
  })
})
