import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import sharp from 'sharp'
import { temporaryFolder } from '../../test/support/folder.js'
import { type Encoding, encode, encoders, HEIGHT, rgb, WIDTH } from '../../test/support/pictures.js'
import { tiff } from '../../test/support/tiff.js'
import { decodeImage } from './decode.js'
import type { RgbImage } from './resample.js'

const folder = temporaryFolder()

/** Mean difference in levels. */
function difference(a: RgbImage['data'], b: Uint8Array): number {
  assert.equal(a.length, b.length)
  return b.reduce((sum, value, i) => sum + Math.abs(value - (a[i] as number)), 0) / b.length
}

/** A colour's grey in libvips. */
const grey = await sharp(rgb, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
  .toColourspace('b-w')
  .raw()
  .toBuffer()
const greyRgb = Uint8Array.from(rgb, (_, i) => grey[Math.trunc(i / 3)] as number)

describe('decodeImage', () => {
  const exact: Encoding[] = [
    'png',
    'png interlaced',
    'png alpha',
    'png 16-bit',
    'webp lossless',
    'webp alpha',
    'tiff',
    'tiff lzw',
    'tiff 16-bit',
  ]
  for (const encoding of exact) {
    it(`reads ${encoding} to the stored values`, async () => {
      const image = await decodeImage(await encode(encoding))
      assert.deepEqual([image.width, image.height], [WIDTH, HEIGHT])
      assert.deepEqual(Uint8Array.from(image.data), rgb)
    })
  }

  const lossy: [Encoding, number, Uint8Array][] = [
    ['png palette', 4, rgb],
    ['png grey', 0, greyRgb],
    ['png 16-bit grey', 1, greyRgb],
    ['jpeg', 1.5, rgb],
    ['jpeg progressive', 4, rgb],
    ['jpeg grey', 1.5, greyRgb],
    ['webp', 6, rgb],
    ['avif', 1.5, rgb],
    ['gif', 6, rgb],
    ['tiff jpeg', 2, rgb],
  ]
  for (const [encoding, levels, expected] of lossy) {
    it(`reads ${encoding}`, async () => {
      const image = await decodeImage(await encode(encoding))
      const mean = difference(image.data, expected)
      assert.ok(mean <= levels, `mean difference ${mean}`)
    })
  }

  it('leaves colours as they are stored, whatever profile they come with', async () => {
    const stored = await encoders['png wide gamut']().raw().toBuffer()
    assert.notDeepEqual(Uint8Array.from(stored), rgb)
    assert.deepEqual(Uint8Array.from((await decodeImage(await encode('png wide gamut'))).data), Uint8Array.from(stored))
  })

  it('covers every encoding', () => {
    const covered = new Set<string>([
      ...exact,
      ...lossy.map(([encoding]) => encoding),
      'jpeg cmyk',
      'tiff cmyk',
      'png wide gamut',
    ])
    assert.deepEqual(
      Object.keys(encoders).filter((encoding) => !covered.has(encoding)),
      [],
    )
  })

  it('mixes inks as Pillow does', async () => {
    // cyan, magenta, yellow, black; the colours are Image.frombytes('CMYK', …).convert('RGB') of Pillow 9.4.
    const inks = Uint8Array.from([
      0, 0, 0, 0, 255, 0, 0, 0, 10, 200, 30, 40, 128, 128, 128, 128, 1, 2, 3, 254, 90, 0, 255, 77,
    ])
    const file = tiff({ width: 6, height: 1, photometric: 5, samples: 4, bits: 8 }, inks)
    const colours = [255, 255, 255, 0, 255, 255, 207, 46, 190, 63, 63, 63, 1, 1, 1, 115, 178, 0]
    assert.deepEqual([...(await decodeImage(file)).data], colours)
  })

  for (let orientation = 1; orientation <= 8; orientation++) {
    it(`turns by EXIF orientation ${orientation} when asked to`, async () => {
      const file = new Uint8Array(await encoders.jpeg().withMetadata({ orientation }).toBuffer())
      const stored = await decodeImage(file)
      const turned = await decodeImage(file, { orient: true })
      assert.deepEqual([stored.width, stored.height], [WIDTH, HEIGHT])
      const [w, h] = [WIDTH - 1, HEIGHT - 1]
      // EXIF 2.3, tag 0x0112: where the turned picture's (x, y) lies in the stored one.
      const from = (x: number, y: number): number[] =>
        [
          [x, y],
          [w - x, y],
          [w - x, h - y],
          [x, h - y],
          [y, x],
          [y, h - x],
          [w - y, h - x],
          [w - y, x],
        ][orientation - 1] ?? []
      assert.deepEqual([turned.width, turned.height], orientation > 4 ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT])
      const expected = Uint8Array.from(turned.data, (_, i) => {
        const [x, y] = from(Math.trunc(i / 3) % turned.width, Math.trunc(i / 3 / turned.width)) as [number, number]
        return stored.data[(y * WIDTH + x) * 3 + (i % 3)] as number
      })
      assert.deepEqual(Uint8Array.from(turned.data), expected)
    })
  }

  it('reads the first frame of an animation', async () => {
    const pages = Buffer.concat([Buffer.alloc(8 * 8 * 3, 255), Buffer.alloc(8 * 8 * 3, 0)])
    for (const format of ['gif', 'webp'] as const) {
      const raw = { width: 8, height: 16, channels: 3, pageHeight: 8 } as const
      const file = await sharp(pages, { raw }).toFormat(format, { loop: 0 }).toBuffer()
      const image = await decodeImage(file)
      assert.deepEqual([image.width, image.height], [8, 8])
      assert.ok(image.data.every((value) => value === 255))
    }
  })

  it('reads a picture of one pixel', async () => {
    const raw = { width: 1, height: 1, channels: 3 } as const
    const path = folder.write(
      'one.png',
      await sharp(Uint8Array.of(1, 2, 3), { raw })
        .png()
        .toBuffer(),
    )
    assert.deepEqual([...(await decodeImage(path)).data], [1, 2, 3])
  })
})

