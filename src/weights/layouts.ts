/**
 * How libraries name the tensors of vision transformers: one table for each, timm's name first.
 *
 * Checked against Hugging Face's modeling files of CLIP, SigLIP, DINOv2 (with and without registers) and DINOv3, OpenAI's
 * and OpenCLIP's model.py, and the official repositories of DINOv2 and DINOv3. Safe in browsers.
 */

import type { PositionResizing } from '../models/config.js'

/** How one library names the modules of an architecture. */
export interface Layout {
  /** Name for people. */
  readonly name: string
  /** A key that only this layout has. */
  readonly sign: RegExp
  /** What comes before every key but those of the heads; base-model dumps leave it out. */
  readonly prefix: string
  /** [timm, theirs]: modules (or parameters without a module), `#` for a running number. */
  readonly modules: readonly (readonly [string, string])[]
  /** What the table does not name has timm's names behind the prefix. */
  readonly timmBehindPrefix?: true
  /** How the library's code resizes positions; default `bicubic`. */
  readonly resizing?: PositionResizing
  /** Where keys have the prefix, those without it that this matches are another tower's. */
  readonly otherTower?: RegExp
}

/** The blocks of Hugging Face's ViT and DeiT; query, key and value are joined to timm's qkv afterwards. */
const huggingFaceBlocks: Layout['modules'] = [
  ['cls_token', 'embeddings.cls_token'],
  ['dist_token', 'embeddings.distillation_token'],
  ['pos_embed', 'embeddings.position_embeddings'],
  ['patch_embed.proj', 'embeddings.patch_embeddings.projection'],
  ['blocks.#.norm1', 'encoder.layer.#.layernorm_before'],
  ['blocks.#.attn.q', 'encoder.layer.#.attention.attention.query'],
  ['blocks.#.attn.k', 'encoder.layer.#.attention.attention.key'],
  ['blocks.#.attn.v', 'encoder.layer.#.attention.attention.value'],
  ['blocks.#.attn.proj', 'encoder.layer.#.attention.output.dense'],
  ['blocks.#.norm2', 'encoder.layer.#.layernorm_after'],
  ['blocks.#.mlp.fc1', 'encoder.layer.#.intermediate.dense'],
  ['blocks.#.mlp.fc2', 'encoder.layer.#.output.dense'],
  ['norm', 'layernorm'],
]

/** Hugging Face ViTForImageClassification; ViTMAE has the same encoder. */
export const huggingFaceVit: Layout = {
  name: 'Hugging Face ViT',
  sign: /^(vit\.)?(?:embeddings|encoder)\./,
  prefix: 'vit.',
  modules: [...huggingFaceBlocks, ['head', 'classifier']],
}

/** Hugging Face DeiTForImageClassificationWithTeacher. */
export const huggingFaceDeit: Layout = {
  name: 'Hugging Face DeiT',
  sign: /^(deit\.embeddings\.|cls_classifier\.|embeddings\.distillation_token)/,
  prefix: 'deit.',
  modules: [
    ...huggingFaceBlocks,
    ['head', 'cls_classifier'],
    ['head_dist', 'distillation_classifier'],
    // DeiTForImageClassification has one head on the class token.
    ['head', 'classifier'],
  ],
}

const dinov2: Layout['modules'] = [
  ['cls_token', 'embeddings.cls_token'],
  ['reg_token', 'embeddings.register_tokens'],
  ['pos_embed', 'embeddings.position_embeddings'],
  ['patch_embed.proj', 'embeddings.patch_embeddings.projection'],
  ['blocks.#.norm1', 'encoder.layer.#.norm1'],
  ['blocks.#.attn.q', 'encoder.layer.#.attention.attention.query'],
  ['blocks.#.attn.k', 'encoder.layer.#.attention.attention.key'],
  ['blocks.#.attn.v', 'encoder.layer.#.attention.attention.value'],
  ['blocks.#.attn.proj', 'encoder.layer.#.attention.output.dense'],
  ['blocks.#.ls1.gamma', 'encoder.layer.#.layer_scale1.lambda1'],
  ['blocks.#.norm2', 'encoder.layer.#.norm2'],
  ['blocks.#.mlp.fc1', 'encoder.layer.#.mlp.fc1'],
  ['blocks.#.mlp.fc2', 'encoder.layer.#.mlp.fc2'],
  ['blocks.#.mlp.fc1', 'encoder.layer.#.mlp.weights_in'], // gated
  ['blocks.#.mlp.fc2', 'encoder.layer.#.mlp.weights_out'],
  ['blocks.#.ls2.gamma', 'encoder.layer.#.layer_scale2.lambda1'],
  ['norm', 'layernorm'],
  ['head', 'classifier'],
]

