/** Models that start from seeded random weights: a preset's architecture, or a smaller one for smaller pictures. */
import { fail } from '../errors.js'
import { pictureSize, type VitConfig } from '../models/config.js'
import { findPreset, presets } from '../models/presets.js'
import { checkMaps, isSwin, type SwinConfig } from '../models/swin-config.js'
import { TOKEN_STRIDE } from '../models/tokens-to-token.js'
import { randomVit } from '../weights/init.js'
import type { LoadedModel } from '../weights/load.js'

/** Sizes that replace the preset's. */
export interface ScratchSizes {
  readonly imageSize?: number
  /** Of pictures that are not square. */
  readonly imageHeight?: number
  readonly patchSize?: number
  readonly width?: number
  readonly depth?: number
  readonly heads?: number
  readonly classes?: number
}

/**
 * A model with random weights.
 *
 * @param preset - whose sizes hold where none are given; the MLP is as many times as wide as the tokens as the preset's
 * @throws InputError when the preset is not known or the sizes do not fit together
 */
export function scratchModel(preset: string, sizes: ScratchSizes, seed: number): LoadedModel {
  const known = Object.keys(presets).join(', ')
  const base = findPreset(preset)?.config ?? fail(`--model: random weights need one of ${known}, found ${preset}`)
  const config: VitConfig = { ...base, ...sizes, hidden: (base.hidden / base.width) * (sizes.width ?? base.width) }
  if (isSwin(base)) return scratchSwin(preset, base, sizes, seed)
  const { patchSize, width, heads } = config
  for (const side of pictureSize(config))
    if (side % patchSize !== 0) fail(`--crop: wanted a multiple of the patch size ${patchSize}, found ${side}`)
  if (config.stem !== undefined && patchSize % 2 !== 0)
    fail(`--patch: wanted an even number of pixels, which the stem of ${preset} halves, found ${patchSize}`)
  if (config.tokensToToken && patchSize !== TOKEN_STRIDE)
    fail(`--patch: wanted the ${TOKEN_STRIDE} pixels of the tokens of ${preset}, found ${patchSize}`)
  if (width % heads !== 0) fail(`--width: wanted a multiple of the ${heads} heads, found ${width}`)
  return { name: preset, source: `random:${seed}`, config, state: randomVit(config, seed) }
}

/**
 * A Swin with random weights: the preset's blocks in every stage, heads that double from stage to stage, and the largest
 * windows up to the preset's that divide its maps.
 */
function scratchSwin(name: string, base: SwinConfig, sizes: ScratchSizes, seed: number): LoadedModel {
  const { depth, width = base.width, heads = base.heads, imageHeight } = sizes
  if (imageHeight !== undefined)
    fail(`--crop: wanted a square for a Swin with random weights, found ${imageHeight} x ${sizes.imageSize}`)
  const blocks = base.stages.map((stage) => stage.depth).join(', ')
  if (depth !== undefined && depth !== base.depth)
    fail(`--depth: the blocks of a Swin are told by stage, here ${blocks}, found ${depth}`)
  if (width % heads !== 0) fail(`--width: wanted a multiple of the ${heads} heads, found ${width}`)
  const stages = base.stages.map((stage, s) => ({ ...stage, heads: heads * 2 ** s }))
  const sized = { ...base, ...sizes, hidden: 4 * width, stages }
  const unit = sized.patchSize * 2 ** (stages.length - 1)
  if (sized.imageSize % unit !== 0)
    fail(`--crop: wanted a multiple of ${unit}, the pixels of a token of the last stage, found ${sized.imageSize}`)
  const maps = stages.map((_, s) => (sized.imageSize / unit) * 2 ** s)
  const fits = (side: number) => maps.every((map) => map <= side || map % side === 0)
  const windowSize = Array.from({ length: base.windowSize }, (_, i) => base.windowSize - i).find(fits) as number
  const config: SwinConfig = { ...sized, windowSize }
  checkMaps(config)
  return { name, source: `random:${seed}`, config, state: randomVit(config, seed) }
}
