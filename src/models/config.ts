/**
 * What defines a vision transformer: sizes and options, independent of its weights.
 *
 * ViT: Dosovitskiy et al., arXiv 2010.11929; DeiT: Touvron et al., arXiv 2012.12877; LayerScale: arXiv 2103.17239;
 * DeiT III: arXiv 2204.07118; LV-ViT: arXiv 2104.10858; CLIP: arXiv 2103.00020; SigLIP: arXiv 2303.15343; DINOv2: arXiv
 * 2304.07193; registers: arXiv 2309.16588; DINOv3: arXiv 2508.10104; T2T-ViT: arXiv 2101.11986.
 */

import type { Rotary } from './rotary.js'
import { type TokensToToken, tokensToTokenParameters } from './tokens-to-token.js'

/** Sizes and options of a vision transformer; what is left out is as in DeiT. */
export interface VitConfig {
  /** Picture side in pixels; a multiple of `patchSize`. Of a picture that is not square the width. */
  readonly imageSize: number
  /** Picture height in pixels where it is not `imageSize`; a multiple of `patchSize`. */
  readonly imageHeight?: number
  /** Patch side in pixels. */
  readonly patchSize: number
  /** Token width C. */
  readonly width: number
  /** Number of blocks L. */
  readonly depth: number
  /** Attention heads H; C must be a multiple of H. */
  readonly heads: number
  /** Hidden width of the MLP (DeiT: 4 C). */
  readonly hidden: number
  /** Number of classes; 0 for a model without a head, which gives what a head would read. */
  readonly classes: number
  /** DeiT's distillation token and second head (logits are the mean of both heads). */
  readonly distilled: boolean
  /** LayerNorm epsilon: 1e-6 in timm and DeiT. */
  readonly layerNormEps: number
  /** Whether a class token leads the rows; default true. */
  readonly classToken?: boolean
  /** Register tokens behind the class token; default 0. They are computed in every block. */
  readonly registers?: number
  /** Rows that have a learned position: all (default), all but registers, the image tokens alone, or none. */
  readonly positions?: 'all' | 'class' | 'image' | 'none'
  /** How learned positions are resized for pictures of another size; default `bicubic`. It changes nothing at their own. */
  readonly resizing?: PositionResizing
  /** How queries and keys of image tokens are turned by their place; default not at all. */
  readonly rotary?: Rotary
  /**
   * Channels of three convolutions between the picture and its patches, the first of which halves its sides (LV-ViT);
   * default: no such stem.
   */
  readonly stem?: number
  /** Tokens are made of overlapping pieces that see each other on the way (T2T-ViT); `patchSize` is 16. */
  readonly tokensToToken?: TokensToToken
  /** Whether patches are embedded with a bias; default true. */
  readonly patchBias?: boolean
  /** LayerNorm before the blocks (CLIP); default false. */
  readonly preNorm?: boolean
  /** Which of query, key and value have a bias: all (default), all but keys (BEiT, DINOv3), or none. */
  readonly qkvBias?: 'all' | 'qv' | 'none'
  /** LayerNorm on the queries and keys of every head; default false. */
  readonly qkNorm?: boolean
  /** Learned factors of both residual branches, channel by channel; default false. */
  readonly layerScale?: boolean
  /** Factor of both residual branches (LV-ViT: 1 / `skip_lam`); default 1. */
  readonly branchScale?: number
  /** Of the MLP; default the exact GELU, of a gated one SiLU. */
  readonly activation?: Activation
  /**
   * The MLP's first layer has two halves of `hidden` units, and what the activation makes of the first is multiplied by the
   * second (SwiGLU, arXiv 2002.05202: the largest DINOv2 and DINOv3); default false.
   */
  readonly gated?: boolean
  /**
   * What the head reads: the class token (default), the mean of the image rows, both side by side, or what a learned
   * query attends to (SigLIP).
   */
  readonly pool?: 'class' | 'mean' | 'class-mean' | 'attention'
  /** Pool first and normalise afterwards (`fc_norm`, MAE), instead of the rows first; default false. */
  readonly normAfterPool?: boolean
  /** Width of the embedding that a linear map without bias makes of what was pooled (CLIP); default: no such map. */
  readonly projection?: number
  /** A second head on every image row; half of the largest logit that any row gives a class is added (LV-ViT). */
  readonly auxHead?: boolean
  /** A second norm and head on the class token, for training alone (Evo-ViT). Its first norm is behind the mean. */
  readonly classHead?: boolean
  /** Smaller nets in front of this one (DVT), which answer what is easy: see cascade.ts. Such a model is run by itself. */
  readonly cascade?: Cascade
}