/** Hugging Face Dinov2Model and Dinov2ForImageClassification. */
export const huggingFaceDinov2: Layout = {
  name: 'Hugging Face DINOv2',
  sign: /^(dinov2\.)?encoder\.layer\.\d+\.layer_scale1\.lambda1$/,
  prefix: 'dinov2.',
  modules: dinov2,
}

/** Hugging Face Dinov2WithRegistersModel and its classifier. */
export const huggingFaceDinov2Registers: Layout = {
  name: 'Hugging Face DINOv2 with registers',
  sign: /^(dinov2_with_registers\.)?embeddings\.register_tokens$/,
  prefix: 'dinov2_with_registers.',
  modules: dinov2,
  resizing: 'antialias',
}

/** Hugging Face DINOv3ViTModel. */
export const huggingFaceDinov3: Layout = {
  name: 'Hugging Face DINOv3',
  sign: /^(model\.)?layer\.\d+\.attention\.q_proj\.weight$/,
  prefix: 'model.',
  modules: [
    ['cls_token', 'embeddings.cls_token'],
    ['reg_token', 'embeddings.register_tokens'],
    ['patch_embed.proj', 'embeddings.patch_embeddings'],
    ['blocks.#.norm1', 'layer.#.norm1'],
    ['blocks.#.attn.q', 'layer.#.attention.q_proj'],
    ['blocks.#.attn.k', 'layer.#.attention.k_proj'],
    ['blocks.#.attn.v', 'layer.#.attention.v_proj'],
    ['blocks.#.attn.proj', 'layer.#.attention.o_proj'],
    ['blocks.#.ls1.gamma', 'layer.#.layer_scale1.lambda1'],
    ['blocks.#.norm2', 'layer.#.norm2'],
    ['blocks.#.mlp.fc1_g', 'layer.#.mlp.gate_proj'],
    ['blocks.#.mlp.fc1', 'layer.#.mlp.up_proj'],
    ['blocks.#.mlp.fc2', 'layer.#.mlp.down_proj'],
    ['blocks.#.ls2.gamma', 'layer.#.layer_scale2.lambda1'],
  ],
}

/** The towers of Hugging Face's CLIP and SigLIP. */
const towerBlocks: Layout['modules'] = [
  ['patch_embed.proj', 'embeddings.patch_embedding'],
  ['pos_embed', 'embeddings.position_embedding.weight'],
  ['blocks.#.norm1', 'encoder.layers.#.layer_norm1'],
  ['blocks.#.attn.q', 'encoder.layers.#.self_attn.q_proj'],
  ['blocks.#.attn.k', 'encoder.layers.#.self_attn.k_proj'],
  ['blocks.#.attn.v', 'encoder.layers.#.self_attn.v_proj'],
  ['blocks.#.attn.proj', 'encoder.layers.#.self_attn.out_proj'],
  ['blocks.#.norm2', 'encoder.layers.#.layer_norm2'],
  ['blocks.#.mlp.fc1', 'encoder.layers.#.mlp.fc1'],
  ['blocks.#.mlp.fc2', 'encoder.layers.#.mlp.fc2'],
  ['norm', 'post_layernorm'],
]

const huggingFaceText = /^(text_model\.|text_projection\.|logit_scale$|logit_bias$)/

/** Hugging Face CLIPModel, CLIPVisionModel and CLIPVisionModelWithProjection. */
export const huggingFaceClip: Layout = {
  name: 'Hugging Face CLIP',
  sign: /^(vision_model\.)?embeddings\.class_embedding$/,
  prefix: 'vision_model.',
  modules: [
    ['cls_token', 'embeddings.class_embedding'],
    ...towerBlocks,
    ['norm_pre', 'pre_layrnorm'], // spelled so
    ['projection', 'visual_projection'],
  ],
  otherTower: huggingFaceText,
}

