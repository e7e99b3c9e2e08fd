/** Architectures by name, and where their pretrained weights are. */

import { fail } from '../errors.js'
import type { Preprocess } from '../images/preprocess.js'
import type { VitConfig } from './config.js'
import type { SwinConfig } from './swin-config.js'

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

/** Swin (arXiv 2103.14030, section 3.3): heads of 32 numbers, windows of 7 x 7 tokens. */
const swin = (width: number, depths: readonly number[], heads: number): SwinConfig => ({
  imageSize: 224,
  patchSize: 4,
  width,
  depth: depths.reduce((a, b) => a + b, 0),
  heads,
  hidden: 4 * width,
  classes: 1000,
  distilled: false,
  layerNormEps: 1e-5,
  classToken: false,
  pool: 'mean',
  stages: depths.map((depth, stage) => ({ depth, heads: heads * 2 ** stage })),
  windowSize: 7,
})

const lvvit = (width: number, depth: number, heads: number, skip: number): VitConfig => ({
  ...deit(width, heads),
  depth,
  hidden: 3 * width,
  layerNormEps: 1e-5,
  stem: 64,
  qkvBias: 'none',
  ...(skip !== 1 && { branchScale: 1 / skip }),
  auxHead: true,
})
/** T2T-ViT (arXiv 2101.11986, table 1) with Performers, or with plain transformers, in its tokens-to-token module. */
const t2tvit = (width: number, depth: number, hidden: number, attention: 'performer' | 'transformer'): VitConfig => ({
  ...deit(width, width / 64),
  depth,
  hidden,
  layerNormEps: 1e-5,
  tokensToToken: { attention, width: 64 },
  qkvBias: 'none',
})
const t2tFiles = 'https://github.com/yitu-opensource/T2T-ViT/releases/download/main'
const lvvitFiles = 'https://github.com/zihangJiang/TokenLabeling/releases/download'

/** Options that published models share. */
const clip = {
  preNorm: true,
  patchBias: false,
  activation: 'quick-gelu',
  layerNormEps: 1e-5,
  classes: 0,
} as const satisfies Partial<VitConfig>
const siglip = { classToken: false, pool: 'attention', activation: 'gelu-tanh', classes: 0 } as const
const dinov2 = { patchSize: 14, imageSize: 518, layerScale: true, classes: 0 } as const
const registers = { registers: 4, positions: 'class' } as const
const dinov3 = {
  layerScale: true,
  registers: 4,
  positions: 'none',
  rotary: { kind: 'dinov3', temperature: 100 },
  qkvBias: 'qv',
  layerNormEps: 1e-5,
  classes: 0,
} as const satisfies Partial<VitConfig>
const deit3 = { layerScale: true, positions: 'image' } as const
const [small, base] = [deit(384, 6), deit(768, 12)]
const large: VitConfig = { ...deit(1024, 16), depth: 24 }
const giant: VitConfig = { ...deit(1536, 24), depth: 40, hidden: 4096, gated: true }

/** How pictures are made for weights that were not trained with ImageNet's statistics. */
const clipStatistics = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
} as const
const halves = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const

/** A named architecture and where its pretrained weights are. */
export interface Preset {
  readonly config: VitConfig
  /** The hub repository that holds them; absent: `file` is their address. */
  readonly hub?: string
  readonly file?: string
  /** Statistics of the pictures; default ImageNet's. */
  readonly statistics?: Pick<Preprocess, 'mean' | 'std'>
}

