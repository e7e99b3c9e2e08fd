/** Architecture from weights: the sizes of a Swin transformer, read off its keys and shapes. Safe in browsers. */

import { fail } from '../errors.js'
import { pictureSize, type VitConfig } from '../models/config.js'
import { checkMaps, SWIN_EPS, type SwinConfig, type SwinStage, swinParameters } from '../models/swin-config.js'
import { type StateDict, shapeText } from './state.js'

/** What shapes cannot tell, or not always. */
export interface SwinHints {
  /** Picture side; shapes do not tell it. Default 224, or the nearest size whose maps windows divide. */
  readonly imageSize?: number | undefined
  readonly imageHeight?: number | undefined
  /** LayerNorm's epsilon; default {@link SWIN_EPS}. */
  readonly layerNormEps?: number | undefined
}

/** A key that every Swin transformer has, and nothing else, under official names. */
const sign = 'layers.0.blocks.0.attn.relative_position_bias_table'

/** Whether these weights are a Swin transformer's, under official names. */
export const isSwinState = (state: StateDict): boolean => state.has(sign)

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

/**
 * A complete Swin for another picture size: nothing in its weights depends on it, as long as windows divide the maps.
 *
 * @param imageSize - side of the picture, or its height and width
 * @throws InputError where they do not
 */
export function resizeSwin(
  config: VitConfig,
  state: StateDict,
  imageSize: number | readonly [number, number],
): { readonly config: VitConfig; readonly state: StateDict } {
  const [height, width] = typeof imageSize === 'number' ? [imageSize, imageSize] : imageSize
  const { imageHeight: _, ...square } = config
  const resized = { ...square, imageSize: width, ...(height !== width && { imageHeight: height }) } as SwinConfig
  if (pictureSize(config).join() === [height, width].join()) return { config, state }
  checkMaps(resized)
  const tables = [...swinParameters(resized)].filter(([name]) => name.endsWith('_bias_table'))
  const other = tables.find(([name, shape]) => state.get(name)?.shape[0] !== shape[0])
  if (other)
    fail(
      `an image size of ${width} wants windows of another side than the weights have: ${other[0]} would be ${shapeText(other[1])}`,
    )
  return { config: resized, state }
}