describe('decodeImage refuses', () => {
  const refused = (path: string, reason: RegExp) =>
    assert.rejects(decodeImage(path), (error: Error) => {
      assert.equal(error.name, 'InputError')
      assert.ok(error.message.startsWith(`${path}: `), error.message)
      assert.match(error.message, reason)
      assert.ok(!error.message.includes('\n'))
      return true
    })

  it('what is not there, and what is not a file', async () => {
    await refused(join(folder.path, 'none.jpg'), /: no such file$/)
    await refused(folder.path, /: is a folder, not a picture$/)
    const pipe = join(folder.path, 'pipe.jpg')
    execFileSync('mkfifo', [pipe])
    await refused(pipe, /: not a regular file$/)
  })

  it('what is not a picture', async () => {
    await refused(folder.write('empty.jpg', ''), /: the file is empty$/)
    await refused(folder.write('text.jpg', 'a photograph'), /: not a picture \(JPEG, PNG, WebP, AVIF, GIF or TIFF\)$/)
    await refused(folder.write('drawing.png', '<svg xmlns="http://www.w3.org/2000/svg"/>'), /: not a picture/)
    mkdirSync(join(folder.path, 'sub'))
    await refused(join(folder.path, 'sub', 'none.png'), /no such file/)
  })

  for (const encoding of Object.keys(encoders) as Encoding[]) {
    it(`${encoding} cut short`, async () => {
      const file = await encode(encoding)
      for (const part of [0.3, 0.6, 0.9]) {
        await refused(folder.write('cut', file.subarray(0, Math.trunc(file.length * part))), /damaged or unsupported/)
      }
    })
  }

  it('more pixels than PIL reads, by the header', async () => {
    const file = await encode('png')
    const view = new DataView(file.buffer)
    view.setUint32(16, 50_000)
    view.setUint32(20, 50_000)
    view.setUint32(29, crcOf(file.subarray(12, 29)))
    const before = process.memoryUsage().rss
    await refused(folder.write('huge.png', file), /: 50000×50000 pixels, more than the 178956970 a picture may have$/)
    assert.ok(process.memoryUsage().rss - before < 64 * 2 ** 20)
  })

  it('a JPEG that is too short for its size', async () => {
    const file = await encode('jpeg progressive')
    const frame = file.findIndex((byte, i) => byte === 0xff && file[i + 1] === 0xc2)
    new DataView(file.buffer).setUint32(frame + 5, 0x3000_3000)
    await refused(folder.write('short.jpg', file), /bytes cannot hold 12288×12288 pixels/)
  })
})

/** CRC-32 as in PNG (ISO 3309). */
function crcOf(bytes: Uint8Array): number {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}
