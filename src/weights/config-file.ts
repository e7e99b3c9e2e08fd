/**
 * `config.json` beside weights: what shapes do not tell.
 *
 * Hugging Face's fields are read for the heads and the class names only. Its layer_norm_eps is left alone: the file of
 * facebook/deit-* says 1e-12 while those weights were trained with 1e-6. Folders written here say all they need in an
 * `idlevit` field, which is trusted. Safe in browsers.
 */
import { fail } from '../errors.js'
import type { PerChannel, Preprocess } from '../images/preprocess.js'
import type { VitConfig } from '../models/config.js'
import type { InferOptions } from './infer.js'
import { nameText } from './state.js'

/** Names of weights in a hub repository, best first. */
export const weightFiles: readonly string[] = ['model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin']

/** How a folder written by `idlevit finetune` or `idlevit export` wants its model idled. */
export interface IdleSettings {
  /** One keep ratio per block. */
  readonly keepRatios?: readonly number[]
  /** Or one token count per block. */
  readonly keepTokens?: readonly number[]
  readonly score?: 'softmax' | 'logits'
}

/** What a config.json says about a model. */
export interface ModelConfigFile extends InferOptions {
  /** Class names; absent when the file has only placeholders (`LABEL_0`). */
  readonly labels?: readonly string[]
  readonly idle?: IdleSettings
  /** How pictures were made in training. */
  readonly preprocess?: Preprocess
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Parses a config.json.
 *
 * @param source - what to call it in messages
 * @throws InputError when it is not a JSON object, or a field that is used holds nonsense.
 */
export function parseModelConfig(text: string, source: string): ModelConfigFile {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    fail(`${source}: not valid JSON`)
  }
  if (!isRecord(json)) return fail(`${source}: not a JSON object`)
  const { num_attention_heads: heads, hidden_act: activation, idlevit: own } = json
  if (heads !== undefined && !(Number.isInteger(heads) && (heads as number) > 0))
    fail(`${source}: num_attention_heads should be a positive integer, found ${nameText(JSON.stringify(heads))}`)
  if (activation !== undefined && activation !== 'gelu')
    fail(`${source}: hidden_act should be "gelu", found ${nameText(JSON.stringify(activation))}`)
  if (own !== undefined && !isRecord(own)) fail(`${source}: idlevit should be an object`)
  const labels = readLabels(json.id2label)
  return {
    ...(heads === undefined ? {} : { heads: heads as number }),
    ...(labels ? { labels } : {}),
    ...(isRecord(own) ? readOwn(own, source) : {}),
  }
}

/** Names by class index, when every class from 0 on has a real one. */
function readLabels(id2label: unknown): readonly string[] | undefined {
  if (!isRecord(id2label)) return undefined
  const count = Object.keys(id2label).length
  const labels: string[] = []
  for (let index = 0; index < count; index++) {
    const label = id2label[index]
    if (typeof label !== 'string' || /^LABEL_\d+$/.test(label)) return undefined
    labels.push(label)
  }
  return count > 0 ? labels : undefined
}

function readOwn(own: Record<string, unknown>, source: string): Omit<ModelConfigFile, 'labels' | 'heads'> {
  const { layerNormEps, keepRatios, keepTokens, score, preprocess } = own
  const wrong = (field: string, wanted: string, found: unknown) =>
    fail(`${source}: idlevit.${field} should be ${wanted}, found ${nameText(JSON.stringify(found))}`)
  const every = (value: unknown, good: (item: number) => boolean): value is number[] =>
    Array.isArray(value) && value.every((item) => typeof item === 'number' && good(item))
  if (layerNormEps !== undefined && !(typeof layerNormEps === 'number' && layerNormEps > 0 && layerNormEps < 1))
    wrong('layerNormEps', 'a small positive number', layerNormEps)
  if (keepRatios !== undefined && !every(keepRatios, (ratio) => ratio > 0 && ratio <= 1))
    wrong('keepRatios', 'numbers above 0 and up to 1', keepRatios)
  if (keepTokens !== undefined && !every(keepTokens, (count) => Number.isInteger(count) && count > 0))
    wrong('keepTokens', 'positive integers', keepTokens)
  if (score !== undefined && score !== 'softmax' && score !== 'logits') wrong('score', 'softmax or logits', score)
  if (preprocess !== undefined && !isPreprocess(preprocess))
    wrong('preprocess', 'resize and crop in pixels and mean and std of three channels', preprocess)
  const idle = {
    ...(keepRatios === undefined ? {} : { keepRatios: keepRatios as number[] }),
    ...(keepTokens === undefined ? {} : { keepTokens: keepTokens as number[] }),
    ...(score === undefined ? {} : { score: score as 'softmax' | 'logits' }),
  }
  return {
    ...(layerNormEps === undefined ? {} : { layerNormEps: layerNormEps as number }),
    ...(Object.keys(idle).length > 0 ? { idle } : {}),
    ...(preprocess === undefined ? {} : { preprocess: preprocess as Preprocess }),
  }
}

function isPreprocess(value: unknown): value is Preprocess {
  if (!isRecord(value)) return false
  const { resize, crop, mean, std } = value
  const side = (pixels: unknown): pixels is number => Number.isInteger(pixels) && (pixels as number) > 0
  const channels = (each: unknown): each is PerChannel =>
    Array.isArray(each) && each.length === 3 && each.every(Number.isFinite)
  return side(resize) && side(crop) && crop <= resize && channels(mean) && channels(std) && std.every((s) => s > 0)
}

/**
 * The config.json of a folder with this model: Hugging Face's fields, so that transformers.js understands it, and our
 * own under `idlevit`. {@link parseModelConfig} reads it back.
 */
export function modelConfigJson(model: {
  readonly config: VitConfig
  readonly labels?: readonly string[]
  readonly idle?: IdleSettings
  readonly preprocess?: Preprocess
}): Record<string, unknown> {
  const { config, idle, preprocess } = model
  const labels = model.labels ?? Array.from({ length: config.classes }, (_, index) => `LABEL_${index}`)
  return {
    architectures: [config.distilled ? 'DeiTForImageClassificationWithTeacher' : 'ViTForImageClassification'],
    model_type: config.distilled ? 'deit' : 'vit',
    hidden_size: config.width,
    num_hidden_layers: config.depth,
    num_attention_heads: config.heads,
    intermediate_size: config.hidden,
    hidden_act: 'gelu',
    image_size: config.imageSize,
    patch_size: config.patchSize,
    num_channels: 3,
    qkv_bias: true,
    layer_norm_eps: config.layerNormEps,
    id2label: Object.fromEntries(labels.map((label, index) => [index, label])),
    label2id: Object.fromEntries(labels.map((label, index) => [label, index])),
    idlevit: { layerNormEps: config.layerNormEps, ...idle, ...(preprocess && { preprocess }) },
  }
}
