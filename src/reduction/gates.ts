/** The gates of AdaViT (arXiv 2111.15668): one linear layer each for tokens, heads and the two sublayers of a block. */

import type { Dim } from '../graph/dims.js'
import { scalar, type Tensor } from '../graph/graph.js'
import { add, cast, detach, less, scale, sigmoid, sub } from '../graph/ops/elementwise.js'
import { linear } from '../graph/ops/linear.js'
import { reshape, slice } from '../graph/ops/shape.js'
import type { Block } from './block.js'
import type { Build } from './method.js'
import type { Rows } from './rows.js'

/** What a block decides; heads and sublayers are there for good in the first one. */
export interface Gates {
  /** `[B, N0]` */
  readonly tokens: Tensor
  /** `[B, H]` */
  readonly heads?: Tensor
  /** `[B, 2]`: attention, MLP. */
  readonly sublayers?: Tensor
}

export type GateName = keyof Gates

/** The first block whose heads and sublayers may be left out. */
export const FIRST = 1

const names = { tokens: 'attn.token_select', heads: 'head_select', sublayers: 'layer_select' } as const

/** Weights of the gates of some blocks, with their shapes. */
export function gateWeights(blocks: readonly number[], C: number, H: number): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>()
  for (const l of blocks)
    for (const [gate, rows] of Object.entries({ tokens: 1, ...(l >= FIRST && { heads: H, sublayers: 2 }) })) {
      const name = `blocks.${l}.${names[gate as GateName]}.mlp_head`
      shapes.set(`${name}.weight`, [rows, C])
      shapes.set(`${name}.bias`, [rows])
    }
  return shapes
}

/** The logit that all gates start from: most are open, so that training begins near the dense model. */
export const OPEN = 2

/** Names of such weights. */
export const gateWeight = /^blocks\.\d+\.(attn\.token_select|head_select|layer_select)\.mlp_head\.(weight|bias)$/

/**
 * What the gates of a block say, before the sigmoid. Tokens are judged by their normalised rows, the rest by the class
 * token's row as it comes in.
 *
 * @param y - LN1(x) `[B, n, C]`
 */
export function gateLogits(build: Build, block: Block, { x, prefix }: Rows, y: Tensor): Gates {
  const { tokens: N0, width: C } = build.shape
  const B = x.shape[0] as Dim
  const gate = (name: GateName, t: Tensor) => {
    const path = `blocks.${block.index}.${names[name]}.mlp_head`
    return linear(t, build.weight(`${path}.weight`), build.weight(`${path}.bias`))
  }
  const tokens = reshape(gate('tokens', slice(y, 1, prefix)), [B, N0]) // [B, N0]
  if (block.index < FIRST) return { tokens }
  const cls = reshape(slice(x, 1, 0, 1), [B, C]) // [B, C]
  return { tokens, heads: gate('heads', cls), sublayers: gate('sublayers', cls) }
}

/** How much surer a token's gate must be than those of heads and sublayers: odds of 0.6 to 0.4. */
const TOKEN_ODDS = 1.5

/**
 * The logit above which a gate is open: at ratio K the odds have to be above (1 - K) / K, of tokens 1.5 times that. At
 * K = 1/2, as published, those are chances of 0.5, and of 0.6 for tokens; at K = 1 everything is kept.
 */
export const threshold = (gate: GateName, ratio: number): number =>
  Math.log(((1 - ratio) / ratio) * (gate === 'tokens' ? TOKEN_ODDS : 1))

/** 1 for gates that are open. */
export const isOpen = (gate: GateName, logits: Tensor, ratio: number): Tensor =>
  cast(less(scalar(logits.graph, threshold(gate, ratio)), logits), 'float32')

/** Temperature of the decisions in training. */
const TAU = 5

/**
 * Opens gates by chance, with the gradient of the chance (Jang et al., arXiv 1611.01144).
 *
 * @param noise - differences of two Gumbel numbers, in the shape of the logits
 */
export function openByChance(gate: GateName, logits: Tensor, noise: Tensor, ratio: number): Tensor {
  const perturbed = scale(add(logits, noise), 1 / TAU)
  const soft = sigmoid(perturbed)
  return add(sub(isOpen(gate, perturbed, ratio), detach(soft)), soft)
}