/**
 * How positions are resized: by torch's bicubic kernel (`bicubic`), by its antialiased one (`antialias`), or by the first one
 * on a grid that is a tenth of a token too large (`offset`, as the first DINOv2 did it).
 */
export type PositionResizing = 'bicubic' | 'antialias' | 'offset'

/** What stands in front of a cascade's last net, and what nets hand on. */
export interface Cascade {
  /** The smaller nets, in the order in which they are asked. */
  readonly smaller: readonly { readonly patchSize: number; readonly grid: number }[]
  /** Widths of the MLPs that make of the last net's rows what the next one reads; absent: rows are not handed on. */
  readonly features?: { readonly hidden: number; readonly width: number }
  /** Whether attention logits are handed on. */
  readonly relations: boolean
}

/** Activations of MLPs: exact GELU, its approximation by tanh, x sigmoid(1.702 x), and x sigmoid(x). */
export type Activation = 'gelu' | 'gelu-tanh' | 'quick-gelu' | 'silu'

/** The activation of the MLPs. */
export const activationOf = ({ activation, gated = false }: Pick<VitConfig, 'activation' | 'gated'>): Activation =>
  activation ?? (gated ? 'silu' : 'gelu')

/** Units that the first layer of an MLP gives. */
export const firstUnits = ({ hidden, gated = false }: Pick<VitConfig, 'hidden' | 'gated'>): number =>
  gated ? 2 * hidden : hidden

/** Sizes of the picture in pixels, and of the grid of its patches. */
type PictureSizes = Pick<VitConfig, 'imageSize' | 'imageHeight' | 'patchSize'>

/** Height and width of the picture, in pixels. */
export const pictureSize = ({
  imageSize,
  imageHeight = imageSize,
}: Pick<VitConfig, 'imageSize' | 'imageHeight'>): readonly [number, number] => [imageHeight, imageSize]

/** Rows and columns of patches. */
export function gridSize(config: PictureSizes): readonly [number, number] {
  const [height, width] = pictureSize(config)
  return [height / config.patchSize, width / config.patchSize]
}

/** Image tokens of a picture: one for each patch. */
export function imageTokens(config: PictureSizes): number {
  const [rows, columns] = gridSize(config)
  return rows * columns
}

/** What says which rows come before the image tokens. */
type PrefixRows = Pick<VitConfig, 'distilled' | 'classToken' | 'registers'>

/** Rows before the image tokens: class token, distillation token, registers, where there are such. */
export const prefixTokens = ({ distilled, classToken = true, registers = 0 }: PrefixRows): number =>
  Number(classToken) + Number(distilled) + registers

/** Rows that have a learned position. */
export function positionRows(config: PrefixRows & PictureSizes & Pick<VitConfig, 'positions'>): number {
  const { positions = 'all', registers = 0 } = config
  if (positions === 'none') return 0
  const prefix = prefixTokens(config)
  return imageTokens(config) + { all: prefix, class: prefix - registers, image: 0 }[positions]
}

/** What is cut into patches: the picture itself, or what the stem made of it. Its channels, and a patch's side in it. */
export const patchSource = ({ stem, patchSize }: Pick<VitConfig, 'stem' | 'patchSize'>) =>
  stem === undefined ? { channels: 3, side: patchSize } : { channels: stem, side: patchSize / 2 }

