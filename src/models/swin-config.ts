/**
 * What defines a Swin transformer (Liu et al., arXiv 2103.14030): stages of blocks that attend within windows, with patch
 * merging between them.
 *
 * It is told in the fields of a ViT, which stand for what enters the first block: its width, heads and hidden units are
 * those of the first stage, its depth is that of all stages. There is no class token, and the head reads the mean row.
 */

import { fail } from '../errors.js'
import { gridSize, type VitConfig } from './config.js'

/** Blocks and attention heads of one stage. */
export interface SwinStage {
  readonly depth: number
  readonly heads: number
}

/** Sizes of a Swin transformer. */
export interface SwinConfig extends VitConfig {
  /** Every stage is twice as wide as the one before it, on a map of half the sides. */
  readonly stages: readonly SwinStage[]
  /** Side of a window, in tokens. */
  readonly windowSize: number
}

/** LayerNorm's epsilon in every published Swin. */
export const SWIN_EPS = 1e-5

/** Whether a model is a Swin transformer. */
export const isSwin = (config: VitConfig): config is SwinConfig => 'stages' in config

/** Sizes of a stage as its blocks see them. */
export interface StageSizes extends SwinStage {
  readonly stage: number
  /** Number of its first block, counted through the model. */
  readonly first: number
  /** Token width C. */
  readonly width: number
  /** Hidden width of the MLPs. */
  readonly hidden: number
  /** Rows and columns of its map. */
  readonly map: readonly [number, number]
  /** Side of its windows: a map that is no larger than a window is one window. */
  readonly window: number
  /** How far every second block shifts its windows; 0 where the map is one window. */
  readonly shift: number
}

/** Sizes of all stages. */
export function stagesOf(config: SwinConfig): StageSizes[] {
  const [rows, columns] = gridSize(config)
  let first = 0
  return config.stages.map((each, stage) => {
    const scale = 2 ** stage
    const map = [rows / scale, columns / scale] as const
    const whole = Math.min(...map) <= config.windowSize
    const sizes = {
      ...each,
      stage,
      first,
      width: config.width * scale,
      hidden: config.hidden * scale,
      map,
      window: whole ? Math.min(...map) : config.windowSize,
      shift: whole ? 0 : Math.floor(config.windowSize / 2),
    }
    first += each.depth
    return sizes
  })
}

/** Sizes of the map that is read out. */
export const lastStage = (config: SwinConfig): StageSizes => stagesOf(config).at(-1) as StageSizes

/**
 * Refuses pictures whose maps do not divide into windows, or cannot be halved between stages.
 *
 * @throws InputError
 */
export function checkMaps(config: SwinConfig): void {
  for (const { stage, map, window, heads, width } of stagesOf(config)) {
    if (map.some((side) => !Number.isInteger(side)))
      fail(`Swin: stage ${stage} would have a map of ${map.join(' x ')} tokens, which is not whole`)
    if (map.some((side) => side % window !== 0))
      fail(`Swin: stage ${stage} has a map of ${map.join(' x ')} tokens, which windows of ${window} do not divide`)
    if (width % heads !== 0) fail(`Swin: stage ${stage} cannot split a width of ${width} into ${heads} heads`)
  }
}

/** The tensors of a Swin checkpoint with their shapes, under the official repository's names. */
export function swinParameters(config: SwinConfig): Map<string, readonly number[]> {
  const { width: C, patchSize: P, classes } = config
  const shapes = new Map<string, readonly number[]>()
  const layer = (name: string, weight: readonly number[], bias = true) => {
    shapes.set(`${name}.weight`, weight)
    if (bias) shapes.set(`${name}.bias`, weight.slice(0, 1))
  }
  layer('patch_embed.proj', [C, 3, P, P])
  layer('patch_embed.norm', [C])
  const stages = stagesOf(config)
  for (const { stage, depth, heads, width, hidden, window } of stages) {
    for (let b = 0; b < depth; b++) {
      const block = `layers.${stage}.blocks.${b}`
      layer(`${block}.norm1`, [width])
      shapes.set(`${block}.attn.relative_position_bias_table`, [(2 * window - 1) ** 2, heads])
      layer(`${block}.attn.qkv`, [3 * width, width])
      layer(`${block}.attn.proj`, [width, width])
      layer(`${block}.norm2`, [width])
      layer(`${block}.mlp.fc1`, [hidden, width])
      layer(`${block}.mlp.fc2`, [width, hidden])
    }
    if (stage === stages.length - 1) continue
    layer(`layers.${stage}.downsample.norm`, [4 * width])
    layer(`layers.${stage}.downsample.reduction`, [2 * width, 4 * width], false)
  }
  const read = lastStage(config).width
  layer('norm', [read])
  if (classes > 0) layer('head', [classes, read])
  return shapes
}
