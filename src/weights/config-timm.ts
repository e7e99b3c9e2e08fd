/**
 * timm's config.json (timm/models/_hub.py): the architecture by name, arguments that differ from it, and
 * `pretrained_cfg`, which says how pictures are made. In the old form the fields of `pretrained_cfg` stand alone.
 *
 * An argument that is not in the table below is refused by its name: it might change what the weights compute. Safe in
 * browsers.
 */
import { fail } from '../errors.js'
import type { ModelConfigFile, SaidSize } from './config-said.js'
import type { VitShape } from './infer.js'
import { fieldsOf, isObject, type JsonObject, quoted } from './json.js'

/** Whether it is timm's; transformers' wrapper of timm models writes the same fields. */
export const isTimmConfig = (json: JsonObject): boolean =>
  json.model_type === 'timm_wrapper' ||
  (json.model_type === undefined && (isObject(json.pretrained_cfg) || typeof json.architecture === 'string'))

/** Vision transformers: another first word is another architecture … */
const plain = /^(vit|deit|flexivit|test_vit)/
/** … and these have parts that are not known here, or tensors of the same names that mean something else. */
const different = /_(rpn|parallel|relpos|srelpos|pe|rope|mci|xcit)(_|$)/

/** Arguments of timm's VisionTransformer that say a size. */
const sizeArguments = {
  img_size: 'imageSize',
  patch_size: 'patchSize',
  embed_dim: 'width',
  depth: 'depth',
} as const satisfies Record<string, SaidSize['size']>

/** Arguments that change nothing here: shapes tell them, or they only matter in training. */
const harmless = new Set([
  ...['num_heads', 'qkv_bias', 'num_classes', 'mlp_ratio', 'weight_init', 'fix_init', 'strict_img_size'],
  ...['class_token', 'no_embed_class', 'reg_tokens', 'pre_norm', 'fc_norm', 'qk_norm', 'init_values'],
  ...['dynamic_img_size', 'drop_rate', 'pos_drop_rate', 'patch_drop_rate', 'proj_drop_rate', 'attn_drop_rate'],
  'drop_path_rate',
])

/** Arguments that have to be one of these. */
const required: Readonly<Record<string, readonly unknown[]>> = {
  in_chans: [3],
  global_pool: ['token', 'avg', 'map', ''],
  pos_embed: ['learn', 'none', ''],
  final_norm: [true],
  proj_bias: [true],
  scale_attn_norm: [false],
  scale_mlp_norm: [false],
  act_layer: ['gelu', 'gelu_tanh', 'quick_gelu', 'silu'],
  norm_layer: ['layernorm'],
}

/** Arguments that say what the weights must look like. */
const held: Readonly<Record<string, (value: unknown, shape: VitShape) => boolean>> = {
  class_token: (value, { classToken = true }) => value === classToken,
  reg_tokens: (value, { registers = 0 }) => value === registers,
  pre_norm: (value, { preNorm = false }) => value === preNorm,
  qk_norm: (value, { qkNorm = false }) => value === qkNorm,
  init_values: (_, { layerScale = false }) => layerScale,
  no_embed_class: (value, { positions }) =>
    value === (positions === 'image') || (positions === undefined && value === false),
  global_pool: (value, { pool }) => (value === 'map') === (pool === 'attention'),
}

const pools = { token: 'class', '': 'class', avg: 'mean', map: 'attention' } as const
const activations = { gelu: 'gelu', gelu_tanh: 'gelu-tanh', quick_gelu: 'quick-gelu', silu: 'silu' } as const

/** The picture's size, of one number, of height and width, or of channels before these, where they say it well. */
function pictureOf(size: unknown): { imageSize?: number; imageHeight?: number } {
  const sides: unknown[] = Array.isArray(size) ? size : [size, size]
  const [channels, height, width] = sides.length === 2 ? [3, ...sides] : sides
  const good = (side: unknown): side is number => typeof side === 'number' && Number.isInteger(side) && side > 0
  if (channels !== 3 || !good(height) || !good(width)) return {}
  return { imageSize: width, ...(height !== width && { imageHeight: height }) }
}

