/**
 * Hugging Face's config.json of ViT and DeiT (transformers, configuration_vit.py and configuration_deit.py).
 *
 * Its layer_norm_eps is believed unless it is 1e-12, the library's default: the files of facebook/deit-* and google/vit-*
 * say so while those weights were trained with 1e-6. Safe in browsers.
 */
import type { ModelConfigFile, SaidSize } from './config-file.js'
import { fieldsOf, isObject, type JsonObject } from './json.js'

const DEFAULT_EPS = 1e-12

/** Sizes under their names there. */
const sizeFields = {
  hidden_size: 'width',
  num_hidden_layers: 'depth',
  intermediate_size: 'hidden',
  image_size: 'imageSize',
  patch_size: 'patchSize',
} as const satisfies Record<string, SaidSize['size']>

/** @throws InputError when it describes a model that is none of ours, or a field holds nonsense */
export function readHuggingFaceConfig(json: JsonObject, source: string): ModelConfigFile {
  const squared = Object.fromEntries(Object.entries(json).map(([name, value]) => [name, withoutPair(value)]))
  const field = fieldsOf(squared, source)
  field.only('model_type', ['vit', 'deit'])
  field.only('hidden_act', ['gelu', 'gelu_python'])
  field.only('num_channels', [3])
  const heads = field.count('num_attention_heads')
  const eps = field.number('layer_norm_eps', 'a small positive number', (value) => value > 0 && value < 1)
  const said = eps === undefined ? undefined : { value: eps, field: 'layer_norm_eps' }
  const qkvBias = field.flag('qkv_bias')
  const labels = readLabels(json.id2label)
  const sizes = Object.entries(sizeFields).flatMap(([name, size]) => {
    const count = field.count(name)
    return count ? [{ ...count, size }] : []
  })
  const warnings =
    field.text('problem_type') === 'multi_label_classification'
      ? [
          `${source}: problem_type is multi_label_classification; scores here are shares of one, a softmax over all classes`,
        ]
      : []
  return {
    source,
    sizes,
    warnings,
    ...(heads && { heads }),
    ...(said && (eps === DEFAULT_EPS ? { ignoredLayerNormEps: said } : { layerNormEps: said })),
    ...(qkvBias === undefined ? {} : { qkvBias }),
    ...(labels && { labels }),
  }
}

/** `[224, 224]`, as sizes may be written, is 224; other values are left. */
const withoutPair = (value: unknown): unknown =>
  Array.isArray(value) && value.length === 2 && value[0] === value[1] ? value[0] : value

/** Names by class index, when every class from 0 on has a real one. */
function readLabels(id2label: unknown): readonly string[] | undefined {
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
