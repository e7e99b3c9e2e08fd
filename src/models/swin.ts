/**
 * The Swin transformer (Liu et al., arXiv 2103.14030), read top to bottom: patches of 4 x 4 pixels, stages of blocks that
 * attend within windows, every second of them shifted, and patch merging between the stages.
 *
 * Weight names are the official repository's (microsoft/Swin-Transformer), layouts PyTorch's.
 */

import type { Dim } from '../graph/dims.js'
import { scoped, type Tensor } from '../graph/graph.js'
import { attend, mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { gelu } from '../graph/ops/elementwise.js'
import { linear, matmul } from '../graph/ops/linear.js'
import { layerNorm } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { reorderRows } from '../graph/ops/rows.js'
import { reshape, split, transpose } from '../graph/ops/shape.js'
import type { Block } from '../reduction/block.js'
import { type ModelShape, stateless } from '../reduction/method.js'
import { denseBlock } from '../reduction/none.js'
import type { Rows } from '../reduction/rows.js'
import { gridSize } from './config.js'
import { type StageSizes, type SwinConfig, stagesOf } from './swin-config.js'
import type { BlockRecord, VitOptions, VitOutput, Weights } from './vit.js'
import { mergeOrder, windowsOf } from './windows.js'

/** Sizes of a Swin transformer as methods see them. */
export const swinShape = (config: SwinConfig): ModelShape => {
  const stages = stagesOf(config)
  const [first] = stages as [StageSizes]
  return {
    depth: config.depth,
    tokens: first.map[0] * first.map[1],
    prefix: 0,
    width: config.width,
    classToken: false,
    stages: stages.map(({ first, depth, width, map, window }) => ({
      first,
      depth,
      width,
      map,
      tokens: map[0] * map[1],
      windowRows: window * window,
    })),
  }
}

/**
 * The forward pass.
 *
 * @param weights - weights by official name
 * @param pixels - normalised pictures `[B, 3, height, width]`
 */
export function swin(weights: Weights, pixels: Tensor, config: SwinConfig, options: VitOptions = {}): VitOutput {
  const { form = stateless(denseBlock), wrap = (block) => block } = options
  const { graph } = pixels
  const { layerNormEps: eps } = config
  const norm = (name: string, x: Tensor) => layerNorm(x, weights(`${name}.weight`), weights(`${name}.bias`), eps)
  const embedded = scoped(graph, 'embed', () => norm('patch_embed.norm', embed(weights, pixels, config))) // [B, N0, C]
  let rows: Rows = { x: embedded, prefix: 0 }
  let state = form.start(rows)
  const blocks: BlockRecord[] = []
  const behind: Tensor[] = []
  for (const sizes of stagesOf(config)) {
    for (let b = 0; b < sizes.depth; b++) {
      const l = sizes.first + b
      const block = wrap(swinBlock(weights, config, sizes, b))
      const step = scoped(graph, `blocks.${l}`, () => form.block(block, rows, state, 'all'))
      blocks.push({ block, before: rows, step })
      rows = step.rows // [B, N, C]
      state = step.state
    }
    if (sizes.stage < config.stages.length - 1) {
      const x = scoped(graph, `merge.${sizes.stage}`, () => merge(weights, rows.x, sizes, eps)) // [B, N/4, 2C]
      rows = { x, prefix: 0 }
    }
    behind.push(rows.x)
  }
  rows = form.end?.(rows, state) ?? rows
  const features = norm('norm', rows.x) // [B, N, C]
  const seen = { embedded, blocks, rows, features, stages: behind }
  return scoped(graph, 'head', () => {
    const pooled = reduceMean(features, [1]) // [B, C]
    if (config.classes === 0) return { ...seen, pooled, logits: pooled, headLogits: [] }
    const logits = linear(pooled, weights('head.weight'), weights('head.bias')) // [B, classes]
    return { ...seen, pooled, logits, headLogits: [logits] }
  })
}

/** Patches as tokens: `[B, 3, height, width]` → `[B, N0, C]`. */
function embed(weights: Weights, pixels: Tensor, config: SwinConfig): Tensor {
  const { patchSize: P, width: C } = config
  const [B = 1] = pixels.shape
  const [rows, columns] = gridSize(config)
  const patches = transpose(reshape(pixels, [B, 3, rows, P, columns, P]), [0, 2, 4, 1, 3, 5]) // [B, rows, columns, 3, P, P]
  const weight = reshape(weights('patch_embed.proj.weight'), [C, 3 * P * P]) // [C, 3·P·P]
  return linear(reshape(patches, [B, rows * columns, 3 * P * P]), weight, weights('patch_embed.proj.bias')) // [B, N0, C]
}

/** Patch merging: four neighbours side by side, normed, and mapped to twice the width: `[B, N, C]` → `[B, N/4, 2C]`. */
function merge(weights: Weights, x: Tensor, { stage, map, width: C }: StageSizes, eps: number): Tensor {
  const [B] = x.shape as [Dim]
  const w = (name: string) => weights(`layers.${stage}.downsample.${name}`)
  const cells = reshape(reorderRows(x, mergeOrder(map)), [B, (map[0] * map[1]) / 4, 4 * C]) // [B, N/4, 4C]
  return linear(layerNorm(cells, w('norm.weight'), w('norm.bias'), eps), w('reduction.weight'))
}

/** The pieces of block b of a stage. */
function swinBlock(weights: Weights, { layerNormEps }: SwinConfig, sizes: StageSizes, b: number): Block {
  const { stage, heads, width: C } = sizes
  const w = (name: string) => weights(`layers.${stage}.blocks.${b}.${name}`)
  const norm = (name: string, x: Tensor) => layerNorm(x, w(`${name}.weight`), w(`${name}.bias`), layerNormEps)
  const part = (i: 0 | 1 | 2) => (y: Tensor) =>
    linear(y, split(w('attn.qkv.weight'), 0, 3)[i] as Tensor, split(w('attn.qkv.bias'), 0, 3)[i])
  const shift = b % 2 === 0 ? 0 : sizes.shift
  const windows = windowsOf({ ...sizes, shift }, w('attn.relative_position_bias_table'))
  const logits: Block['logits'] = (q, k, at) => {
    const raw = matmul(splitHeads(q, heads), splitHeads(k, heads), { transB: true, alpha: (C / heads) ** -0.5 })
    return windows.biased(raw, at) // [B·nW, H, n, n]
  }
  return {
    index: sizes.first + b,
    heads,
    prefix: 0,
    windows,
    norm1: (x) => norm('norm1', x),
    query: part(0),
    key: part(1),
    value: part(2),
    queryKeyValue: (y) => split(linear(y, w('attn.qkv.weight'), w('attn.qkv.bias')), 2, 3) as [Tensor, Tensor, Tensor], // [B, N, C] each
    logits,
    attend: (q, k, v) => mergeHeads(attend(logits(q, k), splitHeads(v, heads)).mixed), // [B·nW, w², C]
    project: (o) => linear(o, w('attn.proj.weight'), w('attn.proj.bias')),
    feedForward: (x) => {
      const hidden = gelu(linear(norm('norm2', x), w('mlp.fc1.weight'), w('mlp.fc1.bias'))) // [B, n, R·C]
      return linear(hidden, w('mlp.fc2.weight'), w('mlp.fc2.bias')) // [B, n, C]
    },
  }
}
