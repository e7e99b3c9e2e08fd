/** TIFF 6.0 files of one uncompressed strip, or one a plane, written tag by tag. */

/** What a file says of its numbers. */
export interface TiffTags {
  readonly width: number
  readonly height: number
  readonly photometric: number
  readonly samples: number
  readonly bits: number
  /** SampleFormat; left out when absent. */
  readonly format?: number
  /** Samples lie in planes one after the other: PlanarConfiguration 2. */
  readonly planes?: boolean
  /** Further tags: SHORT values by number. */
  readonly more?: Readonly<Record<number, readonly number[]>>
}

/** @param data the pixels, little-endian */
export function tiff(given: TiffTags, data: Uint8Array): Uint8Array {
  const { width, height, photometric, samples, bits, format, planes = false, more = {} } = given
  const strips = Array.from({ length: planes ? samples : 1 }, () => data.length / (planes ? samples : 1))
  const perSample = (value: number) => Array.from({ length: samples }, () => value)
  const tags: Record<number, readonly number[]> = {
    256: [width],
    257: [height],
    258: perSample(bits),
    259: [1],
    262: [photometric],
    273: strips.map(() => 0), // where the strips are, set below
    277: [samples],
    278: [height],
    279: strips,
    284: [planes ? 2 : 1],
    ...(format !== undefined && { 339: perSample(format) }),
    ...more,
  }
  const entries = Object.entries(tags).map(([tag, values]) => [Number(tag), values] as const)
  const directory = 8 + 2 + entries.length * 12 + 4
  const outside = entries.reduce((sum, [, values]) => sum + (values.length > 2 ? values.length * 2 : 0), 0)
  const file = new Uint8Array(directory + outside + data.length)
  const view = new DataView(file.buffer)
  file.set([0x49, 0x49, 42, 0, 8])
  view.setUint16(8, entries.length, true)
  let free = directory
  for (const [i, [tag, values]] of entries.entries()) {
    const at = 10 + i * 12
    view.setUint16(at, tag, true)
    view.setUint16(at + 2, 3, true)
    view.setUint32(at + 4, values.length, true)
    const inside = values.length <= 2
    if (!inside) view.setUint32(at + 8, free, true)
    for (const [k, value] of values.entries()) {
      const stored = tag === 273 ? directory + outside + k * (strips[0] as number) : value
      view.setUint16((inside ? at + 8 : free) + 2 * k, stored, true)
    }
    if (!inside) free += values.length * 2
  }
  file.set(data, directory + outside)
  return file
}
