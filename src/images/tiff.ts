/**
 * Number formats of TIFF files (TIFF 6.0, sections 2 and 8; BigTIFF). libvips turns whatever it can open into 8 bits, by
 * cutting numbers off at 255 where it knows nothing better; what is not told apart here would become black or white.
 */

/** The tags of the first picture that say how its numbers are stored. */
export interface TiffLayout {
  /** By sample. */
  readonly bits: readonly number[]
  readonly compression: number
  /** PhotometricInterpretation; undefined when the file does not say. */
  readonly photometric: number | undefined
  readonly samples: number
  /** By sample: 1 unsigned, 2 signed, 3 floating point, 4 undefined, 5 and 6 complex. */
  readonly formats: readonly number[]
  /** Of inks: 1 is cyan, magenta, yellow, black. */
  readonly inkSet: number
}

const TAGS = { bits: 258, compression: 259, photometric: 262, samples: 277, inkSet: 332, formats: 339 } as const

/** Bytes of one value by field type: BYTE, SHORT, LONG and BigTIFF's LONG8. */
const SIZES: Readonly<Record<number, number>> = { 1: 1, 3: 2, 4: 4, 16: 8 }
const MOST_VALUES = 64 // a tag of more is none of ours

/** Reads the first image file directory; undefined when it is damaged. */
export function tiffLayout(bytes: Uint8Array): TiffLayout | undefined {
  try {
    return layoutOf(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (error) {
    if (error instanceof RangeError) return undefined // an offset outside the file
    throw error
  }
}

function layoutOf(view: DataView): TiffLayout {
  const little = view.getUint8(0) === 0x49
  const big = view.getUint16(2, little) === 43
  const short = (at: number) => view.getUint16(at, little)
  const long = (at: number) => view.getUint32(at, little)
  const wide = (at: number) => (big ? Number(view.getBigUint64(at, little)) : long(at))
  const [countBytes, entryBytes, inline] = big ? [8, 20, 8] : [2, 12, 4]
  const start = big ? wide(8) : long(4)
  const entries = big ? wide(start) : short(start)

  const values = (tag: number): number[] => {
    for (let i = 0, at = start + countBytes; i < entries; i++, at += entryBytes) {
      if (short(at) !== tag) continue
      const size = SIZES[short(at + 2)]
      const count = wide(at + 4)
      if (size === undefined || count > MOST_VALUES) throw new RangeError('a tag of another kind')
      const field = at + 4 + (big ? 8 : 4)
      const from = size * count <= inline ? field : wide(field)
      const read = (p: number) =>
        size === 1 ? view.getUint8(p) : size === 2 ? short(p) : size === 4 ? long(p) : wide(p)
      return Array.from({ length: count }, (_, k) => read(from + k * size))
    }
    return []
  }
  const [samples = 1] = values(TAGS.samples)
  const [compression = 1] = values(TAGS.compression)
  const [photometric] = values(TAGS.photometric)
  const [inkSet = 1] = values(TAGS.inkSet)
  const perSample = (tag: number, otherwise: number) => {
    const found = values(tag)
    return found.length > 0 ? found : [otherwise]
  }
  return {
    bits: perSample(TAGS.bits, 1),
    compression,
    photometric,
    samples,
    formats: perSample(TAGS.formats, 1),
    inkSet,
  }
}

/** What is decoded to the very numbers that are stored: bits and samples by PhotometricInterpretation. */
const EXACT: Readonly<Record<number, { readonly bits: readonly number[]; readonly samples: readonly number[] }>> = {
  0: { bits: [1, 2, 4, 8, 16], samples: [1, 2] }, // grey, 0 is white
  1: { bits: [1, 2, 4, 8, 16], samples: [1, 2] }, // grey, 0 is black
  2: { bits: [8, 16], samples: [3, 4, 5] }, // RGB
  3: { bits: [1, 2, 4, 8], samples: [1] }, // palette
  5: { bits: [8, 16], samples: [4, 5] }, // inks
  6: { bits: [8], samples: [3] }, // YCbCr
}

const COLOURS: Readonly<Record<number, string>> = {
  0: 'grey',
  1: 'grey',
  2: 'RGB',
  3: 'palette',
  4: 'transparency mask',
  5: 'ink',
  6: 'YCbCr',
  8: 'L*a*b*',
  9: 'L*a*b*',
  10: 'L*a*b*',
  32803: 'camera sensor',
  32844: 'LogL',
  32845: 'LogLuv',
  34892: 'camera sensor',
}

const NUMBERS: Readonly<Record<number, string>> = { 2: 'signed', 3: 'floating-point', 5: 'complex', 6: 'complex' }
const JPEG = [6, 7]

/** Why the numbers of such a file would not come out as they are stored; undefined when they do. */
export function tiffObjection(layout: TiffLayout): string | undefined {
  const { bits, photometric, samples, formats, compression, inkSet } = layout
  const colours = photometric === undefined ? 'unnamed' : (COLOURS[photometric] ?? `type ${photometric}`)
  const exact = EXACT[photometric ?? -1]
  const [depth = 1] = bits
  const numbers = formats.map((format) => NUMBERS[format]).find((found) => found !== undefined)
  if (numbers) return `TIFF of ${depth}-bit ${numbers} ${colours} samples`
  if (bits.some((other) => other !== depth)) return `TIFF of ${bits.join(', ')} bits per sample`
  if (!exact) return `TIFF of ${colours} samples`
  if (!exact.bits.includes(depth)) return `TIFF of ${depth}-bit ${colours} samples`
  if (!exact.samples.includes(samples)) return `TIFF of ${samples} ${colours} samples per pixel`
  if (photometric === 6 && !JPEG.includes(compression)) return 'TIFF of YCbCr samples without JPEG compression'
  if (photometric === 5 && inkSet !== 1) return 'TIFF of inks other than cyan, magenta, yellow and black'
  return undefined
}
