/**
 * What defines a vision transformer: the sizes, independent of its weights.
 *
 * ViT: Dosovitskiy et al., arXiv 2010.11929; DeiT: Touvron et al., arXiv 2012.12877.
 */

/** Sizes of a plain or distilled ViT/DeiT. */
export interface VitConfig {
  /** Picture side in pixels (square); a multiple of `patchSize`. */
  readonly imageSize: number
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
  /** Number of classes. */
  readonly classes: number
  /** DeiT's distillation token and second head (logits are the mean of both heads). */
  readonly distilled: boolean
  /** LayerNorm epsilon: 1e-6 in timm and DeiT. */
  readonly layerNormEps: number
  /** What the head reads: the class token (default), or the mean of the image rows, normalised afterwards (Evo-ViT). */
  readonly pool?: 'class' | 'mean'
  /** A second norm and head on the class token, for training alone (Evo-ViT). */
  readonly classHead?: boolean
}

const deit = (width: number, heads: number, distilled = false): VitConfig => ({
  imageSize: 224,
  patchSize: 16,
  width,
  depth: 12,
  heads,
  hidden: 4 * width,
  classes: 1000,
  distilled,
  layerNormEps: 1e-6,
})

/** A named architecture and the hub repository that holds its pretrained weights. */
export interface Preset {
  readonly config: VitConfig
  readonly hub: string
}

/** The architectures that `--model` knows by name. */
export const presets: Readonly<Record<string, Preset>> = {
  'deit-tiny': { config: deit(192, 3), hub: 'facebook/deit-tiny-patch16-224' },
  'deit-small': { config: deit(384, 6), hub: 'facebook/deit-small-patch16-224' },
  'deit-base': { config: deit(768, 12), hub: 'facebook/deit-base-patch16-224' },
  'deit-tiny-distilled': { config: deit(192, 3, true), hub: 'facebook/deit-tiny-distilled-patch16-224' },
  'deit-small-distilled': { config: deit(384, 6, true), hub: 'facebook/deit-small-distilled-patch16-224' },
  'deit-base-distilled': { config: deit(768, 12, true), hub: 'facebook/deit-base-distilled-patch16-224' },
}

/** Image tokens of a picture: (imageSize / patchSize)². */
export const imageTokens = (config: Pick<VitConfig, 'imageSize' | 'patchSize'>): number =>
  (config.imageSize / config.patchSize) ** 2

/** Rows before the image tokens: the class token, and the distillation token when there is one. */
export const prefixTokens = (config: Pick<VitConfig, 'distilled'>): number => (config.distilled ? 2 : 1)

/**
 * The tensors a checkpoint of this architecture must hold, under timm's names in PyTorch layout
 * (linear weights `[out, in]`), with their shapes.
 */
export function vitParameters(config: VitConfig): Map<string, readonly number[]> {
  const { width: C, hidden, patchSize: P, classes } = config
  const rows = prefixTokens(config) + imageTokens(config)
  const shapes = new Map<string, readonly number[]>()
  shapes.set('cls_token', [1, 1, C])
  if (config.distilled) shapes.set('dist_token', [1, 1, C])
  shapes.set('pos_embed', [1, rows, C])
  const layer = (name: string, weight: readonly number[]) => {
    shapes.set(`${name}.weight`, weight)
    shapes.set(`${name}.bias`, weight.slice(0, 1))
  }
  layer('patch_embed.proj', [C, 3, P, P])
  for (let l = 0; l < config.depth; l++) {
    layer(`blocks.${l}.norm1`, [C])
    layer(`blocks.${l}.attn.qkv`, [3 * C, C])
    layer(`blocks.${l}.attn.proj`, [C, C])
    layer(`blocks.${l}.norm2`, [C])
    layer(`blocks.${l}.mlp.fc1`, [hidden, C])
    layer(`blocks.${l}.mlp.fc2`, [C, hidden])
  }
  layer('norm', [C])
  layer('head', [classes, C])
  if (config.distilled) layer('head_dist', [classes, C])
  if (config.classHead) {
    layer('norm_cls', [C])
    layer('head_cls', [classes, C])
  }
  return shapes
}