/** Numbers that the head reads. */
export const pooledWidth = ({ pool, width }: Pick<VitConfig, 'pool' | 'width'>): number =>
  pool === 'class-mean' ? 2 * width : width

/** The norm behind the blocks: of the rows, or of what was pooled of them. */
export const finalNorm = ({ normAfterPool = false }: Pick<VitConfig, 'normAfterPool'>): 'norm' | 'fc_norm' =>
  normAfterPool ? 'fc_norm' : 'norm'

/**
 * The tensors a checkpoint of this architecture must hold, under timm's names in PyTorch layout
 * (linear weights `[out, in]`), with their shapes.
 */
export function vitParameters(config: VitConfig): Map<string, readonly number[]> {
  const { width: C, hidden, stem, classes, registers = 0, qkvBias = 'all' } = config
  const { channels, side } = patchSource(config)
  const shapes = new Map<string, readonly number[]>()
  const layer = (name: string, weight: readonly number[], bias = true) => {
    shapes.set(`${name}.weight`, weight)
    if (bias) shapes.set(`${name}.bias`, weight.slice(0, 1))
  }
  if (config.classToken !== false) shapes.set('cls_token', [1, 1, C])
  if (config.distilled) shapes.set('dist_token', [1, 1, C])
  if (registers > 0) shapes.set('reg_token', [1, registers, C])
  if (config.positions !== 'none') shapes.set('pos_embed', [1, positionRows(config), C])
  if (stem !== undefined) {
    layer('patch_embed.conv1', [stem, 3, 7, 7])
    for (const each of ['conv2', 'conv3']) layer(`patch_embed.${each}`, [stem, stem, 3, 3])
  }
  if (config.tokensToToken)
    for (const [name, shape] of tokensToTokenParameters(config.tokensToToken, C)) shapes.set(name, shape)
  else layer('patch_embed.proj', [C, channels, side, side], config.patchBias !== false)
  if (config.preNorm) layer('norm_pre', [C])
  for (let l = 0; l < config.depth; l++) {
    const block = `blocks.${l}`
    layer(`${block}.norm1`, [C])
    layer(`${block}.attn.qkv`, [3 * C, C], qkvBias === 'all')
    if (qkvBias === 'qv') for (const part of ['q_bias', 'v_bias']) shapes.set(`${block}.attn.${part}`, [C])
    if (config.qkNorm) for (const part of ['q_norm', 'k_norm']) layer(`${block}.attn.${part}`, [C / config.heads])
    layer(`${block}.attn.proj`, [C, C])
    if (config.layerScale) shapes.set(`${block}.ls1.gamma`, [C])
    layer(`${block}.norm2`, [C])
    layer(`${block}.mlp.fc1`, [firstUnits(config), C])
    layer(`${block}.mlp.fc2`, [C, hidden])
    if (config.layerScale) shapes.set(`${block}.ls2.gamma`, [C])
  }
  layer(finalNorm(config), [config.normAfterPool ? pooledWidth(config) : C])
  if (config.pool === 'attention') {
    shapes.set('attn_pool.latent', [1, 1, C])
    layer('attn_pool.q', [C, C])
    layer('attn_pool.kv', [2 * C, C])
    layer('attn_pool.proj', [C, C])
    layer('attn_pool.norm', [C])
    layer('attn_pool.mlp.fc1', [firstUnits(config), C])
    layer('attn_pool.mlp.fc2', [C, hidden])
  }
  if (config.projection !== undefined) shapes.set('projection.weight', [config.projection, pooledWidth(config)])
  if (classes > 0) layer('head', [classes, pooledWidth(config)])
  if (config.distilled && classes > 0) layer('head_dist', [classes, C])
  if (config.auxHead && classes > 0) layer('aux_head', [classes, C])
  if (config.classHead) {
    layer('norm_cls', [C])
    layer('head_cls', [classes, C])
  }
  return shapes
}
