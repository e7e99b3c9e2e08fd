/**
 * Checkpoints of every family through a hub: repositories under their ids, with config.json as their publishers have it but
 * for the sizes, which are those of narrower models of fewer blocks.
 */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { startHub } from '../../test/support/hub.js'
import { anything, layoutCases } from '../../test/support/layouts.js'
import { maxAbsDiff, narrow, tinySwin } from '../../test/support/models.js'
import type { VitConfig } from '../models/config.js'
import { randomVit } from './init.js'
import { huggingFaceDeit, huggingFaceSwin, huggingFaceVit } from './layouts.js'
import { loadModel } from './load.js'
import { fromTimmNames } from './names.js'
import { writeSafetensors } from './safetensors.js'
import { float32, floatsOf, type StateDict } from './state.js'

/** A repository, and the model that it holds. */
interface Published {
  readonly config: VitConfig
  readonly weights: (state: StateDict) => StateDict
  readonly json?: object
  readonly warnings?: RegExp
}

const of = (name: string) => layoutCases[name] ?? assert.fail(name)
/** The same without the files beside it. */
const bare = (name: string): Published => {
  const { config, weights } = of(name)
  return { config, weights }
}
const C = 128
const base: VitConfig = { ...narrow, width: C, heads: 2, hidden: 32 }
const same = (state: StateDict) => state
const half = [0.5, 0.5, 0.5]

/** timm's file: no heads, no sizes; its architecture is a name. */
const timm = (architecture: string, classes: number, pool: string, tag: string, more: object = {}) => ({
  architecture,
  num_classes: classes,
  num_features: C,
  global_pool: pool,
  pretrained_cfg: {
    tag,
    custom_load: true,
    input_size: [3, 16, 16],
    fixed_input_size: true,
    interpolation: 'bicubic',
    crop_pct: 0.9,
    crop_mode: 'center',
    mean: half,
    std: half,
    num_classes: classes,
    pool_size: null,
    first_conv: 'patch_embed.proj',
    classifier: 'head',
    ...more,
  },
})

/** What files of Hugging Face's share. */
const vit = {
  attention_probs_dropout_prob: 0.0,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0.0,
  hidden_size: C,
  image_size: 16,
  initializer_range: 0.02,
  num_attention_heads: 2,
  num_channels: 3,
  num_hidden_layers: 2,
  patch_size: 4,
  qkv_bias: true,
  torch_dtype: 'float32',
  transformers_version: '4.31.0.dev0',
}
const dinov2 = {
  ...vit,
  architectures: ['Dinov2Model'],
  drop_path_rate: 0.0,
  layer_norm_eps: 1e-6,
  layerscale_value: 1.0,
  mlp_ratio: 4,
  model_type: 'dinov2',
  use_swiglu_ffn: false,
}
const dinov3 = {
  ...{ architectures: ['DINOv3ViTModel'], attention_dropout: 0.0, drop_path_rate: 0.0, hidden_act: 'gelu' },
  ...{ hidden_size: C, image_size: 16, initializer_range: 0.02, key_bias: false, layer_norm_eps: 1e-5 },
  ...{ layerscale_value: 1.0, mlp_bias: true, model_type: 'dinov3_vit', num_attention_heads: 2, num_channels: 3 },
  ...{ num_hidden_layers: 2, num_register_tokens: 4, patch_size: 4, pos_embed_jitter: null, pos_embed_rescale: 2.0 },
  ...{ pos_embed_shift: null, proj_bias: true, query_bias: true, rope_theta: 100.0, value_bias: true },
  ...{ use_gated_mlp: false, transformers_version: '4.56.0.dev0' },
}
const mae = {
  ...{ ...vit, architectures: ['ViTMAEForPreTraining'], model_type: 'vit_mae', intermediate_size: 32 },
  ...{ decoder_hidden_size: 512, decoder_intermediate_size: 2048, decoder_num_attention_heads: 16 },
  ...{ decoder_num_hidden_layers: 8, layer_norm_eps: 1e-12, mask_ratio: 0.75, norm_pix_loss: false },
}
const tower = { hidden_size: C, image_size: 16, intermediate_size: 32, num_attention_heads: 2, num_hidden_layers: 2 }
const guess = /2 attention heads are a guess, heads of 64 numbers/
const both = (...patterns: RegExp[]) => new RegExp(patterns.map(({ source }) => `(?=.*${source})`).join(''), 's')
const mask = /left out, as an image encoder does not need it: .*the mask token of pretraining/

const swinTimm = (state: StateDict): StateDict =>
  new Map(
    [...state].map(([name, tensor]) => [
      name
        .replace(/^layers\.(\d)\.downsample/, (_, stage) => `layers.${Number(stage) + 1}.downsample`)
        .replace(/^head\./, 'head.fc.'),
      tensor,
    ]),
  )
