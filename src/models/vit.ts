/**
 * The vision transformer and DeiT, plain or distilled, read top to bottom.
 *
 * ViT: arXiv 2010.11929; DeiT: arXiv 2012.12877. Weight names are timm's, layouts PyTorch's.
 */

import { constant, scoped, type Tensor } from '../graph/graph.js'
import { attention, splitHeads } from '../graph/ops/attention.js'
import { add, gelu, mul } from '../graph/ops/elementwise.js'
import { linear, matmul } from '../graph/ops/linear.js'
import { layerNorm } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { concat, expandBatch, reshape, slice, split, transpose } from '../graph/ops/shape.js'
import type { Block, Projection } from '../reduction/block.js'
import { type Form, type ModelShape, type Step, stateless } from '../reduction/method.js'
import { denseBlock } from '../reduction/none.js'
import type { Rows } from '../reduction/rows.js'
import { imageTokens, prefixTokens, type VitConfig } from './config.js'

/** Gives a weight by its name; a constant for inference, an input for training. */
export type Weights = (name: string) => Tensor

export interface VitOptions {
  /** The token reduction at work; default none. */
  readonly form?: Form<unknown>
  /** Pieces of a block in place of the model's, such as ones whose branches are dropped at random. */
  readonly wrap?: (block: Block) => Block
  /** Compute all token rows of the last block, not only those the head reads. Default false. */
  readonly allTokens?: boolean
}

export interface VitOutput {
  /** `[B, classes]`; of a distilled model the mean of both heads. */
  readonly logits: Tensor
  /** Each head's logits: class token, then distillation token; or mean of the image rows, then class token. */
  readonly headLogits: readonly Tensor[]
  /** What the head reads where image rows are pooled: `[B, C]`. */
  readonly pooled?: Tensor
  /** Rows after the final LayerNorm: `[B, n, C]`, or the prefix rows alone without `allTokens`. */
  readonly features: Tensor
  /** Rows that enter the first block. */
  readonly embedded: Tensor
  /** What every block got and did. */
  readonly blocks: readonly BlockRecord[]
  /** The rows that are read out, before the final LayerNorm. */
  readonly rows: Rows
}

/** A block, the rows that entered it, and what the method made of them. */
export interface BlockRecord {
  readonly block: Block
  readonly before: Rows
  readonly step: Step<unknown>
}

/** Sizes of a model as methods see them. */
export const shapeOf = (config: VitConfig): ModelShape => ({
  depth: config.depth,
  tokens: imageTokens(config),
  prefix: prefixTokens(config),
  width: config.width,
})

/**
 * The forward pass.
 *
 * @param weights - weights by timm name
 * @param pixels - normalised pictures `[B, 3, S, S]`
 */
export function vit(weights: Weights, pixels: Tensor, config: VitConfig, options: VitOptions = {}): VitOutput {
  const { form = stateless(denseBlock), allTokens = false, wrap = (block) => block } = options
  const { graph } = pixels
  const embedded = scoped(graph, 'embed', () => embed(weights, pixels, config)) // [B, N, C]
  let rows: Rows = { x: embedded, prefix: prefixTokens(config) }
  let state = form.start(rows)
  const blocks: BlockRecord[] = []
  for (let l = 0; l < config.depth; l++) {
    const reads = l === config.depth - 1 && !allTokens && config.pool !== 'mean' ? rows.prefix : 'all'
    const block = wrap(vitBlock(weights, config, l))
    const step = scoped(graph, `blocks.${l}`, () => form.block(block, rows, state, reads))
    blocks.push({ block, before: rows, step })
    rows = step.rows // [B, n, C]
    state = step.state
  }
  rows = form.end?.(rows, state) ?? rows
  const { x } = rows
  const norm = (name: string, t: Tensor) =>
    layerNorm(t, weights(`${name}.weight`), weights(`${name}.bias`), config.layerNormEps)
  const head = (name: string, token: Tensor) => linear(token, weights(`${name}.weight`), weights(`${name}.bias`))
  const token = (t: Tensor, row: number) => reshape(slice(t, 1, row, row + 1), [x.shape[0] ?? 1, config.width]) // [B, C]
  const features = norm('norm', x) // [B, N, C]
  if (config.pool === 'mean')
    return scoped(graph, 'head', () => {
      const pooled = norm('norm', reduceMean(slice(x, 1, rows.prefix), [1])) // [B, C]
      const logits = head('head', pooled) // [B, classes]
      const classLogits = config.classHead && head('head_cls', norm('norm_cls', token(x, 0))) // [B, classes]
      return {
        logits,
        headLogits: [logits, ...(classLogits ? [classLogits] : [])],
        features,
        pooled,
        embedded,
        blocks,
        rows,
      }
    })
  const headLogits = scoped(graph, 'head', () =>
    (config.distilled ? ['head', 'head_dist'] : ['head']).map((name, row) => head(name, token(features, row))),
  )
  return { logits: mean(headLogits), headLogits, features, embedded, blocks, rows }
}

