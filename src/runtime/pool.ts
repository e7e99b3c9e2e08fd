/**
 * One vector a picture, from the rows that leave a model's final LayerNorm.
 *
 * `head` is what the classifier reads: the class row; of a distilled DeiT the mean of class and distillation row, which
 * timm calls its pre-logits (arXiv 2012.12877 averages the answers of both); of a Swin the mean of the image rows; and of
 * models that pool otherwise what they pool, which they compute themselves. Safe in browsers.
 */

import { fail } from '../errors.js'
import { readOutOf } from '../models/backbone.js'
import { prefixTokens, type VitConfig, pooledWidth as widthOfPooled } from '../models/config.js'
import { isSwin } from '../models/swin-config.js'

/** Ways to make one vector of a picture's rows. */
export const pools = ['head', 'class', 'mean'] as const
export type Pool = (typeof pools)[number]

/** How the rows of a picture lie: `prefix` rows, then the image tokens in raster order. */
export interface RowLayout {
  /** Rows before the image tokens: class token, distillation token. */
  readonly prefix: number
  /** Leading rows that the head reads, where that is not all of the prefix (registers are not read), or all image rows. */
  readonly read?: number | 'image'
  /** Image tokens N0. */
  readonly tokens: number
  /** Features of a row C. */
  readonly width: number
  /** Features of what the model pools, where its head reads that and no rows. */
  readonly pooled?: number
}

/** How the features of a model lie. */
export const layoutOf = (config: VitConfig): RowLayout => ({
  prefix: prefixTokens(config),
  read: isSwin(config) ? 'image' : prefixTokens(config) - (config.registers ?? 0),
  ...readOutOf(config),
  ...(readsPooled(config) && { pooled: config.projection ?? widthOfPooled(config) }),
})

/**
 * Whether the head reads a vector that the model pools from its rows or makes of them, and not rows themselves: SigLIP's
 * attention pooling, CLIP's projection, a mean that is normed, DINOv2's class row beside the mean.
 */
export const readsPooled = (config: VitConfig): boolean =>
  !isSwin(config) && (config.projection !== undefined || (config.pool ?? 'class') !== 'class')

/**
 * Refuses what a model's features do not tell.
 *
 * @throws InputError where a class row is asked of a model without one
 */
export function checkPool({ name, config }: { readonly name: string; readonly config: VitConfig }, pool: Pool): void {
  if (pool === 'class' && config.classToken === false) fail(`pool class: ${name} has no class token; choose mean`)
}

/** Features of a picture's vector. */
export const pooledWidth = ({ width, pooled = width }: RowLayout, pool: Pool): number =>
  pool === 'head' ? pooled : width

/**
 * One vector a picture: what the model pools where its head reads that, else rows or their mean.
 *
 * @returns `[B, pooledWidth]`
 * @throws InputError where the classifier was not opened with features, or is an ONNX file without `pooled`
 */
export function pooledOf(
  { features, pooled }: { readonly features?: Float32Array; readonly pooled?: Float32Array },
  layout: RowLayout,
  pool: Pool,
): Float32Array {
  const wanted = 'embed: wanted a classifier that was opened with features: true'
  if (pool === 'head' && layout.pooled !== undefined) return pooled ?? fail(wanted)
  return poolFeatures(features ?? fail(wanted), layout, pool)
}

/**
 * Pools the rows of every picture.
 *
 * @param features - rows after the final LayerNorm `[B, prefix + tokens, C]`, such as `forward` gives with `features`
 * @param pool - `head` what the classifier reads, `class` the class row, `mean` the mean of the image tokens that the
 *   token reduction has not dropped
 * @returns `[B, C]`
 * @throws Error when the length is no whole number of pictures
 */
export function poolFeatures(features: Float32Array, layout: RowLayout, pool: Pool = 'head'): Float32Array {
  const { prefix, read = prefix, tokens, width: C } = layout
  const length = (prefix + tokens) * C
  const pictures = features.length / length
  if (!Number.isInteger(pictures))
    throw new Error(`features: wanted a multiple of ${prefix + tokens} rows of ${C}, found ${features.length} values`)
  const mean = [prefix, prefix + tokens] as const
  const [from, to] = { head: read === 'image' ? mean : ([0, read] as const), class: [0, 1] as const, mean }[pool]
  const pooled = new Float32Array(pictures * C) // [B, C]
  for (let b = 0; b < pictures; b++)
    pooled.set(meanRow(features.subarray(b * length + from * C, b * length + to * C), C), b * C)
  return pooled
}

/** Image tokens among rows `[B, prefix + tokens, C]` that the token reduction has dropped. */
export function countGone(features: Float32Array, { prefix, tokens, width: C }: RowLayout): number {
  let gone = 0
  for (let row = 0; row < features.length / C; row++)
    if (row % (prefix + tokens) >= prefix && isGone(features.subarray(row * C, (row + 1) * C))) gone++
  return gone
}

/** Mean of the rows of `[n, C]` that are there, summed in double precision: `[C]`. */
function meanRow(rows: Float32Array, C: number): Float32Array {
  if (rows.length === C) return rows
  const sum = new Float64Array(C)
  let there = 0
  for (let start = 0; start < rows.length; start += C) {
    const row = rows.subarray(start, start + C)
    if (isGone(row)) continue
    there++
    for (let c = 0; c < C; c++) sum[c] = (sum[c] as number) + (row[c] as number)
  }
  return Float32Array.from(sum, (value) => value / Math.max(1, there))
}

/** Whether a token has been dropped on the way: its row is zeros then. */
export const isGone = (row: Float32Array): boolean => row.every((value) => value === 0)

/**
 * Divides every row by its length, in place, so that a product of two rows is their cosine. A row of zeros stays.
 *
 * @param rows - `[n, C]`
 */
export function normaliseRows(rows: Float32Array, C: number): Float32Array {
  for (let start = 0; start < rows.length; start += C) {
    const row = rows.subarray(start, start + C)
    const length = Math.sqrt(row.reduce((squares, value) => squares + value * value, 0))
    if (length > 0) for (let c = 0; c < C; c++) row[c] = (row[c] as number) / length
  }
  return rows
}

/** Rows `[B, prefix + tokens, C]` as the image tokens `[B, N0, C]` and the prefix rows `[B, P, C]`, each by itself. */
export function splitRows(rows: Float32Array, { prefix, tokens, width: C }: RowLayout) {
  const length = (prefix + tokens) * C
  const pictures = rows.length / length
  const features = new Float32Array(pictures * tokens * C)
  const before = new Float32Array(pictures * prefix * C)
  for (let b = 0; b < pictures; b++) {
    const start = b * length
    before.set(rows.subarray(start, start + prefix * C), b * prefix * C)
    features.set(rows.subarray(start + prefix * C, start + length), b * tokens * C)
  }
  return { features, prefix: before }
}