const decoder = {
  mask_token: anything(1, 1, C),
  'decoder_embed.weight': anything(3, C),
  decoder_pos_embed: anything(1, 17, 3),
}

const repositories: Readonly<Record<string, Published>> = {
  'timm/vit_tiny_patch16_224.augreg_in21k': {
    ...of('timm ViT of AugReg with a head of many classes'),
    json: timm('vit_tiny_patch16_224', 21, 'token', 'augreg_in21k'),
    warnings: guess,
  },
  'timm/deit_tiny_distilled_patch16_224.fb_in1k': {
    config: { ...base, distilled: true, resizing: 'antialias' },
    weights: same,
    json: timm('deit_tiny_distilled_patch16_224', 2, 'token', 'fb_in1k', { classifier: ['head', 'head_dist'] }),
    warnings: guess,
  },
  'timm/deit3_small_patch16_224.fb_in1k': {
    config: { ...base, layerScale: true, positions: 'image', resizing: 'antialias' },
    weights: same,
    json: timm('deit3_small_patch16_224', 2, 'token', 'fb_in1k'),
    warnings: guess,
  },
  'timm/vit_small_patch14_dinov2.lvd142m': {
    config: { ...of('official DINOv2').config, resizing: 'antialias' },
    weights: same,
    json: timm('vit_small_patch14_dinov2', 0, 'token', 'lvd142m', { crop_pct: 1.0, license: 'apache-2.0' }),
    warnings: guess,
  },
  'timm/vit_small_patch14_reg4_dinov2.lvd142m': {
    config: of('official DINOv2 with registers').config,
    weights: same,
    json: timm('vit_small_patch14_reg4_dinov2', 0, 'token', 'lvd142m', { crop_pct: 1.0, license: 'apache-2.0' }),
    warnings: guess,
  },
  'timm/vit_giant_patch14_dinov2.lvd142m': {
    ...of('timm DINOv2 with packed gated MLPs, as the giant has them'),
    json: timm('vit_giant_patch14_dinov2', 0, 'token', 'lvd142m', { crop_pct: 1.0 }),
    warnings: guess,
  },
  'timm/vit_small_patch16_dinov3.lvd1689m': {
    ...of('timm DINOv3'),
    json: timm('vit_small_patch16_dinov3', 0, 'avg', 'lvd1689m', { crop_pct: 1.0, license: 'dinov3-license' }),
    config: { ...of('timm DINOv3').config, pool: 'mean' },
  },
  'timm/vit_huge_plus_patch16_dinov3.lvd1689m': {
    ...of('timm DINOv3 with gated MLPs in two'),
    json: timm('vit_huge_plus_patch16_dinov3', 0, 'avg', 'lvd1689m', { crop_pct: 1.0 }),
    config: { ...of('timm DINOv3 with gated MLPs in two').config, pool: 'mean' },
  },
  'timm/vit_base_patch16_clip_quickgelu_224.openai': {
    config: { ...of('OpenAI CLIP').config, projection: undefined, classes: 5 } as unknown as VitConfig,
    weights: same,
    json: timm('vit_base_patch16_clip_quickgelu_224', 5, 'token', 'openai'),
    warnings: guess,
  },
  'timm/vit_base_patch16_siglip_224.webli': {
    ...of('timm SigLIP'),
    json: timm('vit_base_patch16_siglip_224', 0, 'map', 'webli'),
    warnings: both(guess, /the activation gelu-tanh is a guess/),
  },
  'timm/vit_base_patch16_224.mae': {
    config: { ...base, classes: 0, resizing: 'antialias' },
    weights: same,
    json: timm('vit_base_patch16_224', 0, 'token', 'mae'),
    warnings: guess,
  },
  'timm/swin_tiny_patch4_window7_224.ms_in1k': {
    config: tinySwin,
    weights: swinTimm,
    json: {
      ...timm('swin_tiny_patch4_window7_224', 5, 'avg', 'ms_in1k', { input_size: [3, 32, 32] }),
      num_features: 32,
    },
  },
  'google/vit-base-patch16-224-in21k': {
    config: { ...base, classes: 0 },
    weights: (state) =>
      new Map([
        ...[...fromTimmNames(state, huggingFaceVit)].map(
          ([name, tensor]) => [name.replace('vit.', ''), tensor] as const,
        ),
        ['pooler.dense.weight', anything(C, C)],
        ['pooler.dense.bias', anything(C)],
      ]),
    json: { ...vit, architectures: ['ViTModel'], intermediate_size: 32, layer_norm_eps: 1e-12, model_type: 'vit' },
    warnings: /the pooler behind the features \(2 tensors\)/,
  },
  'facebook/deit-small-distilled-patch16-224': {
    config: { ...base, distilled: true },
    weights: (state) => fromTimmNames(state, huggingFaceDeit),
    json: {
      ...{ ...vit, architectures: ['DeiTForImageClassificationWithTeacher'], intermediate_size: 32 },
      ...{ id2label: { 0: 'tench', 1: 'goldfish' }, layer_norm_eps: 1e-12, model_type: 'deit' },
    },
  },
  'facebook/dinov2-small': { ...of('Hugging Face DINOv2'), json: dinov2 },
  'facebook/dinov2-giant': {
    ...of('Hugging Face DINOv2 with gated MLPs, whose file says GELU'),
    json: { ...dinov2, use_swiglu_ffn: true },
  },
  'facebook/dinov2-with-registers-small': {
    ...of('Hugging Face DINOv2 with registers'),
    json: {
      ...{ ...dinov2, architectures: ['Dinov2WithRegistersModel'], model_type: 'dinov2_with_registers' },
      ...{ num_register_tokens: 4, transformers_version: '4.47.0.dev0' },
    },
  },
  'facebook/dinov3-vits16-pretrain-lvd1689m': {
    ...of('Hugging Face DINOv3'),
    json: { ...dinov3, intermediate_size: 32 },
  },
  'facebook/dinov3-vith16plus-pretrain-lvd1689m': {
    ...of('Hugging Face DINOv3 with gated MLPs'),
    json: { ...dinov3, hidden_act: 'silu', intermediate_size: 16, use_gated_mlp: true },
  },
  'openai/clip-vit-base-patch16': {
    ...of('Hugging Face CLIP'),
    json: {
      ...{ architectures: ['CLIPModel'], initializer_factor: 1.0, logit_scale_init_value: 2.6592, model_type: 'clip' },
      ...{ projection_dim: 5, torch_dtype: 'float32', transformers_version: null },
      text_config: { bos_token_id: 0, dropout: 0.0, eos_token_id: 2, model_type: 'clip_text_model' },
      // The published file leaves out what is the library's default; sizes and heads here are not.
      vision_config: { dropout: 0.0, model_type: 'clip_vision_model', patch_size: 4, ...tower },
    },
  },
  'google/siglip-base-patch16-224': {
    ...of('Hugging Face SigLIP'),
    json: {
      ...{ architectures: ['SiglipModel'], initializer_factor: 1.0, model_type: 'siglip', torch_dtype: 'float32' },
      text_config: { hidden_size: 768, model_type: 'siglip_text_model', num_attention_heads: 12, vocab_size: 32000 },
      vision_config: { ...tower, model_type: 'siglip_vision_model', patch_size: 4 },
      transformers_version: '4.37.0.dev0',
    },
  },
  'facebook/vit-mae-base': {
    config: { ...base, classes: 0 },
    weights: (state) =>
      new Map([
        ...fromTimmNames(state, huggingFaceVit),
        ['decoder.mask_token', anything(1, 1, 5)],
        ['decoder.decoder_pos_embed', anything(1, 17, 5)],
        ['decoder.decoder_embed.weight', anything(5, C)],
        ['decoder.decoder_layers.0.attention.attention.query.weight', anything(5, 5)],
      ]),
    json: mae,
    warnings: /the decoder of pretraining/,
  },
  'microsoft/swin-tiny-patch4-window7-224': {
    config: tinySwin,
    weights: (state) => fromTimmNames(state, huggingFaceSwin),
    json: {
      ...{ architectures: ['SwinForImageClassification'], attention_probs_dropout_prob: 0.0, depths: [2, 2, 2] },
      ...{ drop_path_rate: 0.1, embed_dim: 8, encoder_stride: 32, hidden_act: 'gelu', hidden_dropout_prob: 0.0 },
      ...{ hidden_size: 32, image_size: 32, initializer_range: 0.02, layer_norm_eps: 1e-5, mlp_ratio: 2.0 },
      ...{ model_type: 'swin', num_channels: 3, num_heads: [1, 2, 4], num_layers: 3, patch_size: 2, path_norm: true },
      ...{ qkv_bias: true, torch_dtype: 'float32', use_absolute_embeddings: false, window_size: 4 },
    },
  },
  // Official files, as people keep them on a hub: without a config.json.
  'owner/deit_tiny_patch16_224-official': { config: base, weights: same, warnings: guess },
  'owner/deit_3_small_224-official': { ...bare('official DeiT III'), warnings: guess },
  'owner/dinov2_vits14-official': { ...bare('official DINOv2'), warnings: both(guess, mask) },
  'owner/dinov2_vitg14-official': { ...bare('official DINOv2 with gated MLPs'), warnings: both(guess, mask) },
  'owner/dinov2_vits14_reg4-official': { ...bare('official DINOv2 with registers'), warnings: both(guess, mask) },
  'owner/dinov3_vits16-official': {
    ...bare('official DINOv3'),
    warnings: mask,
    config: at224(of('official DINOv3').config),
  },
  'owner/dinov3_vith16plus-official': {
    ...bare('official DINOv3 with gated MLPs'),
    warnings: /a norm of pretraining/,
    config: at224(of('official DINOv3 with gated MLPs').config),
  },
  'owner/mae_pretrain_vit_base-official': {
    config: { ...base, classes: 0 },
    weights: (state) => new Map([...state, ...Object.entries(decoder)]),
    warnings: both(guess, /the decoder of pretraining \(2 tensors\)/),
  },
  'owner/ViT-B-16-openai': {
    ...bare('OpenAI CLIP'),
    config: { ...bare('OpenAI CLIP').config, activation: undefined } as unknown as VitConfig,
    warnings: both(guess, /the activation gelu is a guess/, /the text tower \(6 tensors\)/),
  },
  'owner/ViT-B-16-SigLIP-openclip': {
    ...bare('OpenCLIP around a tower of timm'),
    warnings: both(guess, /the activation gelu-tanh is a guess/, /the text tower \(2 tensors\)/),
  },
  'owner/swin_tiny_patch4_window7_224-official': {
    config: { ...tinySwin, imageSize: 224 },
    weights: same,
    warnings: /pictures of 224 pixels are a guess/,
  },
}

