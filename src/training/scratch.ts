/** Models that start from seeded random weights: a preset's architecture, or a smaller one for smaller pictures. */
import { fail } from '../errors.js'
import type { VitConfig } from '../models/config.js'
import { presets } from '../models/presets.js'
import { randomVit } from '../weights/init.js'
import type { LoadedModel } from '../weights/load.js'

/** Sizes that replace the preset's. */
export interface ScratchSizes {
  readonly imageSize?: number
  readonly patchSize?: number
  readonly width?: number
  readonly depth?: number
  readonly heads?: number
  readonly classes?: number
}

/**
 * A model with random weights.
 *
 * @param preset - whose sizes hold where none are given; the MLP is four times as wide as the tokens
 * @throws InputError when the preset is not known or the sizes do not fit together
 */
export function scratchModel(preset: string, sizes: ScratchSizes, seed: number): LoadedModel {
  const known = Object.keys(presets).join(', ')
  const base = presets[preset]?.config ?? fail(`--model: random weights need one of ${known}, found ${preset}`)
  const config: VitConfig = { ...base, ...sizes, hidden: 4 * (sizes.width ?? base.width) }
  const { imageSize, patchSize, width, heads } = config
  if (imageSize % patchSize !== 0) fail(`--crop: wanted a multiple of the patch size ${patchSize}, found ${imageSize}`)
  if (width % heads !== 0) fail(`--width: wanted a multiple of the ${heads} heads, found ${width}`)
  return { name: preset, source: `random:${seed}`, config, state: randomVit(config, seed) }
}