/** Patches as tokens, behind the class token, with positions: `[B, 3, S, S]` → `[B, N, C]`. */
function embed(weights: Weights, pixels: Tensor, config: VitConfig): Tensor {
  const { patchSize: P, imageSize: S, width: C } = config
  const [B = 1] = pixels.shape
  const g = S / P
  const patches = transpose(reshape(pixels, [B, 3, g, P, g, P]), [0, 2, 4, 1, 3, 5]) // [B, g, g, 3, P, P]
  const weight = reshape(weights('patch_embed.proj.weight'), [C, 3 * P * P]) // [C, 3·P·P]
  const tokens = linear(reshape(patches, [B, g * g, 3 * P * P]), weight, weights('patch_embed.proj.bias')) // [B, N0, C]
  const prefix = [weights('cls_token'), ...(config.distilled ? [weights('dist_token')] : [])]
  const rows = concat([...prefix.map((token) => expandBatch(token, tokens)), tokens], 1) // [B, N, C]
  return add(rows, weights('pos_embed')) // [B, N, C]
}

/** The pieces of block l: attention and MLP with pre-norm and residual. */
export function vitBlock(weights: Weights, config: VitConfig, l: number): Block {
  const { heads, layerNormEps: eps } = config
  const w = (name: string) => weights(`blocks.${l}.${name}`)
  /** The packed projection in parts: 0 query, 1 key, 2 value. */
  const parts = lazy(() => {
    const biases = split(w('attn.qkv.bias'), 0, 3) // [C] each
    return split(w('attn.qkv.weight'), 0, 3).map((weight, i) => ({ weight, bias: biases[i] as Tensor })) // [C, C] each
  })
  const part = (i: 0 | 1 | 2) => parts()[i] as Projection
  const projection = (i: 0 | 1 | 2) => (y: Tensor) => linear(y, part(i).weight, part(i).bias)
  return {
    index: l,
    heads,
    prefix: prefixTokens(config),
    norm1: (x) => layerNorm(x, w('norm1.weight'), w('norm1.bias'), eps),
    query: projection(0),
    key: projection(1),
    value: projection(2),
    queryKeyValue: (y) =>
      split(linear(y, w('attn.qkv.weight'), w('attn.qkv.bias')), 2, 3) as unknown as [Tensor, Tensor, Tensor],
    linear: {
      get key() {
        return part(1)
      },
      get value() {
        return part(2)
      },
    },
    logits: (q, k) =>
      matmul(splitHeads(q, heads), splitHeads(k, heads), { transB: true, alpha: (config.width / heads) ** -0.5 }),
    attend: (q, k, v, bias) => attention(q, k, v, heads, bias),
    project: (o) => linear(o, w('attn.proj.weight'), w('attn.proj.bias')),
    feedForward: (x) => {
      const y = layerNorm(x, w('norm2.weight'), w('norm2.bias'), eps) // [B, n, C]
      const hidden = gelu(linear(y, w('mlp.fc1.weight'), w('mlp.fc1.bias'))) // [B, n, R·C]
      return linear(hidden, w('mlp.fc2.weight'), w('mlp.fc2.bias')) // [B, n, C]
    },
  }
}

/** Builds at the first call, and once. */
function lazy<T>(build: () => T): () => T {
  let value: T | undefined
  return () => {
    value ??= build()
    return value
  }
}

function mean(tensors: readonly Tensor[]): Tensor {
  const [first, ...rest] = tensors as [Tensor, ...Tensor[]]
  if (rest.length === 0) return first
  return mul(rest.reduce(add, first), constant(first.graph, Float32Array.of(1 / tensors.length), []))
}