/** The architectures that `--model` knows by name. */
export const presets: Readonly<Record<string, Preset>> = {
  'deit-tiny': { config: deit(192, 3), hub: 'facebook/deit-tiny-patch16-224' },
  'deit-small': { config: deit(384, 6), hub: 'facebook/deit-small-patch16-224' },
  'deit-base': { config: deit(768, 12), hub: 'facebook/deit-base-patch16-224' },
  'deit-tiny-distilled': { config: deit(192, 3, true), hub: 'facebook/deit-tiny-distilled-patch16-224' },
  'deit-small-distilled': { config: deit(384, 6, true), hub: 'facebook/deit-small-distilled-patch16-224' },
  'deit-base-distilled': { config: deit(768, 12, true), hub: 'facebook/deit-base-distilled-patch16-224' },
  'deit3-small': { config: { ...small, ...deit3 }, hub: 'timm/deit3_small_patch16_224.fb_in1k' },
  'deit3-base': { config: { ...base, ...deit3 }, hub: 'timm/deit3_base_patch16_224.fb_in1k' },
  'vit-small': { config: small, hub: 'timm/vit_small_patch16_224.augreg_in21k_ft_in1k', statistics: halves },
  'vit-base': { config: base, hub: 'timm/vit_base_patch16_224.augreg_in21k_ft_in1k', statistics: halves },
  'lvvit-t': { config: lvvit(240, 12, 4, 1), file: `${lvvitFiles}/v0.2.0/lvvit_t.pth` },
  'lvvit-s': { config: lvvit(384, 16, 6, 2), file: `${lvvitFiles}/1.0/lvvit_s-26M-224-83.3.pth.tar` },
  'lvvit-m': { config: lvvit(512, 20, 8, 2), file: `${lvvitFiles}/1.0/lvvit_m-56M-224-84.0.pth.tar` },
  't2t-vit-7': { config: t2tvit(256, 7, 512, 'performer'), file: `${t2tFiles}/71.7_T2T_ViT_7.pth.tar` },
  't2t-vit-10': { config: t2tvit(256, 10, 512, 'performer'), file: `${t2tFiles}/75.2_T2T_ViT_10.pth.tar` },
  't2t-vit-12': { config: t2tvit(256, 12, 512, 'performer'), file: `${t2tFiles}/76.5_T2T_ViT_12.pth.tar` },
  't2t-vit-14': { config: t2tvit(384, 14, 1152, 'performer'), file: `${t2tFiles}/81.5_T2T_ViT_14.pth.tar` },
  't2t-vit-19': { config: t2tvit(448, 19, 1344, 'performer'), file: `${t2tFiles}/81.9_T2T_ViT_19.pth.tar` },
  't2t-vit-24': { config: t2tvit(512, 24, 1536, 'performer'), file: `${t2tFiles}/82.3_T2T_ViT_24.pth.tar` },
  't2t-vit-t-14': { config: t2tvit(384, 14, 1152, 'transformer'), file: `${t2tFiles}/81.7_T2T_ViTt_14.pth.tar` },
  't2t-vit-t-19': { config: t2tvit(448, 19, 1344, 'transformer'), file: `${t2tFiles}/82.4_T2T_ViTt_19.pth.tar` },
  't2t-vit-t-24': { config: t2tvit(512, 24, 1536, 'transformer'), file: `${t2tFiles}/82.6_T2T_ViTt_24.pth.tar` },
  'dinov2-small': { config: { ...small, ...dinov2 }, hub: 'facebook/dinov2-small' },
  'dinov2-base': { config: { ...base, ...dinov2 }, hub: 'facebook/dinov2-base' },
  'dinov2-large': { config: { ...large, ...dinov2 }, hub: 'facebook/dinov2-large' },
  'dinov2-giant': { config: { ...giant, ...dinov2 }, hub: 'facebook/dinov2-giant' },
  'dinov2-small-registers': {
    config: { ...small, ...dinov2, ...registers },
    hub: 'facebook/dinov2-with-registers-small',
  },
  'dinov2-base-registers': { config: { ...base, ...dinov2, ...registers }, hub: 'facebook/dinov2-with-registers-base' },
  'dinov3-small': { config: { ...small, ...dinov3 }, hub: 'facebook/dinov3-vits16-pretrain-lvd1689m' },
  'dinov3-base': { config: { ...base, ...dinov3 }, hub: 'facebook/dinov3-vitb16-pretrain-lvd1689m' },
  'clip-base-16': {
    config: { ...base, ...clip, projection: 512 },
    hub: 'openai/clip-vit-base-patch16',
    statistics: clipStatistics,
  },
  'clip-base-32': {
    config: { ...base, ...clip, patchSize: 32, projection: 512 },
    hub: 'openai/clip-vit-base-patch32',
    statistics: clipStatistics,
  },
  'clip-large-14': {
    config: { ...large, ...clip, patchSize: 14, projection: 768 },
    hub: 'openai/clip-vit-large-patch14',
    statistics: clipStatistics,
  },
  'siglip-base': { config: { ...base, ...siglip }, hub: 'google/siglip-base-patch16-224', statistics: halves },
  'swin-tiny': { config: swin(96, [2, 2, 6, 2], 3), hub: 'timm/swin_tiny_patch4_window7_224.ms_in1k' },
  'swin-small': { config: swin(96, [2, 2, 18, 2], 3), hub: 'timm/swin_small_patch4_window7_224.ms_in1k' },
  'swin-base': { config: swin(128, [2, 2, 18, 2], 4), hub: 'timm/swin_base_patch4_window7_224.ms_in1k' },
  'mae-base': { config: { ...base, classes: 0 }, hub: 'facebook/vit-mae-base' },
}

/** The preset of this name; as in the repositories of models, `lvvit_s` is `lvvit-s`. */
export function findPreset(name: string): Preset | undefined {
  const known = [name, name.replaceAll('_', '-')].find((each) => Object.hasOwn(presets, each))
  return known === undefined ? undefined : presets[known]
}

/**
 * The hub repository of a preset's weights.
 *
 * @throws InputError where they are on no hub, with the address that they are at
 */
export const hubOf = (name: string, { hub, file }: Preset): string =>
  hub ??
  fail(
    `${name}: its pretrained weights are on no hub: download ${file} and give that file as the model, or start from random weights (--init random:0)`,
  )
