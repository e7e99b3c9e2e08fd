/** The WebAssembly kernels of `resample.wat`, and the memory that they share. */

import { resampleModule } from './resample-wasm.js'

interface Kernels {
  readonly memory: WebAssembly.Memory
  horizontal(
    source: number,
    stride: number,
    rows: number,
    first: number,
    weights: number,
    taps: number,
    columns: number,
    out: number,
  ): void
  vertical(
    source: number,
    stride: number,
    rows: number,
    first: number,
    weights: number,
    taps: number,
    out: number,
  ): void
  normalise(rgb: number, pixels: number, table: number, out: number): void
}

/** Kernels load and store vectors: up to so many bytes past the end. */
const SLACK = 16
const PAGE = 65536

let opened: Kernels | undefined

/** Compiled at first use: a module of a few hundred bytes. */
export function kernels(): Kernels {
  if (!opened) {
    const bytes = Uint8Array.from(atob(resampleModule), (letter) => letter.charCodeAt(0))
    opened = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as unknown as Kernels
  }
  return opened
}

/**
 * Places for areas of the given sizes in bytes, with room for vectors behind each. What was there before is lost, and so
 * are views of the memory, which may have moved.
 */
export function reserve<Sizes extends readonly number[]>(...sizes: Sizes): { [K in keyof Sizes]: number } {
  const { memory } = kernels()
  let end = 0
  const offsets = sizes.map((size) => {
    const offset = end
    end = Math.ceil((end + size + SLACK) / 16) * 16
    return offset
  })
  const missing = end - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE))
  return offsets as { [K in keyof Sizes]: number }
}

/** Copies bytes, or the bytes of integers or floats, into the kernels' memory. */
export function write(offset: number, values: Uint8Array | Uint8ClampedArray | Int32Array | Float32Array): void {
  new Uint8Array(kernels().memory.buffer).set(
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    offset,
  )
}

/** A view of the kernels' memory, valid until more is reserved. */
export const bytesAt = (offset: number, length: number): Uint8Array =>
  new Uint8Array(kernels().memory.buffer, offset, length)
