/**
 * Picture files to 8-bit RGB, through sharp (libvips), with the conventions of PIL's `convert('RGB')`, which
 * torchvision's data sets and therefore the published accuracies rest on:
 *
 * - alpha is dropped, not composited: the colour under a transparent pixel stays as it was stored;
 * - ICC profiles are ignored: the stored values are taken as sRGB;
 * - CMYK is (255 - ink)(255 - black)/255, without a printing profile;
 * - of 16 bits the high byte is taken; palettes and grey are expanded; of an animation the first frame is read;
 * - TIFF files are turned by their orientation tag; number formats that would not come out exactly are refused (`tiff.ts`).
 *
 * Known differences: PIL clips 16-bit grey at 255 instead of scaling it, which makes nearly every such picture white;
 * takes the high byte of TIFF palettes that hold 8-bit numbers, which makes them black; misreads 16-bit TIFF planes; and
 * fills up GIF frames that are smaller than their screen with another colour. Of AVIF with halved chroma the two
 * interpolate colours differently, and of 10 and 12 bits they round differently, by one level.
 */

import { fail, InputError } from '../errors.js'
import { readPictureFile } from './file.js'
import { jpegFrame, otherFormat, PICTURE_FORMATS, type PictureFormat, pictureFormat } from './format.js'
import { opaqueGif } from './gif.js'
import { MAX_PIXELS, toThreeChannels } from './pixels.js'
import type { RgbImage } from './resample.js'
import { sharp } from './sharp.js'
import { tiffLayout, tiffObjection } from './tiff.js'

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
  const format = pictureFormat(bytes) ?? refuseOther(bytes, name)
  if (format === 'JPEG') checkJpeg(bytes, name)
  if (format === 'TIFF') checkTiff(bytes, name)
  try {
    return await decode(bytes, format, options.orient ?? false)
  } catch (error) {
    if (error instanceof InputError) throw error
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    if (reason.includes('pixel limit')) await refuseSize(bytes, name)
    fail(`${name}: damaged or unsupported ${format} file (${reason})`)
  }
}

function refuseOther(bytes: Uint8Array, name: string): never {
  const found = otherFormat(bytes)
  fail(`${name}: not a picture (${PICTURE_FORMATS})${found ? `, but ${found}` : ''}`)
}

/**
 * An entropy-coded JPEG block of 64 values takes a bit at least, so a few bytes cannot hold the millions of pixels they
 * announce; a progressive file would still make the decoder take six bytes for each of them.
 */
function checkJpeg(bytes: Uint8Array, name: string): void {
  const frame = jpegFrame(bytes)
  if (!frame) return
  if (frame.precision !== 8) fail(`${name}: JPEG of ${frame.precision}-bit samples: not decoded; convert it to 8 bits`)
  if (frame.width * frame.height > bytes.length * 8 * 64)
    fail(`${name}: damaged JPEG file (${bytes.length} bytes cannot hold ${frame.width}×${frame.height} pixels)`)
}

function checkTiff(bytes: Uint8Array, name: string): void {
  const layout =
    tiffLayout(bytes) ?? fail(`${name}: damaged or unsupported TIFF file (its first directory cannot be read)`)
  const objection = tiffObjection(layout)
  if (objection) fail(`${name}: ${objection}: not decoded exactly; convert it to RGB of 8 bits`)
}

const settings = { failOn: 'error', limitInputPixels: MAX_PIXELS, ignoreIcc: true, sequentialRead: true } as const

async function decode(bytes: Uint8Array, format: PictureFormat, orient: boolean): Promise<RgbImage> {
  // Pillow turns TIFF files when it reads them, whoever asks.
  const opaque = format === 'GIF' ? opaqueGif(bytes) : bytes
  const open = () => sharp(opaque, { ...settings, autoOrient: orient || format === 'TIFF' })
  const inks = inksOf(bytes, format)
  if (inks) {
    const { data, info } = await open()
      .pipelineColourspace('cmyk')
      .toColourspace('cmyk')
      .raw({ depth: inks.bits === 16 ? 'ushort' : 'uchar' })
      .toBuffer({ resolveWithObject: true })
    return { width: info.width, height: info.height, data: cmykToRgb(highBytes(data, inks.bits), info.channels) }
  }
  const { data, info } = await open().removeAlpha().raw().toBuffer({ resolveWithObject: true })
  return { width: info.width, height: info.height, data: toThreeChannels(data, info.channels) }
}

/** Only JPEG and TIFF can hold inks. Headers are read here, because asking libvips costs 0.2 ms a picture. */
function inksOf(bytes: Uint8Array, format: PictureFormat): { readonly bits: number } | undefined {
  if (format === 'JPEG') return jpegFrame(bytes)?.components === 4 ? { bits: 8 } : undefined
  const layout = format === 'TIFF' ? tiffLayout(bytes) : undefined
  return layout?.photometric === 5 ? { bits: layout.bits[0] ?? 8 } : undefined
}

/** Of 16-bit values in this machine's byte order the upper eight bits. */
function highBytes(data: Uint8Array, bits: number): Uint8Array {
  if (bits === 8) return data
  return Uint8Array.from(new Uint16Array(data.buffer, data.byteOffset, data.length / 2), (value) => value >> 8)
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