/** Hugging Face SiglipModel and SiglipVisionModel; its pooling query, key and value are one matrix. */
export const huggingFaceSiglip: Layout = {
  name: 'Hugging Face SigLIP',
  sign: /^(vision_model\.)?head\.probe$/,
  prefix: 'vision_model.',
  modules: [
    ...towerBlocks,
    ['attn_pool.latent', 'head.probe'],
    ['attn_pool.qkv.weight', 'head.attention.in_proj_weight'],
    ['attn_pool.qkv.bias', 'head.attention.in_proj_bias'],
    ['attn_pool.proj', 'head.attention.out_proj'],
    ['attn_pool.norm', 'head.layernorm'],
    ['attn_pool.mlp.fc1', 'head.mlp.fc1'],
    ['attn_pool.mlp.fc2', 'head.mlp.fc2'],
    ['head', 'classifier'],
  ],
  otherTower: huggingFaceText,
}

const openaiText =
  /^(transformer\.|text\.|token_embedding\.|positional_embedding$|ln_final\.|text_projection(\.|$)|logit_scale$|logit_bias$|input_resolution$|context_length$|vocab_size$)/

/** OpenAI's CLIP, and OpenCLIP where the tower is its own; the projection stands the other way round. */
export const openaiClip: Layout = {
  name: 'OpenAI CLIP',
  sign: /^(visual\.)?class_embedding$/,
  prefix: 'visual.',
  modules: [
    ['cls_token', 'class_embedding'],
    ['pos_embed', 'positional_embedding'],
    ['patch_embed.proj', 'conv1'],
    ['norm_pre', 'ln_pre'],
    ['blocks.#.norm1', 'transformer.resblocks.#.ln_1'],
    ['blocks.#.attn.qkv.weight', 'transformer.resblocks.#.attn.in_proj_weight'],
    ['blocks.#.attn.qkv.bias', 'transformer.resblocks.#.attn.in_proj_bias'],
    ['blocks.#.attn.proj', 'transformer.resblocks.#.attn.out_proj'],
    ['blocks.#.norm2', 'transformer.resblocks.#.ln_2'],
    ['blocks.#.mlp.fc1', 'transformer.resblocks.#.mlp.c_fc'],
    ['blocks.#.mlp.fc2', 'transformer.resblocks.#.mlp.c_proj'],
    ['blocks.#.ls1', 'transformer.resblocks.#.ls_1'],
    ['blocks.#.ls2', 'transformer.resblocks.#.ls_2'],
    ['norm', 'ln_post'],
    ['projection.transposed', 'proj'],
  ],
  resizing: 'antialias', // of OpenCLIP; OpenAI's code resizes nothing
  otherTower: openaiText,
}

/** OpenCLIP around a tower of timm's. */
export const openClipTrunk: Layout = {
  name: 'OpenCLIP around timm',
  sign: /^visual\.trunk\./,
  prefix: 'visual.trunk.',
  modules: [['projection', 'visual.head.proj']],
  timmBehindPrefix: true,
  resizing: 'antialias',
  otherTower: openaiText,
}

/** Evo-ViT on DeiT: attention in lists of its own, queries and keys in one matrix; they are joined to qkv afterwards. */
export const evoVit: Layout = {
  name: 'Evo-ViT',
  sign: /^qks\.\d+\.qk\./,
  prefix: '',
  modules: [
    ['blocks.#.norm1', 'norms.#'],
    ['blocks.#.attn.qk', 'qks.#.qk'],
    ['blocks.#.attn.v', 'vs.#.v'],
    ['blocks.#.attn.proj', 'projs.#'],
  ],
}

