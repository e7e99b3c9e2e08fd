/** preprocessor_config.json as Hugging Face's image processors read it. */

import { cropSides, type Preprocess } from '../images/preprocess.js'
import { resampleNumbers } from '../weights/preprocessor-file.js'

/**
 * Resize, centre crop, normalise. DeiT's processor is named because ViT's has no crop; where the aspect is kept, the size
 * is that of the shortest edge.
 *
 * No processor keeps the aspect of a picture that becomes a rectangle: there the picture is squashed to what it would have
 * covered, which {@link keepsAspect} tells.
 */
export function preprocessorConfigJson(preprocess: Preprocess): Record<string, unknown> {
  const { resize, mean, std, mode = 'center', interpolation = 'bicubic', resizeHeight } = preprocess
  const [height, width] = cropSides(preprocess)
  return {
    image_processor_type: 'DeiTImageProcessor',
    feature_extractor_type: 'DeiTFeatureExtractor',
    do_resize: true,
    size:
      mode === 'squash' || resizeHeight !== undefined
        ? { height: resizeHeight ?? resize, width: resize }
        : { shortest_edge: resize },
    resample: resampleNumbers.indexOf(interpolation),
    do_center_crop: true,
    crop_size: { height, width },
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: mean,
    image_std: std,
  }
}

/** Whether preprocessor_config.json says how pictures are made, and does not squash what should keep its aspect. */
export const keepsAspect = ({ resizeHeight, mode }: Preprocess): boolean =>
  resizeHeight === undefined || mode === 'squash'
