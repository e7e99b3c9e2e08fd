/** Architecture from weights: the sizes of a Swin transformer, read off its keys and shapes. Safe in browsers. */

import { fail } from '../errors.js'
import { checkMaps, type SwinConfig, type SwinStage } from '../models/swin-config.js'
import { type StateDict, shapeText } from './state.js'

/** What shapes cannot tell, or not always. */
export interface SwinHints {
  /** Picture side; shapes do not tell it. Default 224, or the nearest size whose maps windows divide. */
  readonly imageSize?: number | undefined
  readonly imageHeight?: number | undefined
  /** Side of windows, where all tables are of smaller maps. */
  readonly layerNormEps?: number | undefined
}

/** A key that every Swin transformer has, and nothing else, under official names. */
const sign = 'layers.0.blocks.0.attn.relative_position_bias_table'

/** Whether these weights are a Swin transformer's, under official names. */
export const isSwinState = (state: StateDict): boolean => state.has(sign)

/** LayerNorm's epsilon in every published Swin. */
export const SWIN_EPS = 1e-5

/** Pictures of published models. */
const USUAL_SIDE = 224

/**
 * The sizes of the Swin transformer whose weights these are.
 *
 * @param state - under official names (see toTimmNames)
 * @throws InputError where keys and shapes make no such model
 */
export function inferSwinConfig(state: StateDict, hints: SwinHints = {}): SwinConfig {
  const shapeOf = (name: string, rank: number, what: string): readonly number[] => {
    const shape = state.get(name)?.shape ?? fail(`Swin: there is no ${name}`)
    return shape.length === rank && !shape.includes(0) ? shape : fail(`${name} ${shapeText(shape)} should be ${what}`)
  }
  const [width = 0, , patchSize = 0, other] = shapeOf('patch_embed.proj.weight', 4, '[width, 3, patch, patch]')
  if (patchSize !== other) fail('patch_embed.proj.weight: patches should be square')
  const tables: number[] = []
  const stages: SwinStage[] = []
  for (let stage = 0; state.has(`layers.${stage}.blocks.0.norm1.weight`); stage++) {
    const table = `layers.${stage}.blocks.0.attn.relative_position_bias_table`
    const [rows = 0, heads = 0] = shapeOf(table, 2, '[(2 window - 1)², heads]')
    const side = (Math.sqrt(rows) + 1) / 2
    if (!Number.isInteger(side)) fail(`${table} ${shapeText([rows, heads])} should be [(2 window - 1)², heads]`)
    tables.push(side)
    let depth = 0
    while (state.has(`layers.${stage}.blocks.${depth}.norm1.weight`)) depth++
    stages.push({ depth, heads })
  }
  const [hidden = 0] = shapeOf('layers.0.blocks.0.mlp.fc1.weight', 2, '[hidden, width]')
  const [classes = 0] = state.has('head.weight') ? shapeOf('head.weight', 2, '[classes, width]') : []
  const windowSize = Math.max(...tables)
  const unit = windowSize * patchSize * 2 ** (stages.length - 1)
  const { imageSize = Math.max(1, Math.round(USUAL_SIDE / unit)) * unit, imageHeight, layerNormEps = SWIN_EPS } = hints
  const config: SwinConfig = {
    imageSize,
    ...(imageHeight !== undefined && imageHeight !== imageSize && { imageHeight }),
    patchSize,
    width,
    depth: stages.reduce((sum, { depth }) => sum + depth, 0),
    heads: stages[0]?.heads ?? 0,
    hidden,
    classes,
    distilled: false,
    layerNormEps,
    classToken: false,
    pool: 'mean',
    stages,
    windowSize,
  }
  checkMaps(config)
  return config
}