/** @throws InputError when it describes a model that is none of ours, or a field holds nonsense */
export function readTimmConfig(json: JsonObject, source: string): ModelConfigFile {
  const field = fieldsOf(json, source)
  const architecture = field.text('architecture')
  if (architecture !== undefined && (!plain.test(architecture) || different.test(architecture)))
    field.wrong('architecture', 'a ViT, DeiT, or an image encoder of their kind')
  const pretrained = field.object('pretrained_cfg') ?? json
  const { img_size: pair, ...others }: JsonObject = field.object('model_args') ?? {}
  // A rectangle is held against the weights as such, a square as its side.
  const rectangle = Array.isArray(pair) && pair.length === 2 && pair[0] !== pair[1]
  const side = Array.isArray(pair) && !rectangle ? pair[0] : pair
  const given: JsonObject = { ...others, ...(side !== undefined && !rectangle && { img_size: side }) }
  const argument = fieldsOf(given, source, 'model_args.')
  for (const name of Object.keys(given)) {
    const allowed = required[name]
    if (allowed) argument.only(name, allowed)
    else if (!harmless.has(name) && !(name in sizeArguments) && given[name] !== null)
      fail(`${source}: model_args.${name} is not known here, found ${quoted(given[name])}`)
  }
  if (given.global_pool === undefined) field.only('global_pool', required.global_pool ?? [])
  const pool = pools[(argument.text('global_pool') ?? field.text('global_pool') ?? 'token') as keyof typeof pools]
  const activation = argument.text('act_layer') ?? (/quickgelu/.test(architecture ?? '') ? 'quick_gelu' : undefined)
  const heads = argument.count('num_heads')
  const qkvBias = argument.flag('qkv_bias')
  const sizes = Object.entries(sizeArguments).flatMap(([name, size]) => {
    const count = argument.count(name)
    return count ? [{ ...count, size }] : []
  })
  const width = field.count('num_features')
  const classes = json.num_classes === 0 ? undefined : field.count('num_classes')
  const labels = readLabels(json) ?? readLabels(pretrained)
  return {
    source,
    sizes: [
      ...sizes,
      ...(width ? [{ ...width, size: 'width' } as const] : []),
      ...(classes ? [{ ...classes, size: 'classes' } as const] : []),
    ],
    pretrained,
    options: Object.entries(held).flatMap(([name, fits]) => {
      const value = given[name] ?? undefined
      return value === undefined
        ? []
        : [{ field: `model_args.${name}`, value, fits: (shape: VitShape) => fits(value, shape) }]
    }),
    warnings: [],
    hints: {
      resizing: 'antialias', // resample_abs_pos_embed
      ...pictureOf(rectangle ? pair : (argument.count('img_size')?.value ?? pretrained.input_size)),
      ...(given.global_pool !== undefined || json.global_pool !== undefined ? { pool } : {}),
      ...(activation !== undefined && { activation: activations[activation as keyof typeof activations] }),
    },
    ...(/_(clip|dinov3)(_|$)/.test(architecture ?? '') && {
      layerNormEps: { value: 1e-5, field: `architecture ${architecture}` },
    }),
    ...(architecture !== undefined && { architecture }),
    ...(heads && { heads }),
    ...(qkvBias === undefined ? {} : { qkvBias }),
    ...(labels && { labels }),
  }
}

/** `label_names`, each by its description where there is one: the first of its synonyms. */
export function readLabels({ label_names, labels, label_descriptions }: JsonObject): readonly string[] | undefined {
  const names = label_names ?? labels
  if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string')) return undefined
  const descriptions = isObject(label_descriptions) ? label_descriptions : {}
  return names.map((name: string) => {
    const description = descriptions[name]
    return (typeof description === 'string' && description.split(',')[0]?.trim()) || name
  })
}
