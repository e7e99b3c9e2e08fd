/**
 * The backbones, behind one door: what a model holds, how it computes, and what methods may know of its sizes. Which one a
 * model is its config tells.
 */

import type { Tensor } from '../graph/graph.js'
import type { ModelShape } from '../reduction/method.js'
import { imageTokens, type VitConfig, vitParameters } from './config.js'
import { swin, swinShape } from './swin.js'
import { isSwin, lastStage, type SwinConfig, swinParameters } from './swin-config.js'
import { type VitOptions, type VitOutput, vit, vitShape, type Weights } from './vit.js'

/** What a kind of model is. C: its config. */
interface Backbone<C extends VitConfig> {
  /** The tensors that a checkpoint must hold, with their shapes. */
  parameters(config: C): Map<string, readonly number[]>
  /** Sizes as methods see them. */
  shape(config: C): ModelShape
  forward(weights: Weights, pixels: Tensor, config: C, options?: VitOptions): VitOutput
  /** Image rows that are read out, and their width. */
  readOut(config: C): { readonly tokens: number; readonly width: number }
}

const plain: Backbone<VitConfig> = {
  parameters: vitParameters,
  shape: vitShape,
  forward: vit,
  readOut: (config) => ({ tokens: imageTokens(config), width: config.width }),
}

const pyramid: Backbone<SwinConfig> = {
  parameters: swinParameters,
  shape: swinShape,
  forward: swin,
  readOut(config) {
    const { map, width } = lastStage(config)
    return { tokens: map[0] * map[1], width }
  },
}

const backboneOf = (config: VitConfig): Backbone<VitConfig> =>
  isSwin(config) ? (pyramid as Backbone<VitConfig>) : plain

/** The tensors a checkpoint of this architecture must hold, with their shapes. */
export const parametersOf = (config: VitConfig) => backboneOf(config).parameters(config)

/** Sizes of a model as methods see them. */
export const shapeOf = (config: VitConfig): ModelShape => backboneOf(config).shape(config)

/** Image rows behind the last block, and their width. */
export const readOutOf = (config: VitConfig) => backboneOf(config).readOut(config)

/**
 * The forward pass.
 *
 * @param weights - weights by name, those of {@link parametersOf}
 * @param pixels - normalised pictures `[B, 3, height, width]`
 */
export const forward = (weights: Weights, pixels: Tensor, config: VitConfig, options?: VitOptions): VitOutput =>
  backboneOf(config).forward(weights, pixels, config, options)
