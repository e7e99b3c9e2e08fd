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

/** The format by signature, whatever the file is called; undefined for anything else. */
export function pictureFormat(bytes: Uint8Array): PictureFormat | undefined {
  const text = String.fromCharCode(...bytes.subarray(0, 12))
  if (text.startsWith('\xff\xd8\xff')) return 'JPEG'
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'PNG'
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'GIF'
  if (text.startsWith('RIFF') && text.slice(8) === 'WEBP') return 'WebP'
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(text.slice(0, 4))) return 'TIFF'
  if (text.slice(4, 8) === 'ftyp' && ['avif', 'avis', 'mif1', 'msf1'].includes(text.slice(8))) return 'AVIF'
  return undefined
}

/** The frame header (SOF) of a JPEG. */
export interface JpegFrame {
  readonly width: number
  readonly height: number
  readonly components: number
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
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), components: bytes[at + 9] as number }
    } else at += 2 + view.getUint16(at + 2)
  }
  return undefined
}
