/**
 * Checkpoints of the ViT family under the names of the libraries that publish them: the key lists are those of the
 * released files, with narrower and fewer blocks.
 *
 * Lists: the modeling files of transformers (and its convert_dinov3_vit_to_hf.py), timm's vision_transformer.py and eva.py,
 * the official repositories of DINOv2, DINOv3 and CLIP, and open_clip's transformer.py.
 */

import assert from 'node:assert/strict'
import type { VitConfig } from '../../src/models/config.js'
import { float32, floatsOf, type StateDict, type WeightTensor } from '../../src/weights/state.js'
import { narrow } from './models.js'

/** Token width: two heads of 64 numbers, as published models have them. */
const C = 128

const base: VitConfig = { ...narrow, width: C, heads: 2, hidden: 32 } // 4 x 4 patches

const get = (state: StateDict, name: string): WeightTensor => state.get(name) ?? assert.fail(name)

/** Third i of query, key and value. */
function third(tensor: WeightTensor, i: number): WeightTensor {
  const [rows = 0, ...rest] = tensor.shape
  const data = tensor.data as Float32Array
  const size = data.length / 3
  return float32(data.slice(i * size, (i + 1) * size), [rows / 3, ...rest])
}

const reshaped = (tensor: WeightTensor, shape: readonly number[]) => float32(tensor.data as Float32Array, shape)

function transposed({ shape, data }: WeightTensor): WeightTensor {
  const [rows = 0, columns = 0] = shape
  const values = data as Float32Array
  const flipped = Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] as number)
  return float32(flipped, [columns, rows])
}

/** Weight and bias. */
const layer = (theirs: string, timm: string): [string, string][] => [
  [`${theirs}.weight`, `${timm}.weight`],
  [`${theirs}.bias`, `${timm}.bias`],
]

/** Their tensors: copies of timm's, and others. */
function theirs(
  state: StateDict,
  names: readonly (readonly [theirs: string, timm: string])[],
  more: Record<string, WeightTensor> = {},
) {
  return new Map([...names.map(([to, from]) => [to, get(state, from)] as const), ...Object.entries(more)])
}

const l = [0, 1] // blocks
const input_size = [3, 16, 16]

/** Query, key and value apart, with whatever biases they have. */
function apart(state: StateDict, path: (l: number) => string, [q, k, v]: readonly [string, string, string]) {
  const found: Record<string, WeightTensor> = {}
  for (const i of l)
    for (const [part, name] of [q, k, v].entries()) {
      found[`${path(i)}.${name}.weight`] = third(get(state, `blocks.${i}.attn.qkv.weight`), part)
      const bias = state.get(`blocks.${i}.attn.qkv.bias`)
      const alone = state.get(`blocks.${i}.attn.${'qkv'[part]}_bias`)
      if (bias) found[`${path(i)}.${name}.bias`] = third(bias, part)
      if (alone) found[`${path(i)}.${name}.bias`] = alone
    }
  return found
}

