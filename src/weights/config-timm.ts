/**
 * timm's config.json (timm/models/_hub.py): the architecture by name, arguments that differ from it, and
 * `pretrained_cfg`, which says how pictures are made. In the old form the fields of `pretrained_cfg` stand alone.
 *
 * An argument that is not in the table below is refused by its name: it might change what the weights compute. Safe in
 * browsers.
 */
import { fail } from '../errors.js'
import type { ModelConfigFile, SaidSize } from './config-file.js'
import { fieldsOf, isObject, type JsonObject, quoted } from './json.js'

/** Whether it is timm's; transformers' wrapper of timm models writes the same fields. */
export const isTimmConfig = (json: JsonObject): boolean =>
  json.model_type === 'timm_wrapper' ||
  (json.model_type === undefined && (isObject(json.pretrained_cfg) || typeof json.architecture === 'string'))

/** Plain and distilled ViTs: another first word is another architecture … */
const plain = /^(vit|deit|flexivit|test_vit)/
/** … and these have tensors of the same names that mean something else. */
const different = /_(rpn|quickgelu|parallel|relpos|srelpos|gap|siglip|pe|rope)(_|$)/

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
  ...['dynamic_img_size', 'drop_rate', 'pos_drop_rate', 'patch_drop_rate', 'proj_drop_rate', 'attn_drop_rate'],
  'drop_path_rate',
])

/** Arguments that must be as in a plain ViT. */
const required: Readonly<Record<string, readonly unknown[]>> = {
  in_chans: [3],
  global_pool: ['token'],
  class_token: [true],
  pos_embed: ['learn'],
  no_embed_class: [false],
  reg_tokens: [0],
  pre_norm: [false],
  final_norm: [true],
  fc_norm: [false],
  qk_norm: [false],
  proj_bias: [true],
  scale_attn_norm: [false],
  scale_mlp_norm: [false],
  init_values: [null],
  act_layer: ['gelu'],
  norm_layer: ['layernorm'],
}

/** @throws InputError when it describes a model that is none of ours, or a field holds nonsense */
export function readTimmConfig(json: JsonObject, source: string): ModelConfigFile {
  const field = fieldsOf(json, source)
  const architecture = field.text('architecture')
  if (architecture !== undefined && (!plain.test(architecture) || different.test(architecture)))
    field.wrong('architecture', 'a plain ViT or DeiT')
  const pretrained = field.object('pretrained_cfg') ?? json
  const given = field.object('model_args') ?? {}
  const argument = fieldsOf(given, source, 'model_args.')
  for (const name of Object.keys(given)) {
    const allowed = required[name]
    if (allowed) argument.only(name, allowed)
    else if (!harmless.has(name) && !(name in sizeArguments) && given[name] !== null)
      fail(`${source}: model_args.${name} is not known here, found ${quoted(given[name])}`)
  }
  if (given.global_pool === undefined) field.only('global_pool', ['token'])
  const heads = argument.count('num_heads')
  const qkvBias = argument.flag('qkv_bias')
  const sizes = Object.entries(sizeArguments).flatMap(([name, size]) => {
    const count = argument.count(name)
    return count ? [{ ...count, size }] : []
  })
  const width = field.count('num_features')
  const classes = field.count('num_classes')
  const labels = readLabels(json) ?? readLabels(pretrained)
  return {
    source,
    sizes: [
      ...sizes,
      ...(width ? [{ ...width, size: 'width' } as const] : []),
      ...(classes ? [{ ...classes, size: 'classes' } as const] : []),
    ],
    pretrained,
    warnings: [],
    ...(architecture !== undefined && { architecture }),
    ...(heads && { heads }),
    ...(qkvBias === undefined ? {} : { qkvBias }),
    ...(labels && { labels }),
  }
}

/** `label_names`, each by its description where there is one: the first of its synonyms. */
function readLabels({ label_names, labels, label_descriptions }: JsonObject): readonly string[] | undefined {
  const names = label_names ?? labels
  if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string')) return undefined
  const descriptions = isObject(label_descriptions) ? label_descriptions : {}
  return names.map((name: string) => {
    const description = descriptions[name]
    return (typeof description === 'string' && description.split(',')[0]?.trim()) || name
  })
}