/** Rotary positions fit any size, and without a file it is that of published models. */
function at224(config: VitConfig): VitConfig {
  return { ...config, imageSize: 224 }
}

/** Without options that are there and undefined. */
const defined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T

const bytesOf = (value: unknown) => new Uint8Array(Buffer.from(JSON.stringify(value)))
const fileOf = (state: StateDict) => new Uint8Array(Buffer.concat(writeSafetensors(state)))

const lvvit: VitConfig = {
  ...{ ...base, layerNormEps: 1e-5, stem: 4, qkvBias: 'none', branchScale: 0.5, auxHead: true },
}
/** LV-ViT's keys: batch norms beside convolutions that have no bias. */
function officialLvvit(state: StateDict): StateDict {
  const entries = [...state].flatMap(([name, tensor]) => {
    const [, i] = /^patch_embed\.conv(\d)\.bias$/.exec(name) ?? []
    if (i === undefined) return [[name, tensor] as const]
    const norm = (value: number) => float32(new Float32Array(4).fill(value), [4])
    return [
      [`patch_embed.bn${i}.weight`, norm(2)],
      [`patch_embed.bn${i}.bias`, tensor],
      [`patch_embed.bn${i}.running_mean`, norm(0)],
      [`patch_embed.bn${i}.running_var`, norm(4)],
      [`patch_embed.bn${i}.num_batches_tracked`, { dtype: 'I64', shape: [], data: BigInt64Array.of(9n) }],
    ] as const
  })
  return new Map(entries)
}
const lvvitId = 'owner/lvvit_s-26M-224-83.3'

