/**
 * Picture files to 8-bit RGB, through sharp (libvips), with the conventions of PIL's `convert('RGB')`, which
 * torchvision's data sets and therefore the published accuracies rest on:
 *
 * - alpha is dropped, not composited: the colour under a transparent pixel stays as it was stored;
 * - ICC profiles are ignored: the stored values are taken as sRGB;
 * - CMYK is (255 - ink)(255 - black)/255, without a printing profile;
 * - of 16 bits the high byte is taken; palettes and grey are expanded; of an animation the first frame is read.
 *
 * Two known differences: PIL clips 16-bit grey at 255 instead of scaling it, which makes nearly every such picture
 * white, and gives transparent GIF pixels their palette colour where libvips gives black.
 */

import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { fail, InputError } from '../errors.js'
import { fileError } from '../files.js'
import { MAX_FILE_BYTES } from './fetch.js'
import { jpegFrame, type PictureFormat, pictureFormat } from './format.js'
import { MAX_PIXELS, toThreeChannels } from './pixels.js'
import type { RgbImage } from './resample.js'
import { type Sharp, type SharpOptions, sharp } from './sharp.js'

export { MAX_FILE_BYTES, MAX_PIXELS }

/** Options of {@link decodeImage}. */
export interface DecodeOptions {
  /** Turn the picture as its EXIF orientation says. Off: as torchvision's data sets see it. */
  readonly orient?: boolean
  /** What messages call the picture; its path when left out. */
  readonly name?: string
}

/**
 * Decodes a JPEG, PNG, WebP, AVIF, GIF or TIFF picture.
 *
 * @param source a path, or the bytes of the file
 * @throws InputError naming the file: no such file, not a picture, damaged or cut short, more than {@link MAX_PIXELS}
 *   pixels (by the header, before memory is taken)
 */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<RgbImage> {
  const name = options.name ?? (typeof source === 'string' ? source : 'picture')
  const bytes = typeof source === 'string' ? readPictureFile(source, name) : source
  if (bytes.length === 0) fail(`${name}: the file is empty`)
  const format = pictureFormat(bytes) ?? fail(`${name}: not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)`)
  if (format === 'JPEG') checkJpegSize(bytes, name)
  try {
    return await decode(bytes, format, options.orient ?? false)
  } catch (error) {
    if (error instanceof InputError) throw error
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    if (reason.includes('pixel limit')) await refuseSize(bytes, name)
    fail(`${name}: damaged or unsupported ${format} file (${reason})`)
  }
}

/**
 * The content of a picture file. Synchronous: for small files that is several times faster than waiting for promises.
 *
 * @throws InputError starting with `name`
 */
export function readPictureFile(path: string, name = path): Uint8Array {
  try {
    // Asked before opening: opening a pipe would wait for its writer.
    const found = statSync(path)
    if (found.isDirectory()) fail(`${name}: is a folder, not a picture`)
    if (!found.isFile()) fail(`${name}: not a regular file`)
    const file = openSync(path, 'r')
    try {
      const { size } = fstatSync(file)
      if (size > MAX_FILE_BYTES) fail(`${name}: ${size} bytes, more than the ${MAX_FILE_BYTES} a picture may have`)
      return readRange(file, 0, size)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw fileError(error, name)
  }
}

/** `length` bytes of an open file from `position` on; fewer when it ends before. */
export function readRange(file: number, position: number, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(length)
  let done = 0
  while (done < length) {
    const count = readSync(file, bytes, done, length - done, position + done)
    if (count === 0) break
    done += count
  }
  return bytes.subarray(0, done)
}

/**
 * An entropy-coded JPEG block of 64 values takes a bit at least, so a few bytes cannot hold the millions of pixels they
 * announce; a progressive file would still make the decoder take six bytes for each of them.
 */
function checkJpegSize(bytes: Uint8Array, name: string): void {
  const frame = jpegFrame(bytes)
  if (frame && frame.width * frame.height > bytes.length * 8 * 64) {
    fail(`${name}: damaged JPEG file (${bytes.length} bytes cannot hold ${frame.width}×${frame.height} pixels)`)
  }
}

const settings = { failOn: 'error', limitInputPixels: MAX_PIXELS, ignoreIcc: true, sequentialRead: true } as const

async function decode(bytes: Uint8Array, format: PictureFormat, orient: boolean): Promise<RgbImage> {
  const open = (extra: SharpOptions = {}): Sharp => sharp(bytes, { ...settings, autoOrient: orient, ...extra })
  const inks = await isCmyk(bytes, format, open)
  const pipeline = inks ? open().pipelineColourspace('cmyk').toColourspace('cmyk') : open().removeAlpha()
  const { data, info } = await pipeline.raw().toBuffer({ resolveWithObject: true })
  const rgb = inks ? cmykToRgb(data, info.channels) : toThreeChannels(data, info.channels)
  return { width: info.width, height: info.height, data: rgb }
}

/** Only JPEG and TIFF can hold inks. The JPEG header is read here, because asking libvips costs 0.2 ms a picture. */
async function isCmyk(bytes: Uint8Array, format: PictureFormat, open: () => Sharp): Promise<boolean> {
  if (format === 'JPEG') return jpegFrame(bytes)?.components === 4
  if (format === 'TIFF') return (await open().metadata()).space === 'cmyk'
  return false
}

/** Pillow's `cmyk2rgb`: 0 is no ink. libvips has undone the inversion of Adobe's files. */
function cmykToRgb(inks: Uint8Array, channels: number): Uint8Array {
  const pixels = inks.length / channels
  const rgb = new Uint8Array(pixels * 3)
  for (let i = 0, p = 0, o = 0; i < pixels; i++, p += channels, o += 3) {
    const light = 255 - (inks[p + 3] as number)
    for (let c = 0; c < 3; c++) {
      const shadow = (inks[p + c] as number) * light + 128
      rgb[o + c] = light - (((shadow >> 8) + shadow) >> 8)
    }
  }
  return rgb
}

async function refuseSize(bytes: Uint8Array, name: string): Promise<never> {
  const size = await sharp(bytes, { limitInputPixels: false }).metadata()
  fail(`${name}: ${size.width}×${size.height} pixels, more than the ${MAX_PIXELS} a picture may have`)
}
