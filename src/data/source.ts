/** Reads one picture from wherever a data set says it is. */

import { closeSync, openSync } from 'node:fs'
import { fail } from '../errors.js'
import { fileError } from '../files.js'
import { decodeImage } from '../images/decode.js'
import { readPictureFile, readRange } from '../images/file.js'
import type { RgbImage } from '../images/resample.js'
import type { Source } from './dataset.js'

/**
 * Decodes the picture at `source`.
 *
 * @param name what errors call the picture
 * @throws InputError starting with `name`
 */
export async function readSource(source: Source, name: string, orient = false): Promise<RgbImage> {
  switch (source.kind) {
    case 'file':
      return decodeImage(readPictureFile(source.path, name), { name, orient })
    case 'range':
      return decodeImage(readPart(source.file, source.offset, source.length, name), { name, orient })
    case 'bytes':
      return decodeImage(source.bytes, { name, orient })
    case 'planes': {
      const { width, height } = source
      const planes = readPart(source.file, source.offset, 3 * width * height, name) // [3, height, width]
      return { width, height, data: interleave(planes) }
    }
    case 'rgb':
      return source
    case 'scene':
      return (await scenes()).scene(source.seed, source.index).image
  }
}

/** Loaded by those who ask for scenes: it is much to read for who decodes a single picture. */
const scenes = () => import('./scenes/scene.js')

function readPart(file: string | number, offset: number, length: number, name: string): Uint8Array {
  try {
    const descriptor = typeof file === 'number' ? file : openSync(file, 'r')
    try {
      const bytes = readRange(descriptor, offset, length)
      if (bytes.length < length) fail(`${name}: the file that holds it has become shorter`)
      return bytes
    } finally {
      if (descriptor !== file) closeSync(descriptor)
    }
  } catch (error) {
    throw fileError(error, name)
  }
}

/** [3, H, W] to [H, W, 3]. */
function interleave(planes: Uint8Array): Uint8Array {
  const pixels = planes.length / 3
  const rgb = new Uint8Array(planes.length)
  for (let i = 0; i < planes.length; i++) rgb[(i % pixels) * 3 + Math.trunc(i / pixels)] = planes[i] as number
  return rgb
}
