/**
 * Hugging Face's config.json of vision transformers (transformers, configuration_*.py).
 *
 * Its layer_norm_eps is believed unless it is 1e-12, the library's default: the files of facebook/deit-* and google/vit-*
 * say so while those weights were trained with 1e-6. Files of CLIP and SigLIP leave out what is the library's default, and
 * say what is of the image tower in `vision_config`. Safe in browsers.
 */
import type { Activation } from '../models/config.js'
import type { ModelConfigFile, SaidSize } from './config-said.js'
import type { VitHints, VitShape } from './infer.js'
import { type Fields, fieldsOf, isObject, type JsonObject, type Said } from './json.js'

const DEFAULT_EPS = 1e-12

/** Sizes under their names there. */
const sizeFields = {
  hidden_size: 'width',
  num_hidden_layers: 'depth',
  intermediate_size: 'hidden',
  image_size: 'imageSize',
  patch_size: 'patchSize',
} as const satisfies Record<string, SaidSize['size']>

/** What a kind of model is where its file is silent. */
interface Kind {
  readonly layerNormEps?: number
  readonly heads?: number
  readonly activation?: Activation
  /** It is turned by rotary positions, whose field of the temperature is this. */
  readonly rotary?: string
}

const clip: Kind = { layerNormEps: 1e-5, heads: 12, activation: 'quick-gelu' }
const siglip: Kind = { layerNormEps: 1e-6, heads: 12, activation: 'gelu-tanh' }

/** By `model_type`. */
const kinds: Readonly<Record<string, Kind>> = {
  vit: {},
  deit: {},
  vit_mae: {},
  dinov2: { layerNormEps: 1e-6 },
  dinov2_with_registers: { layerNormEps: 1e-6 },
  dinov3_vit: { layerNormEps: 1e-5, rotary: 'rope_theta' },
  clip,
  clip_vision_model: clip,
  siglip,
  siglip_vision_model: siglip,
}

/** Names of activations there. */
const activations: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  quick_gelu: 'quick-gelu',
  silu: 'silu',
}

/** @throws InputError when it describes a model that is none of ours, or a field holds nonsense */
export function readHuggingFaceConfig(json: JsonObject, source: string): ModelConfigFile {
  const whole = fieldsOf(json, source)
  whole.only('model_type', Object.keys(kinds))
  const type = whole.text('model_type')
  const kind = kinds[type ?? 'vit'] ?? {}
  const tower = whole.object('vision_config')
  const path = tower ? 'vision_config.' : ''
  const { imageSize, ...shown } = pictureOf(tower ?? json)
  const field = fieldsOf(shown, source, path)
  field.only('hidden_act', Object.keys(activations))
  field.only('num_channels', [3])
  const gates = ['use_swiglu_ffn', 'use_gated_mlp'].flatMap((name) => {
    const value = field.flag(name)
    const fits = (shape: VitShape) => value === (shape.gated ?? false)
    return value === undefined ? [] : [{ field: name, value, fits }]
  })
  const standard = (name: string, value: number): Said<number> => ({ value, field: `${name} as in ${type}` })
  const heads = field.count('num_attention_heads') ?? (kind.heads ? standard('heads', kind.heads) : undefined)
  const eps = field.number('layer_norm_eps', 'a small positive number', (value) => value > 0 && value < 1)
  const said = eps === undefined ? undefined : { value: eps, field: `${path}layer_norm_eps` }
  const silent = kind.layerNormEps ? standard('layer_norm_eps', kind.layerNormEps) : undefined
  const ignored = said && eps === DEFAULT_EPS
  const layerNormEps = ignored ? undefined : (said ?? silent)
  const qkvBias = field.flag('qkv_bias')
  const labels = readLabels(json.id2label)
  const sizes = Object.entries(sizeFields).flatMap(([name, size]) => {
    const count = field.count(name)
    return count ? [{ ...count, size }] : []
  })
  const warnings =
    whole.text('problem_type') === 'multi_label_classification'
      ? [
          `${source}: problem_type is multi_label_classification; scores here are shares of one, a softmax over all classes`,
        ]
      : []
  return {
    source,
    sizes,
    warnings,
    ...(gates.length > 0 && { options: gates }),
    hints: { ...readHints(field, kind), ...imageSize },
    ...(heads && { heads }),
    ...(layerNormEps && { layerNormEps }),
    ...(ignored && { ignoredLayerNormEps: said }),
    ...(qkvBias === undefined ? {} : { qkvBias }),
    ...(labels && { labels }),
  }
}

/** What shapes cannot tell. */
function readHints(field: Fields, kind: Kind): VitHints {
  // A SwiGLU has its own activation, whatever the file says of the others (modeling_dinov2.py).
  const said = field.flag('use_swiglu_ffn') ? 'silu' : field.text('hidden_act')
  const activation = said === undefined ? kind.activation : activations[said]
  const temperature = kind.rotary
    ? (field.number(kind.rotary, 'a number above 1', (value) => value > 1) ?? 100)
    : undefined
  return {
    ...(activation && { activation }),
    ...(temperature !== undefined && { rotary: { kind: 'dinov3', temperature } }),
  }
}

/** The fields with pairs of equal sizes as one number; and the picture's size, which may be a pair of unequal ones. */
function pictureOf(json: JsonObject): JsonObject & { imageSize: Pick<VitHints, 'imageSize' | 'imageHeight'> } {
  const { image_size: size, ...rest } = Object.fromEntries(
    Object.entries(json).map(([name, value]) => [name, withoutPair(value)]),
  )
  if (Array.isArray(size) && size.length === 2 && size.every((side) => Number.isInteger(side) && side > 0))
    return { ...rest, imageSize: { imageHeight: size[0], imageSize: size[1] } }
  const one = typeof size === 'number' && Number.isInteger(size) && size > 0
  return { ...rest, ...(size !== undefined && { image_size: size }), imageSize: one ? { imageSize: size } : {} }
}

/** `[224, 224]`, as sizes may be written, is 224; other values are left. */
const withoutPair = (value: unknown): unknown =>
  Array.isArray(value) && value.length === 2 && value[0] === value[1] ? value[0] : value

/** Names by class index, when every class from 0 on has a real one. */
export function readLabels(id2label: unknown): readonly string[] | undefined {
  if (!isObject(id2label)) return undefined
  const count = Object.keys(id2label).length
  const labels: string[] = []
  for (let index = 0; index < count; index++) {
    const label = id2label[index]
    if (typeof label !== 'string' || /^LABEL_\d+$/.test(label)) return undefined
    labels.push(label)
  }
  return count > 0 ? labels : undefined
}
