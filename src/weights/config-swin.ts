/**
 * `config.json` of Swin transformers, of Hugging Face (configuration_swin.py) and of timm. Most of it the shapes tell; what
 * they do not is used, and what contradicts them, or asks for a part that is not known here, is refused by its name. Safe in
 * browsers.
 */

import { fail } from '../errors.js'
import { checkMaps, lastStage, SWIN_EPS, type SwinConfig } from '../models/swin-config.js'
import { readLabels as readHuggingFaceLabels } from './config-huggingface.js'
import type { ModelConfigFile, SaidOption } from './config-said.js'
import { isTimmConfig, readLabels as readTimmLabels } from './config-timm.js'
import { type Fields, fieldsOf, type JsonObject, quoted } from './json.js'

/** Sizes by their names there, and what they have to be. */
const sizes: Readonly<Record<string, (config: SwinConfig) => unknown>> = {
  embed_dim: ({ width }) => width,
  patch_size: ({ patchSize }) => patchSize,
  window_size: ({ windowSize }) => windowSize,
  depths: ({ stages }) => stages.map(({ depth }) => depth),
  num_heads: ({ stages }) => stages.map(({ heads }) => heads),
  mlp_ratio: ({ hidden, width }) => hidden / width,
}

/** Arguments that change nothing here. */
const harmless = new Set([
  ...['img_size', 'num_classes', 'drop_rate', 'proj_drop_rate', 'attn_drop_rate', 'drop_path_rate', 'weight_init'],
  ...['always_partition', 'strict_img_size', 'qkv_bias'],
])

/** @throws InputError when it describes a model that is none of ours, or a field holds nonsense */
export const readSwinConfig = (json: JsonObject, source: string): ModelConfigFile =>
  isTimmConfig(json) ? readTimm(json, source) : readHuggingFace(json, source)

/** Hugging Face's fields of a Swin transformer. */
export const swinConfigFields = (config: SwinConfig): Record<string, unknown> => ({
  architectures: [config.classes === 0 ? 'SwinModel' : 'SwinForImageClassification'],
  model_type: 'swin',
  ...Object.fromEntries(Object.entries(sizes).map(([name, of]) => [name, of(config)])),
  hidden_size: lastStage(config).width,
  image_size: config.imageSize,
  num_channels: 3,
  qkv_bias: true,
  hidden_act: 'gelu',
  use_absolute_embeddings: false,
  layer_norm_eps: config.layerNormEps,
})

/**
 * The sizes that the fields of {@link swinConfigFields} say, for a model without weights beside it.
 *
 * @throws InputError naming a field that is missing or makes no such model
 */
export function describedSwin(json: JsonObject, source: string, classes: number): SwinConfig {
  const field = fieldsOf(json, source)
  const count = (name: string) => field.count(name)?.value ?? fail(`${source}: no ${name}`)
  const list = (name: string): readonly number[] => {
    const value = json[name]
    const good = Array.isArray(value) && value.length > 0 && value.every((each) => Number.isInteger(each) && each > 0)
    return good ? value : field.wrong(name, 'positive integers, one for each stage')
  }
  const [depths, heads] = [list('depths'), list('num_heads')]
  if (depths.length !== heads.length) field.wrong('num_heads', `${depths.length} numbers, as depths`)
  const width = count('embed_dim')
  const ratio = field.number('mlp_ratio', 'a number above 0', (value) => value > 0) ?? fail(`${source}: no mlp_ratio`)
  const config: SwinConfig = {
    imageSize: count('image_size'),
    patchSize: count('patch_size'),
    width,
    depth: depths.reduce((a, b) => a + b, 0),
    heads: heads[0] as number,
    hidden: Math.round(ratio * width),
    classes,
    distilled: false,
    layerNormEps: field.number('layer_norm_eps', 'a small positive number', (eps) => eps > 0 && eps < 1) ?? SWIN_EPS,
    classToken: false,
    pool: 'mean',
    stages: depths.map((depth, stage) => ({ depth, heads: heads[stage] as number })),
    windowSize: count('window_size'),
  }
  checkMaps(config)
  return config
}

function readHuggingFace(json: JsonObject, source: string): ModelConfigFile {
  const field = fieldsOf(json, source)
  field.only('model_type', ['swin'])
  field.only('hidden_act', ['gelu', 'gelu_python'])
  field.only('num_channels', [3])
  field.only('use_absolute_embeddings', [false], ': absolute positions are not known here')
  field.only('qkv_bias', [true])
  const eps = field.number('layer_norm_eps', 'a small positive number', (value) => value > 0 && value < 1)
  const labels = readHuggingFaceLabels(json.id2label)
  return {
    source,
    sizes: [],
    warnings: [],
    options: heldSizes(json, ''),
    hints: sideOf(field, 'image_size', json.image_size),
    ...(eps !== undefined && { layerNormEps: { value: eps, field: 'layer_norm_eps' } }),
    ...(labels && { labels }),
  }
}

function readTimm(json: JsonObject, source: string): ModelConfigFile {
  const field = fieldsOf(json, source)
  const architecture = field.text('architecture')
  if (architecture !== undefined && !/^swin_(?!s3|v2)/.test(architecture)) field.wrong('architecture', 'a Swin')
  const given = field.object('model_args') ?? {}
  const argument = fieldsOf(given, source, 'model_args.')
  for (const name of Object.keys(given))
    if (!(name in sizes) && !harmless.has(name) && given[name] !== null)
      fail(`${source}: model_args.${name} is not known here, found ${quoted(given[name])}`)
  field.only('global_pool', ['avg'])
  const pretrained = field.object('pretrained_cfg') ?? json
  const labels = readTimmLabels(json) ?? readTimmLabels(pretrained)
  const [, , native] = Array.isArray(pretrained.input_size) ? pretrained.input_size : []
  return {
    source,
    sizes: [],
    warnings: [],
    pretrained,
    options: heldSizes(given, 'model_args.'),
    hints: sideOf(argument, 'img_size', given.img_size ?? native),
    ...(labels && { labels }),
  }
}

/** Sizes that a file says, to be held against the shapes. */
const heldSizes = (json: JsonObject, path: string): SaidOption[] =>
  Object.entries(sizes).flatMap(([name, of]) => {
    const value = json[name] ?? undefined
    if (value === undefined) return []
    const fits: SaidOption['fits'] = (shape) => quoted(of(shape as unknown as SwinConfig)) === quoted(value)
    return [{ field: `${path}${name}`, value, fits }]
  })

/** The picture's side, of one number or an equal pair. */
function sideOf(field: Fields, name: string, size: unknown): { imageSize?: number } {
  const [height, width] = Array.isArray(size) ? size : [size, size]
  if (height === undefined || height === null) return {}
  if (!Number.isInteger(height) || height < 1 || height !== width) return field.wrong(name, 'the side of a square')
  return { imageSize: height }
}
