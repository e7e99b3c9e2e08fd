/** preprocessor_config.json as Hugging Face's image processors read it. */

import type { Preprocess } from '../images/preprocess.js'
import { resampleNumbers } from '../weights/preprocessor-file.js'

/**
 * Resize, centre crop, normalise. DeiT's processor is named because ViT's has no crop; where the aspect is kept, the size
 * is that of the shortest edge.
 */
export function preprocessorConfigJson(preprocess: Preprocess): Record<string, unknown> {
  const { resize, crop, mean, std, mode = 'center', interpolation = 'bicubic' } = preprocess
  return {
    image_processor_type: 'DeiTImageProcessor',
    feature_extractor_type: 'DeiTFeatureExtractor',
    do_resize: true,
    size: mode === 'squash' ? { height: resize, width: resize } : { shortest_edge: resize },
    resample: resampleNumbers.indexOf(interpolation),
    do_center_crop: true,
    crop_size: { height: crop, width: crop },
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: mean,
    image_std: std,
  }
}