const folder = temporaryFolder()
const hub = await startHub({
  ...Object.fromEntries(
    Object.entries(repositories).map(([id, { config, weights, json }]) => [
      id,
      {
        'model.safetensors': fileOf(weights(randomVit(defined(config), 1))),
        ...(json && { 'config.json': bytesOf(json) }),
      },
    ]),
  ),
  [lvvitId]: { 'model.safetensors': fileOf(officialLvvit(randomVit(lvvit, 1))) },
})
const before = { HF_ENDPOINT: process.env.HF_ENDPOINT, HF_HOME: process.env.HF_HOME }
Object.assign(process.env, { HF_ENDPOINT: hub.url, HF_HOME: folder.path })
after(() => {
  for (const [name, value] of Object.entries(before))
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
})

for (const [id, { config, warnings }] of Object.entries(repositories))
  test(`${id} is the model that its keys and files say`, async () => {
    const model = await loadModel(id)
    assert.deepEqual(model.config, defined(config))
    const wanted = randomVit(defined(config), 1)
    assert.deepEqual([...model.state.keys()].sort(), [...wanted.keys()].sort())
    for (const [name, tensor] of wanted) assert.deepEqual(model.state.get(name), tensor, name)
    assert.match((model.warnings ?? []).join('; '), warnings ?? /^$/)
    assert.deepEqual([model.name, model.source], [id, id])
  })

test(`${lvvitId} is an LV-ViT whose batch norms became part of its convolutions`, async () => {
  const model = await loadModel(lvvitId)
  assert.deepEqual(model.config, lvvit)
  for (const [name, tensor] of randomVit(lvvit, 1))
    assert.ok(maxAbsDiff(floatsOf(model.state, name), tensor.data as Float32Array) < 1e-6, name)
})