export const anything = (...shape: number[]) => float32(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
const textTower = { 'text_model.embeddings.token_embedding.weight': anything(7, 5), logit_scale: anything() }

/** A checkpoint in somebody's layout. */
export interface LayoutCase {
  readonly config: VitConfig
  /** config.json beside it. */
  readonly json?: object
  readonly weights: (state: StateDict) => StateDict
  readonly warnings?: RegExp
}

const clip: VitConfig = {
  ...base,
  layerNormEps: 1e-5,
  preNorm: true,
  patchBias: false,
  activation: 'quick-gelu',
  projection: 5,
  classes: 0,
}
const siglip: VitConfig = { ...base, classToken: false, pool: 'attention', activation: 'gelu-tanh', classes: 0 }
export const dinov2: VitConfig = { ...base, layerScale: true, classes: 0 }
const registers: VitConfig = { ...dinov2, registers: 4, positions: 'class' }
const dinov3: VitConfig = {
  ...dinov2,
  imageSize: 16,
  registers: 4,
  positions: 'none',
  rotary: { kind: 'dinov3', temperature: 100 },
  qkvBias: 'qv',
  layerNormEps: 1e-5,
}

const gatedV2: VitConfig = { ...dinov2, gated: true, hidden: 16 }
const gatedV3: VitConfig = { ...dinov3, gated: true, hidden: 16 }

/** The blocks of Hugging Face's CLIP and SigLIP. */
const towerNames = l.flatMap((i) => {
  const at = `vision_model.encoder.layers.${i}`
  return [
    ...layer(`${at}.self_attn.out_proj`, `blocks.${i}.attn.proj`),
    ...layer(`${at}.layer_norm1`, `blocks.${i}.norm1`),
    ...layer(`${at}.layer_norm2`, `blocks.${i}.norm2`),
    ...layer(`${at}.mlp.fc1`, `blocks.${i}.mlp.fc1`),
    ...layer(`${at}.mlp.fc2`, `blocks.${i}.mlp.fc2`),
  ]
})
const towerParts = (state: StateDict) =>
  apart(state, (i) => `vision_model.encoder.layers.${i}.self_attn`, ['q_proj', 'k_proj', 'v_proj'])

/** Hugging Face's DINOv2, behind a prefix. */
const dinov2Names = (prefix: string): [string, string][] => [
  [`${prefix}embeddings.cls_token`, 'cls_token'],
  [`${prefix}embeddings.position_embeddings`, 'pos_embed'],
  ...layer(`${prefix}embeddings.patch_embeddings.projection`, 'patch_embed.proj'),
  ...l.flatMap((i): [string, string][] => {
    const at = `${prefix}encoder.layer.${i}`
    return [
      ...layer(`${at}.norm1`, `blocks.${i}.norm1`),
      ...layer(`${at}.attention.output.dense`, `blocks.${i}.attn.proj`),
      [`${at}.layer_scale1.lambda1`, `blocks.${i}.ls1.gamma`],
      ...layer(`${at}.norm2`, `blocks.${i}.norm2`),
      ...layer(`${at}.mlp.fc1`, `blocks.${i}.mlp.fc1`),
      ...layer(`${at}.mlp.fc2`, `blocks.${i}.mlp.fc2`),
      [`${at}.layer_scale2.lambda1`, `blocks.${i}.ls2.gamma`],
    ]
  }),
  ...layer(`${prefix}layernorm`, 'norm'),
]
const dinov2Parts = (state: StateDict, prefix: string) => ({
  ...apart(state, (i) => `${prefix}encoder.layer.${i}.attention.attention`, ['query', 'key', 'value']),
  [`${prefix}embeddings.mask_token`]: anything(1, C),
})

/** Hugging Face's DINOv3. */
const dinov3Weights = (state: StateDict) =>
  theirs(
    state,
    [
      ['embeddings.cls_token', 'cls_token'],
      ['embeddings.register_tokens', 'reg_token'],
      ...layer('embeddings.patch_embeddings', 'patch_embed.proj'),
      ...l.flatMap((i): [string, string][] => [
        ...layer(`layer.${i}.norm1`, `blocks.${i}.norm1`),
        ...layer(`layer.${i}.attention.o_proj`, `blocks.${i}.attn.proj`),
        [`layer.${i}.layer_scale1.lambda1`, `blocks.${i}.ls1.gamma`],
        ...layer(`layer.${i}.norm2`, `blocks.${i}.norm2`),
        ...layer(`layer.${i}.mlp.up_proj`, `blocks.${i}.mlp.fc1`),
        ...layer(`layer.${i}.mlp.down_proj`, `blocks.${i}.mlp.fc2`),
        [`layer.${i}.layer_scale2.lambda1`, `blocks.${i}.ls2.gamma`],
      ]),
      ...layer('norm', 'norm'),
    ],
    {
      ...apart(state, (i) => `layer.${i}.attention`, ['q_proj', 'k_proj', 'v_proj']),
      'embeddings.mask_token': anything(1, 1, C),
    },
  )

/** timm's own names with some of them others. */
const renamed =
  (rename: (name: string) => string, more: Record<string, WeightTensor> = {}) =>
  (state: StateDict): StateDict =>
    new Map([...[...state].map(([name, tensor]) => [rename(name), tensor] as const), ...Object.entries(more)])

/** The first layer of gated MLPs in two: what gates, and what is gated. */
const inHalves =
  (gate: string, value: string) =>
  (state: StateDict): StateDict =>
    new Map(
      [...state].flatMap(([name, tensor]) => {
        const [rows = 0, ...rest] = tensor.shape
        const data = tensor.data as Float32Array
        const half = (i: number) =>
          float32(data.slice((i * data.length) / 2, ((i + 1) * data.length) / 2), [rows / 2, ...rest])
        if (!name.includes('.mlp.fc1.')) return [[name, tensor] as const]
        return [gate, value].map((part, i) => [name.replace('fc1', part), half(i)] as const)
      }),
    )

/** Key lists of released checkpoints, by layout and family. */
export const layoutCases: Readonly<Record<string, LayoutCase>> = {
  'timm ViT of AugReg with a head of many classes': {
    config: { ...base, classes: 21, resizing: 'antialias' },
    json: {
      architecture: 'vit_tiny_patch16_224',
      input_size,
      num_classes: 21,
      global_pool: 'token',
      model_args: { num_heads: 2 },
    },
    weights: (state) => state,
  },
  'timm CLIP of OpenAI': {
    config: { ...clip, classes: 5, projection: undefined, resizing: 'antialias' } as unknown as VitConfig,
    json: { architecture: 'vit_base_patch16_clip_quickgelu_224', input_size, model_args: { num_heads: 2 } },
    weights: (state) => state,
  },
  'timm SigLIP': {
    config: { ...siglip, resizing: 'antialias' },
    json: {
      architecture: 'vit_base_patch16_siglip_224',
      input_size,
      num_classes: 0,
      global_pool: 'map',
      model_args: { num_heads: 2 },
    },
    weights: (state) => state,
    warnings: /the activation gelu-tanh is a guess/,
  },
  'timm DINOv3': {
    config: { ...dinov3, qkvBias: 'none' },
    json: { architecture: 'vit_small_patch16_dinov3', input_size, model_args: { num_heads: 2 } },
    weights: renamed((name) => name.replace('ls1.gamma', 'gamma_1').replace('ls2.gamma', 'gamma_2')),
  },
  'timm ViT pooled by the mean, as MAE is finetuned': {
    config: { ...base, pool: 'mean', normAfterPool: true },
    weights: (state) => state,
  },
  'official DeiT III': {
    config: { ...base, layerScale: true, positions: 'image' },
    weights: renamed((name) => name.replace('ls1.gamma', 'gamma_1').replace('ls2.gamma', 'gamma_2')),
  },
  'official DINOv2': {
    config: { ...dinov2, resizing: 'offset' },
    weights: renamed((name) => name, { mask_token: anything(1, C) }),
    warnings: /left out, .*: the mask token of pretraining \(1 tensors\)/,
  },
  'official DINOv2 with registers': {
    config: { ...registers, resizing: 'antialias' },
    weights: renamed((name) => name.replace('reg_token', 'register_tokens'), { mask_token: anything(1, C) }),
    warnings: /the mask token/,
  },
  'official DINOv3': {
    config: dinov3,
    json: { model_type: 'dinov3_vit', num_attention_heads: 2, image_size: 16 },
    weights(state) {
      const named = renamed((name) => name.replace('reg_token', 'storage_tokens'), {
        mask_token: anything(1, C),
        'rope_embed.periods': float32(Float32Array.of(1), [1]),
      })(state)
      for (const i of l) {
        const at = `blocks.${i}.attn`
        const [q, v] = [floatsOf(state, `${at}.q_bias`), floatsOf(state, `${at}.v_bias`)]
        named.delete(`${at}.q_bias`)
        named.delete(`${at}.v_bias`)
        named.set(`${at}.qkv.bias`, float32(Float32Array.of(...q, ...new Float32Array(C).fill(7), ...v), [3 * C]))
        const mask = Float32Array.from({ length: 3 * C }, (_, row) => (row >= C && row < 2 * C ? 0 : 1))
        named.set(`${at}.qkv.bias_mask`, float32(mask, [3 * C]))
      }
      return named
    },
    warnings: /the mask token/,
  },
  'timm DINOv2 with packed gated MLPs, as the giant has them': {
    config: { ...gatedV2, resizing: 'antialias' },
    json: { architecture: 'vit_giant_patch14_dinov2', input_size, num_classes: 0, model_args: { num_heads: 2 } },
    weights: (state) => state,
  },
  'official DINOv2 with gated MLPs': {
    config: { ...gatedV2, resizing: 'offset' },
    weights: renamed((name) => name.replace('mlp.fc1', 'mlp.w12').replace('mlp.fc2', 'mlp.w3'), {
      mask_token: anything(1, C),
    }),
    warnings: /the mask token/,
  },
  'Hugging Face DINOv2 with gated MLPs, whose file says GELU': {
    config: gatedV2,
    json: { model_type: 'dinov2', num_attention_heads: 2, hidden_act: 'gelu', use_swiglu_ffn: true },
    weights: (state) =>
      theirs(
        state,
        dinov2Names('').map(([to, from]) => [
          to.replace('mlp.fc1', 'mlp.weights_in').replace('mlp.fc2', 'mlp.weights_out'),
          from,
        ]),
        dinov2Parts(state, ''),
      ),
    warnings: /the mask token/,
  },
  'timm DINOv3 with gated MLPs in two': {
    config: { ...gatedV3, qkvBias: 'none' },
    json: { architecture: 'vit_huge_plus_patch16_dinov3', input_size, model_args: { num_heads: 2 } },
    weights: (state) => inHalves('fc1_g', 'fc1_x')(renamed((name) => name.replace(/ls(\d)\.gamma/, 'gamma_$1'))(state)),
  },
  'official DINOv3 with gated MLPs': {
    config: { ...gatedV3, qkvBias: 'none' },
    json: { model_type: 'dinov3_vit', num_attention_heads: 2, image_size: 16 },
    weights: (state) =>
      renamed((name) => name.replace('mlp.fc2', 'mlp.w3').replace('reg_token', 'storage_tokens'), {
        'local_cls_norm.weight': anything(C),
      })(inHalves('w1', 'w2')(state)),
    warnings: /a norm of pretraining/,
  },
  'official MAE with its decoder': {
    config: { ...base, classes: 0 },
    weights: renamed((name) => name, { mask_token: anything(1, 1, C), 'decoder_embed.weight': anything(3, C) }),
    warnings: /the mask token of pretraining \(1 tensors\), the decoder of pretraining \(1 tensors\)/,
  },
  'Hugging Face DINOv2': {
    config: dinov2,
    json: { model_type: 'dinov2', num_attention_heads: 2, hidden_size: C, image_size: 16, use_swiglu_ffn: false },
    weights: (state) => theirs(state, dinov2Names(''), dinov2Parts(state, '')),
    warnings: /the mask token/,
  },
  'Hugging Face DINOv2 with a linear head': {
    config: { ...dinov2, classes: 2, pool: 'class-mean' },
    json: { model_type: 'dinov2', num_attention_heads: 2 },
    weights: (state) =>
      theirs(state, [...dinov2Names('dinov2.'), ...layer('classifier', 'head')], dinov2Parts(state, 'dinov2.')),
    warnings: /the mask token/,
  },
  'Hugging Face DINOv2 with registers': {
    config: { ...registers, resizing: 'antialias' },
    json: { model_type: 'dinov2_with_registers', num_attention_heads: 2 },
    weights: (state) =>
      theirs(state, [...dinov2Names(''), ['embeddings.register_tokens', 'reg_token']], dinov2Parts(state, '')),
    warnings: /the mask token/,
  },
  'Hugging Face DINOv3': {
    config: dinov3,
    json: { model_type: 'dinov3_vit', num_attention_heads: 2, image_size: 16, rope_theta: 100, layer_norm_eps: 1e-5 },
    weights: dinov3Weights,
    warnings: /the mask token/,
  },
  'Hugging Face DINOv3 with gated MLPs': {
    config: gatedV3,
    json: { model_type: 'dinov3_vit', num_attention_heads: 2, image_size: 16, hidden_act: 'silu', use_gated_mlp: true },
    weights(state) {
      const halves = inHalves('gate_proj', 'up_proj')(state)
      const named = dinov3Weights(state)
      for (const i of l) {
        for (const kind of ['weight', 'bias']) named.delete(`layer.${i}.mlp.up_proj.${kind}`)
        for (const part of ['gate_proj', 'up_proj'])
          for (const kind of ['weight', 'bias'])
            named.set(`layer.${i}.mlp.${part}.${kind}`, get(halves, `blocks.${i}.mlp.${part}.${kind}`))
      }
      return named
    },
    warnings: /the mask token/,
  },
  'Hugging Face CLIP': {
    config: clip,
    json: { model_type: 'clip', projection_dim: 5, vision_config: { num_attention_heads: 2, patch_size: 4 } },
    weights: (state) =>
      theirs(
        state,
        [
          ['vision_model.embeddings.patch_embedding.weight', 'patch_embed.proj.weight'],
          ...layer('vision_model.pre_layrnorm', 'norm_pre'),
          ...towerNames,
          ...layer('vision_model.post_layernorm', 'norm'),
          ['visual_projection.weight', 'projection.weight'],
        ],
        {
          ...towerParts(state),
          'vision_model.embeddings.class_embedding': reshaped(get(state, 'cls_token'), [C]),
          'vision_model.embeddings.position_embedding.weight': reshaped(get(state, 'pos_embed'), [17, C]),
          'vision_model.embeddings.position_ids': { dtype: 'I64', shape: [1, 17], data: new BigInt64Array(17) },
          'text_projection.weight': anything(5, 5),
          ...textTower,
        },
      ),
    warnings: /the text tower \(3 tensors\)/,
  },
  'Hugging Face SigLIP': {
    config: siglip,
    json: { model_type: 'siglip', vision_config: { model_type: 'siglip_vision_model', num_attention_heads: 2 } },
    weights(state) {
      const stacked = (kind: string) => {
        const [q, kv] = [get(state, `attn_pool.q.${kind}`), get(state, `attn_pool.kv.${kind}`)]
        const data = Float32Array.of(...(q.data as Float32Array), ...(kv.data as Float32Array))
        return float32(data, [3 * C, ...q.shape.slice(1)])
      }
      return theirs(
        state,
        [
          ...layer('vision_model.embeddings.patch_embedding', 'patch_embed.proj'),
          ...towerNames,
          ...layer('vision_model.post_layernorm', 'norm'),
          ['vision_model.head.probe', 'attn_pool.latent'],
          ...layer('vision_model.head.attention.out_proj', 'attn_pool.proj'),
          ...layer('vision_model.head.layernorm', 'attn_pool.norm'),
          ...layer('vision_model.head.mlp.fc1', 'attn_pool.mlp.fc1'),
          ...layer('vision_model.head.mlp.fc2', 'attn_pool.mlp.fc2'),
        ],
        {
          ...towerParts(state),
          'vision_model.embeddings.position_embedding.weight': reshaped(get(state, 'pos_embed'), [16, C]),
          'vision_model.head.attention.in_proj_weight': stacked('weight'),
          'vision_model.head.attention.in_proj_bias': stacked('bias'),
          logit_bias: anything(),
          ...textTower,
        },
      )
    },
    warnings: /the text tower \(3 tensors\)/,
  },
  'OpenAI CLIP': {
    config: { ...clip, resizing: 'antialias' },
    json: { model_type: 'clip_vision_model', num_attention_heads: 2 },
    weights: (state) =>
      theirs(
        state,
        [
          ['visual.conv1.weight', 'patch_embed.proj.weight'],
          ...layer('visual.ln_pre', 'norm_pre'),
          ...l.flatMap((i): [string, string][] => {
            const at = `visual.transformer.resblocks.${i}`
            return [
              [`${at}.attn.in_proj_weight`, `blocks.${i}.attn.qkv.weight`],
              [`${at}.attn.in_proj_bias`, `blocks.${i}.attn.qkv.bias`],
              ...layer(`${at}.attn.out_proj`, `blocks.${i}.attn.proj`),
              ...layer(`${at}.ln_1`, `blocks.${i}.norm1`),
              ...layer(`${at}.mlp.c_fc`, `blocks.${i}.mlp.fc1`),
              ...layer(`${at}.mlp.c_proj`, `blocks.${i}.mlp.fc2`),
              ...layer(`${at}.ln_2`, `blocks.${i}.norm2`),
            ]
          }),
          ...layer('visual.ln_post', 'norm'),
        ],
        {
          'visual.class_embedding': reshaped(get(state, 'cls_token'), [C]),
          'visual.positional_embedding': reshaped(get(state, 'pos_embed'), [17, C]),
          'visual.proj': transposed(get(state, 'projection.weight')),
          'transformer.resblocks.0.ln_1.weight': anything(5),
          positional_embedding: anything(77, 5),
          text_projection: anything(5, 5),
          'token_embedding.weight': anything(7, 5),
          'ln_final.weight': anything(5),
          logit_scale: anything(),
        },
      ),
    warnings: /the text tower \(6 tensors\)/,
  },
  'OpenCLIP around a tower of timm': {
    config: { ...siglip, resizing: 'antialias' },
    json: { model_type: 'siglip_vision_model', num_attention_heads: 2 },
    weights: renamed((name) => `visual.trunk.${name}`, { 'text.cls_emb': anything(5), logit_scale: anything() }),
    warnings: /the text tower \(2 tensors\)/,
  },
}
