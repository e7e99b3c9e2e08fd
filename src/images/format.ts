/**
 * What the first bytes of a picture file say: its format, and the frame header of a JPEG.
 *
 * Signatures: JPEG ITU-T T.81 B.1.1.3, PNG (W3C) 5.2, GIF89a 17, WebP RFC 9649 2.4, TIFF 6.0 section 2,
 * AVIF (ISO BMFF `ftyp` brands).
 */

export type PictureFormat = 'JPEG' | 'PNG' | 'GIF' | 'WebP' | 'TIFF' | 'AVIF'

/** File name endings of the pictures that can be read. */
export const pictureExtensions: ReadonlySet<string> = new Set(
  ['jpg', 'jpeg', 'jpe', 'jfif', 'png', 'gif', 'webp', 'tif', 'tiff', 'avif'], //
)

/** Does this file name look like a picture's? */
export function isPictureName(name: string): boolean {
  return pictureExtensions.has(name.slice(name.lastIndexOf('.') + 1).toLowerCase())
}

/** Why a file of another name is passed over. */
export function notPictureReason(name: string): string {
  const dot = name.lastIndexOf('.')
  return dot > 0 ? `${name.slice(dot).toLowerCase()} is not a picture format that is read` : 'no picture’s file name'
}

/** The formats by name, for messages. */
export const PICTURE_FORMATS = 'JPEG, PNG, WebP, AVIF, GIF or TIFF'

/** The format by signature, whatever the file is called; undefined for anything else. */
export function pictureFormat(bytes: Uint8Array): PictureFormat | undefined {
  const text = latin1(bytes, 12)
  if (text.startsWith('\xff\xd8\xff')) return 'JPEG'
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'PNG'
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'GIF'
  if (text.startsWith('RIFF') && text.slice(8) === 'WEBP') return 'WebP'
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(text.slice(0, 4))) return 'TIFF'
  if (brands(bytes).some((brand) => brand === 'avif' || brand === 'avis')) return 'AVIF'
  return undefined
}

/** How files start that people take for pictures, and what those are called. */
const signatures: readonly (readonly [starts: string, name: string])[] = [
  ['version https://git-lfs', 'a Git LFS pointer (git lfs pull fetches the picture)'],
  ['BM', 'a BMP picture'],
  ['\xff\x0a', 'a JPEG XL picture'],
  ['\0\0\0\x0cJXL ', 'a JPEG XL picture'],
  ['\xff\x4f\xff\x51', 'a JPEG 2000 picture'],
  ['\0\0\0\x0cjP  ', 'a JPEG 2000 picture'],
  ['8BPS', 'a Photoshop document'],
  ['\0\0\x01\0', 'an icon'],
  ['\x76\x2f\x31\x01', 'an OpenEXR picture'],
  ['#?RADIANCE', 'a Radiance picture'],
  ['%PDF', 'a PDF document'],
  ['PK\x03\x04', 'a zip archive'],
  ['\x1f\x8b', 'a gzip archive'],
]

/** What a file is that is no picture of ours, where its first bytes tell. */
export function otherFormat(bytes: Uint8Array): string | undefined {
  const boxes = brands(bytes)
  if (boxes.some((brand) => /^(hei[cxms]|hev[cxms]|mif1|msf1)$/.test(brand))) return 'a HEIC picture'
  if (boxes.length > 0) return 'a video'
  const text = latin1(bytes, 1024)
  const known = signatures.find(([start]) => text.startsWith(start))?.[1]
  if (known) return known
  if (/<!doctype html|<html/i.test(text)) return 'a web page'
  return /<svg/i.test(text) ? 'an SVG drawing' : undefined
}

/** Brands of an ISO BMFF `ftyp` box, the major one first; none when the file does not start with one. */
function brands(bytes: Uint8Array): string[] {
  const text = latin1(bytes, 256)
  if (text.slice(4, 8) !== 'ftyp') return []
  const end = Math.min(text.length, new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0))
  const compatible = Array.from({ length: Math.max(0, Math.floor((end - 16) / 4)) }, (_, i) =>
    text.slice(16 + 4 * i, 20 + 4 * i),
  )
  return [text.slice(8, 12), ...compatible]
}

const latin1 = (bytes: Uint8Array, length: number): string => String.fromCharCode(...bytes.subarray(0, length))

/** The frame header (SOF) of a JPEG. */
export interface JpegFrame {
  readonly width: number
  readonly height: number
  readonly components: number
  /** Bits per sample. */
  readonly precision: number
}

/** Walks the marker segments up to the frame header, T.81 B.2.2; undefined when there is none. */
export function jpegFrame(bytes: Uint8Array): JpegFrame | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 2; at + 10 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return undefined
    const marker = bytes[at + 1] as number
    // Fill bytes, and markers that stand alone.
    if (marker === 0xff) at += 1
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2
    else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      const [precision, components] = [bytes[at + 4] as number, bytes[at + 9] as number]
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), components, precision }
    } else at += 2 + view.getUint16(at + 2)
  }
  return undefined
}