/** Hugging Face SwinModel and SwinForImageClassification; query, key and value are joined to qkv afterwards. */
export const huggingFaceSwin: Layout = {
  name: 'Hugging Face Swin',
  sign: /^(swin\.)?encoder\.layers\.\d+\.blocks\.\d+\.layernorm_before\.weight$/,
  prefix: 'swin.',
  modules: [
    ['patch_embed.proj', 'embeddings.patch_embeddings.projection'],
    ['patch_embed.norm', 'embeddings.norm'],
    ['layers.#.blocks.#.norm1', 'encoder.layers.#.blocks.#.layernorm_before'],
    ...(['query', 'key', 'value'] as const).map(
      (part) => [`layers.#.blocks.#.attn.${part[0]}`, `encoder.layers.#.blocks.#.attention.self.${part}`] as const,
    ),
    [
      'layers.#.blocks.#.attn.relative_position_bias_table',
      'encoder.layers.#.blocks.#.attention.self.relative_position_bias_table',
    ],
    ['layers.#.blocks.#.attn.proj', 'encoder.layers.#.blocks.#.attention.output.dense'],
    ['layers.#.blocks.#.norm2', 'encoder.layers.#.blocks.#.layernorm_after'],
    ['layers.#.blocks.#.mlp.fc1', 'encoder.layers.#.blocks.#.intermediate.dense'],
    ['layers.#.blocks.#.mlp.fc2', 'encoder.layers.#.blocks.#.output.dense'],
    ['layers.#.downsample.norm', 'encoder.layers.#.downsample.norm'],
    ['layers.#.downsample.reduction', 'encoder.layers.#.downsample.reduction'],
    ['norm', 'layernorm'],
    ['head', 'classifier'],
  ],
}

/** timm's Swin from 0.9 on, but for the merging, which is at the start of the next stage there: `toTimmForm` moves it. */
export const timmSwin: Layout = {
  name: 'timm Swin',
  sign: /^head\.fc\.weight$/,
  prefix: '',
  modules: [['head', 'head.fc']],
}

/** AdaViT on DeiT: matrices of query, key and value by themselves; they are joined to qkv afterwards. */
export const adaVit: Layout = {
  name: 'AdaViT',
  sign: /^blocks\.\d+\.attn\.query\.weight$/,
  prefix: '',
  modules: [
    ['blocks.#.attn.q', 'blocks.#.attn.query'],
    ['blocks.#.attn.k', 'blocks.#.attn.key'],
    ['blocks.#.attn.v', 'blocks.#.attn.value'],
  ],
}

/** LayerScale as DeiT III, BEiT and timm's Eva call it. */
export const gammas: Layout = {
  name: 'DeiT III, Eva',
  sign: /^blocks\.\d+\.gamma_1$/,
  prefix: '',
  modules: [
    ['blocks.#.ls1.gamma', 'blocks.#.gamma_1'],
    ['blocks.#.ls2.gamma', 'blocks.#.gamma_2'],
  ],
}

/** Registers as the official DINOv2 and DINOv3 call them; all else is as in timm. */
export const dinoRegisters: Layout = {
  name: 'official DINOv2 and DINOv3',
  sign: /^(register_tokens|storage_tokens)$/,
  prefix: '',
  modules: [
    ['reg_token', 'register_tokens'],
    ['reg_token', 'storage_tokens'],
  ],
  resizing: 'antialias',
}

/** The layouts that are not timm's own, in the order they are tried. */
export const layouts: readonly Layout[] = [
  huggingFaceDeit,
  huggingFaceDinov3,
  huggingFaceDinov2Registers,
  huggingFaceDinov2,
  huggingFaceSiglip,
  huggingFaceClip,
  openClipTrunk,
  openaiClip,
  huggingFaceSwin,
  timmSwin,
  huggingFaceVit,
  evoVit,
  adaVit,
  gammas,
  dinoRegisters,
]

/** Parts of other architectures that no model here computes, by their keys. */
export const unknownParts: readonly (readonly [string, RegExp])[] = [
  ['relative positions (BEiT)', /(^|\.)relative_position_bias(\.relative_position_bias)?_table$/],
  ['relative positions (BEiT)', /(^|\.)rel_pos_bias\.relative_position_bias_table$/],
  ['decomposed relative positions (SAM, ViTDet)', /(^|\.)rel_pos_[hw]$/],
  ['a norm inside the MLP (EVA-02)', /(^|\.)mlp\.(norm|ffn_ln)\./],
  ['a norm inside attention (EVA-02)', /(^|\.)attn\.(norm|inner_attn_ln)\./],
  ['class attention (CaiT, XCiT)', /^(blocks_token_only|cls_attn_blocks)\./],
]

/** Parts of checkpoints that only pretraining needs, whatever the layout. */
export const pretrainingParts: readonly (readonly [string, RegExp])[] = [
  ['the mask token of pretraining', /(^|\.)mask_token$/],
  ['the decoder of pretraining', /^decoder(_|\.)/],
  ['a norm of pretraining', /^local_cls_norm\./], // DINOv3's largest
  ['the pooler behind the features', /^(vit\.|deit\.)?pooler\.dense\./],
]
