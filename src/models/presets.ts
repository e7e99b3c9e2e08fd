/** Architectures by name, and the hub repositories that hold their pretrained weights. */

import type { VitConfig } from './config.js'

const deit = (width: number, heads: number, distilled = false): VitConfig => ({
  imageSize: 224,
  patchSize: 16,
  width,
  depth: 12,
  heads,
  hidden: 4 * width,
  classes: 1000,
  distilled,
  layerNormEps: 1e-6,
})

/** A named architecture and the hub repository that holds its pretrained weights. */
export interface Preset {
  readonly config: VitConfig
  readonly hub: string
}

/** The architectures that `--model` knows by name. */
export const presets: Readonly<Record<string, Preset>> = {
  'deit-tiny': { config: deit(192, 3), hub: 'facebook/deit-tiny-patch16-224' },
  'deit-small': { config: deit(384, 6), hub: 'facebook/deit-small-patch16-224' },
  'deit-base': { config: deit(768, 12), hub: 'facebook/deit-base-patch16-224' },
  'deit-tiny-distilled': { config: deit(192, 3, true), hub: 'facebook/deit-tiny-distilled-patch16-224' },
  'deit-small-distilled': { config: deit(384, 6, true), hub: 'facebook/deit-small-distilled-patch16-224' },
  'deit-base-distilled': { config: deit(768, 12, true), hub: 'facebook/deit-base-distilled-patch16-224' },
}
