/** Pictures against the tensors that Pillow and torchvision make of them. */

import { dirname, join } from 'node:path'
import { decodeImage } from '../images/decode.js'
import { normalise, type PerChannel } from '../images/preprocess.js'
import { resizeCrop } from '../images/resample.js'
import type { Actual, Replay } from './compare.js'

/** Every 293rd value of the normalised tensor is stored. */
const POINT_STRIDE = 293
/** PNG: one 8-bit level anywhere. JPEG decoders differ: 0.6 levels on average. */
const PNG_LEVELS = 1
const JPEG_LEVELS = 0.6

/** Crops at every stored size, as 8-bit levels and normalised. */
export const replayPreprocess: Replay = async (reference) => {
  const { sizes, crop, mean, std } = reference.config as {
    sizes: readonly number[]
    crop: number
    mean: PerChannel
    std: PerChannel
  }
  const jpeg = reference.file.includes('jpeg')
  const folder = join(dirname(reference.file), 'images')
  const levels: Actual['tolerance'] = jpeg ? { mean: JPEG_LEVELS } : { absolute: PNG_LEVELS }
  // The normalised values move by at most level / 255 / std.
  const step = (1 / 255 / Math.min(...std)) * (jpeg ? JPEG_LEVELS : PNG_LEVELS) + 1e-6
  const normalised: Actual['tolerance'] = jpeg ? { mean: step } : { absolute: step }

  const actual = new Map<string, Actual>()
  for (const name of Object.keys(JSON.parse(reference.metadata.images ?? '{}'))) {
    const picture = await decodeImage(join(folder, `${name}.${jpeg ? 'jpg' : 'png'}`), { orient: false })
    const { width, height, data } = picture
    actual.set(`${name}.decoded_u8`, { data, shape: [height, width, 3], tolerance: levels })
    for (const size of sizes) {
      const cropped = resizeCrop(picture, size, crop) // [crop, crop, 3]
      const tensor = normalise(cropped, { resize: size, crop, mean, std }) // [3, crop, crop]
      actual.set(`${name}.${size}.crop_u8`, { data: cropped, shape: [crop, crop, 3], tolerance: levels })
      actual.set(`${name}.${size}.tensor`, { data: tensor, shape: [3, crop, crop], tolerance: normalised })
      const points = tensor.filter((_, i) => i % POINT_STRIDE === 0)
      actual.set(`${name}.${size}.points`, { data: points, tolerance: normalised })
    }
  }
  return actual
}
