/**
 * A cascade of nets (Wang et al., "Not All Images are Worth 16x16 Words", arXiv 2105.15075, DVT), as sizes: every net sees
 * more tokens than the one before and reads what that one found out.
 *
 * A cascade's `VitConfig` is that of its last net; its `cascade` says what stands in front of it.
 */

import { fail } from '../errors.js'
import { type Cascade, type VitConfig, vitParameters } from './config.js'

/** Sizes of a cascade. */
export type CascadeConfig = VitConfig & { readonly cascade: Cascade }

/** Names of the three nets in official checkpoints (blackfeather-wang/Dynamic-Vision-Transformer, models_deit.py). */
export const netNames = ['less_less_token', 'less_token', 'normal_token'] as const

/** One net of a cascade. */
export interface Net {
  /** In front of its weights' names. */
  readonly name: string
  /** Sizes on pictures with `padding` zeros around them. */
  readonly config: VitConfig
  readonly padding: number
  readonly grid: number
  /** Grid of the net before; absent: it is the first. */
  readonly before?: number
}

/** Whether a model is a cascade. */
export const isCascade = (config: VitConfig): config is CascadeConfig => config.cascade !== undefined

/** The nets in the order in which they are asked. */
export function netsOf({ cascade, ...config }: CascadeConfig): Net[] {
  const last = { patchSize: config.patchSize, grid: config.imageSize / config.patchSize }
  const sizes = [...cascade.smaller, last]
  return sizes.map(({ patchSize, grid }, i) => ({
    name: netNames[i] as string,
    config: { ...config, patchSize, imageSize: patchSize * grid },
    padding: (patchSize * grid - config.imageSize) / 2,
    grid,
    ...(i > 0 && { before: (sizes[i - 1] as typeof last).grid }),
  }))
}

/** Weights of a cascade under their official names; `feature_resuse_mlp` is spelled so there. */
export function cascadeParameters(config: CascadeConfig): Map<string, readonly number[]> {
  const { cascade, width: C, hidden, depth, heads } = config
  const { features, relations } = cascade
  const shapes = new Map<string, readonly number[]>()
  for (const { name, config: own, before } of netsOf(config)) {
    const layer = (path: string, weight: readonly number[]) => {
      shapes.set(`${name}.${path}.weight`, weight)
      shapes.set(`${name}.${path}.bias`, weight.slice(0, 1))
    }
    for (const [path, shape] of vitParameters(own)) shapes.set(`${name}.${path}`, shape)
    if (before === undefined) continue
    for (let l = 0; features && l < depth; l++) {
      layer(`blocks.${l}.norm2`, [C + features.width])
      layer(`blocks.${l}.mlp.fc1`, [hidden, C + features.width])
      layer(`blocks.${l}.feature_resuse_mlp.0`, [C])
      layer(`blocks.${l}.feature_resuse_mlp.1.fc1`, [features.hidden, C])
      layer(`blocks.${l}.feature_resuse_mlp.1.fc2`, [features.width, features.hidden])
    }
    if (!relations) continue
    const maps = depth * heads
    layer('relation_reuse_conv.0', [3 * maps, maps, 1, 1])
    layer('relation_reuse_conv.2', [maps, 3 * maps, 1, 1])
  }
  return shapes
}

/** What a model runs under, for reports: `dvt` for a cascade, else the method. */
export const methodText = <M extends string>(config: VitConfig, method: M): M | 'dvt' =>
  isCascade(config) ? 'dvt' : method

/**
 * Refuses a cascade where single models are wanted.
 *
 * @throws InputError
 */
export function refuseCascade(name: string, config: VitConfig, what: string): void {
  if (isCascade(config))
    fail(`${name}: ${what}, found a cascade of nets (DVT), which eval, classify, info and compare run`)
}
