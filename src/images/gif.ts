/**
 * GIF89a: libvips paints transparent pixels black, Pillow leaves their palette colour. With the transparency flag of the
 * first picture's graphic control extension (sections 23 and 20) cleared, libvips does too.
 */

const EXTENSION = 0x21
const GRAPHIC_CONTROL = 0xf9

/** The file with the first picture opaque; the very bytes when it is so already, or damaged. */
export function opaqueGif(bytes: Uint8Array): Uint8Array {
  const flags = bytes[10] ?? 0
  let at = 13 + (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0) // behind the global colour table
  while (bytes[at] === EXTENSION) {
    if (bytes[at + 1] === GRAPHIC_CONTROL && bytes[at + 2] === 4 && ((bytes[at + 3] as number) & 1) === 1) {
      const opaque = bytes.slice()
      opaque[at + 3] = (bytes[at + 3] as number) & ~1
      return opaque
    }
    at += 2
    while (bytes[at]) at += 1 + (bytes[at] as number) // sub-blocks
    at += 1
  }
  return bytes
}
