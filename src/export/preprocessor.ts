/** preprocessor_config.json as Hugging Face's image processors read it. */

import type { Preprocess } from '../images/preprocess.js'

/** PIL's number of bicubic resampling. */
const BICUBIC = 3

/**
 * Resize the shorter side, centre crop, normalise. DeiT's processor is named because ViT's stretches pictures to a
 * square in Python and has no crop.
 */
export const preprocessorConfigJson = ({ resize, crop, mean, std }: Preprocess): Record<string, unknown> => ({
  image_processor_type: 'DeiTImageProcessor',
  feature_extractor_type: 'DeiTFeatureExtractor',
  do_resize: true,
  size: { shortest_edge: resize },
  resample: BICUBIC,
  do_center_crop: true,
  crop_size: { height: crop, width: crop },
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: mean,
  image_std: std,
})
