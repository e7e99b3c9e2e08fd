/**
 * From pixels to one token a patch: a linear map of its pixels (ViT, arXiv 2010.11929), or of what a convolutional stem
 * made of them (LV-ViT, arXiv 2104.10858), or the tokens-to-token module (T2T-ViT, arXiv 2101.11986). The stem's batch norms are part of its convolutions, see `weights/stem.ts`.
 */

import type { Tensor } from '../graph/graph.js'
import { relu } from '../graph/ops/activations.js'
import { convolve } from '../graph/ops/convolve.js'
import { linear } from '../graph/ops/linear.js'
import { reshape, transpose } from '../graph/ops/shape.js'
import { gridSize, patchSource, type VitConfig } from './config.js'
import { tokensToToken } from './tokens-to-token.js'

/** Gives a weight by its name. */
type Weights = (name: string) => Tensor

/** Tokens of all patches in raster order, without positions: `[B, 3, height, width]` → `[B, N0, C]`. */
export function patchTokens(weights: Weights, pixels: Tensor, config: VitConfig): Tensor {
  const { width: C, patchBias = true, tokensToToken: module } = config
  if (module) return tokensToToken(weights, pixels, module, config.layerNormEps)
  const [B = 1] = pixels.shape
  const [rows, columns] = gridSize(config)
  const { channels: c, side: P } = patchSource(config)
  const source = config.stem === undefined ? pixels : stem(weights, pixels) // [B, c, rows·P, columns·P]
  const patches = transpose(reshape(source, [B, c, rows, P, columns, P]), [0, 2, 4, 1, 3, 5]) // [B, rows, columns, c, P, P]
  const weight = reshape(weights('patch_embed.proj.weight'), [C, c * P * P]) // [C, c·P·P]
  const flat = reshape(patches, [B, rows * columns, c * P * P]) // [B, N0, c·P·P]
  return linear(flat, weight, patchBias ? weights('patch_embed.proj.bias') : undefined) // [B, N0, C]
}

/** Three convolutions, the first in steps of two: `[B, 3, height, width]` → `[B, c, height/2, width/2]`. */
function stem(weights: Weights, pixels: Tensor): Tensor {
  const layer = (name: string, x: Tensor, stride: number, padding: number) => {
    const at = `patch_embed.${name}`
    return relu(convolve(x, weights(`${at}.weight`), weights(`${at}.bias`), { stride, padding }))
  }
  return layer('conv3', layer('conv2', layer('conv1', pixels, 2, 3), 1, 1), 1, 1)
}
