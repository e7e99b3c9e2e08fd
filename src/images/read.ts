/** From whatever a picture is given as to its pixels. */

import { decodeImage } from './decode.js'
import type { ReadOptions } from './fetch.js'
import { nameOfPicture, type PictureInput, readContent } from './input.js'
import type { RgbImage } from './resample.js'

/**
 * A picture as 8-bit RGB, turned upright by its EXIF orientation.
 *
 * @param name what errors call it
 * @throws InputError when it is no picture that can be read; the signal's reason when that gives up
 */
export async function readImage(
  picture: PictureInput,
  options: ReadOptions = {},
  name = nameOfPicture(picture),
): Promise<RgbImage> {
  const content = await readContent(picture, options, name)
  options.signal?.throwIfAborted()
  return content instanceof Uint8Array ? decodeImage(content, { name, orient: true }) : content
}
