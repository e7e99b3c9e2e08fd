/** Features on their way to a file: numbers that can be written, and the pictures they belong to. */

import type { Dataset } from '../data/dataset.js'
import { fail } from '../errors.js'
import { toFloat16 } from '../float16.js'

/** What a picture is called in the file: its path where it is a file. */
export function pathOf(dataset: Dataset, index: number): string {
  const source = dataset.source(index)
  return source.kind === 'file' ? source.path : (dataset.samples[index]?.name ?? '')
}

/**
 * Features as they came.
 *
 * @throws InputError naming a picture whose features hold a value that is no finite number
 */
export function checkFinite(features: Float32Array, dataset: Dataset, indices: Int32Array): Float32Array {
  const wrong = features.findIndex((value) => !Number.isFinite(value))
  if (wrong >= 0) {
    const index = indices[Math.floor((wrong * indices.length) / features.length)] as number
    fail(`${pathOf(dataset, index)}: the model gives features that are no finite numbers`)
  }
  return features
}

/**
 * The nearest float16 numbers.
 *
 * @throws InputError naming a picture with a value beyond them
 */
export function narrowed(values: Float32Array, dataset: Dataset, indices: Int32Array): Uint16Array {
  const halves = toFloat16(values)
  const wrong = halves.findIndex((bits) => (bits & 0x7c00) === 0x7c00)
  if (wrong >= 0) {
    const index = indices[Math.floor((wrong * indices.length) / values.length)] as number
    fail(`${pathOf(dataset, index)}: ${values[wrong]} is beyond float16 (65504); leave --half out`)
  }
  return halves
}

export const bytesOf = (array: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
