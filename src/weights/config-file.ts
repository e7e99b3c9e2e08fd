/**
 * `config.json` beside weights: what shapes do not tell.
 *
 * Two libraries write one, Hugging Face's transformers and timm; each has its file here. What they say that matters is
 * used, or refused by its name. Folders written by this project have Hugging Face's fields, and say all they need in an
 * `idlevit` field, which is trusted. Safe in browsers.
 */
import { fail } from '../errors.js'
import { checkPreprocess, type PerChannel, type Preprocess } from '../images/preprocess.js'
import type { Interpolation } from '../images/resample.js'
import { activationOf, type VitConfig } from '../models/config.js'
import type { Rotary } from '../models/rotary.js'
import { isSwin } from '../models/swin-config.js'
import { methodNames, settingsOf } from '../reduction/registry.js'
import { readHuggingFaceConfig } from './config-huggingface.js'
import type { IdleSettings, ModelConfigFile } from './config-said.js'
import { readSwinConfig, swinConfigFields } from './config-swin.js'
import { isTimmConfig, readTimmConfig } from './config-timm.js'
import type { VitHints } from './infer.js'
import { fieldsOf, isObject, type JsonObject, quoted } from './json.js'

/** Names of weights in a hub repository, best first. */
export const weightFiles: readonly string[] = ['model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin']

/**
 * Reads a parsed config.json.
 *
 * @param source - what to call it in messages
 * @param swin - whether it is of a Swin; default false
 * @throws InputError when it is no JSON object, or a field that matters holds nonsense or what no model here has
 */
export function readModelConfig(json: unknown, source: string, swin = false): ModelConfigFile {
  if (!isObject(json)) return fail(`${source}: not a JSON object`)
  const read = swin ? readSwinConfig : isTimmConfig(json) ? readTimmConfig : readHuggingFaceConfig
  const said = read(json, source)
  const own = fieldsOf(json, source).object('idlevit')
  return own ? { ...said, ...readOwn(own, source) } : said
}

/** The `idlevit` field. */
function readOwn(own: JsonObject, source: string): Partial<ModelConfigFile> {
  const { method: named, keepRatios, keepTokens, preprocess, thresholds } = own
  const field = fieldsOf(own, source, 'idlevit.')
  const every = (value: unknown, good: (item: number) => boolean): value is number[] =>
    Array.isArray(value) && value.every((item) => typeof item === 'number' && good(item))
  const layerNormEps = field.number('layerNormEps', 'a small positive number', (eps) => eps > 0 && eps < 1)
  if (keepRatios !== undefined && !every(keepRatios, (ratio) => ratio > 0 && ratio <= 1))
    field.wrong('keepRatios', 'numbers above 0 and up to 1')
  if (keepTokens !== undefined && !every(keepTokens, (count) => Number.isInteger(count) && count > 0))
    field.wrong('keepTokens', 'positive integers')
  if (thresholds !== undefined && !every(thresholds, (each) => each >= 0))
    field.wrong('thresholds', 'numbers from 0 on')
  const method = methodNames.find((name) => name === (named ?? 'idle'))
  if (!method) return field.wrong('method', `one of ${methodNames.join(', ')}`)
  const settings = Object.entries(settingsOf(method)).flatMap(([name, { parse, wanted }]) => {
    if (own[name] === undefined) return []
    return [[name, parse(String(own[name])) ?? field.wrong(name, wanted)]]
  })
  const idle = {
    ...(keepRatios === undefined ? {} : { keepRatios: keepRatios as number[] }),
    ...(keepTokens === undefined ? {} : { keepTokens: keepTokens as number[] }),
    ...(named === undefined ? {} : { method }),
    ...Object.fromEntries(settings),
  }
  return {
    ...(layerNormEps === undefined ? {} : { layerNormEps: { value: layerNormEps, field: 'idlevit.layerNormEps' } }),
    ...(own.architecture === undefined ? {} : { hints: readOwnHints(own.architecture, source) }),
    ...(Object.keys(idle).length > 0 ? { idle } : {}),
    ...(thresholds === undefined ? {} : { thresholds: thresholds as number[] }),
    ...(preprocess === undefined ? {} : { preprocess: readOwnPreprocess(preprocess, source) }),
  }
}

/** Options of a model that its shapes do not tell, by name. */
const hintNames = [
  'imageSize',
  'imageHeight',
  'pool',
  'activation',
  'rotary',
  'positions',
  'branchScale',
  'resizing',
] as const

function readOwnHints(value: unknown, source: string): VitHints {
  const field = fieldsOf(isObject(value) ? value : fail(`${source}: idlevit.architecture should be an object`), source)
  const [height, width] = [field.count('imageHeight')?.value, field.count('imageSize')?.value]
  field.only('pool', ['class', 'mean', 'class-mean', 'attention'])
  field.only('activation', ['gelu', 'gelu-tanh', 'quick-gelu', 'silu'])
  field.only('positions', ['all', 'class', 'image', 'none'])
  field.only('resizing', ['bicubic', 'antialias', 'offset'])
  const branchScale = field.number('branchScale', 'a number above 0 and up to 1', (value) => value > 0 && value <= 1)
  const rotary = field.object('rotary')
  if (rotary) checkRotary(rotary, source)
  const { pool, activation, positions, resizing } = value as VitHints
  return {
    ...(width !== undefined && { imageSize: width }),
    ...(height !== undefined && { imageHeight: height }),
    ...(pool && { pool }),
    ...(activation && { activation }),
    ...(positions && { positions }),
    ...(resizing && { resizing }),
    ...(branchScale !== undefined && { branchScale }),
    ...(rotary && { rotary: rotary as unknown as Rotary }),
  }
}

function checkRotary(rotary: JsonObject, source: string): void {
  const field = fieldsOf(rotary, source, 'idlevit.architecture.rotary.')
  field.only('kind', ['dinov3', 'eva'])
  if (field.number('temperature', 'a number above 1', (value) => value > 1) === undefined)
    field.wrong('temperature', 'a number above 1')
  const { trainedGrid: grid } = rotary
  const counts = Array.isArray(grid) && grid.length === 2 && grid.every((side) => Number.isInteger(side) && side > 0)
  if (grid !== undefined && !counts) field.wrong('trainedGrid', 'rows and columns')
}

/** Hugging Face's names of activations. */
const activationNames = {
  gelu: 'gelu',
  'gelu-tanh': 'gelu_pytorch_tanh',
  'quick-gelu': 'quick_gelu',
  silu: 'silu',
} as const

function readOwnPreprocess(value: unknown, source: string): Preprocess {
  const where = `${source}: idlevit.preprocess`
  if (!isObject(value)) return fail(`${where} should be an object, found ${quoted(value)}`)
  const { resize, crop, mean, std, mode, interpolation, resizeHeight, cropHeight } = value
  const channels = (each: unknown): each is PerChannel =>
    Array.isArray(each) && each.length === 3 && each.every((number) => Number.isFinite(number))
  if (!channels(mean) || !channels(std)) return fail(`${where} should have mean and std of three channels`)
  return checkPreprocess(
    {
      resize: resize as number,
      crop: crop as number,
      ...(resizeHeight !== undefined && { resizeHeight: resizeHeight as number }),
      ...(cropHeight !== undefined && { cropHeight: cropHeight as number }),
      mean,
      std,
      ...(mode !== undefined && { mode: mode as 'center' }),
      ...(interpolation !== undefined && { interpolation: interpolation as Interpolation }),
    },
    `${where}.`,
  )
}

/**
 * The config.json of a folder with this model: Hugging Face's fields, so that transformers.js understands it, and our
 * own under `idlevit`. {@link readModelConfig} reads it back.
 *
 * transformers.js has no LV-ViT, and needs none: it feeds pixels to the ONNX file and reads logits, so that every model here
 * is a `vit` or a `deit` to it. What is not in those fields is under `idlevit.architecture`, or told by the weights.
 */
export function modelConfigJson(model: {
  readonly config: VitConfig
  readonly labels?: readonly string[]
  readonly idle?: IdleSettings
  readonly preprocess?: Preprocess
}): Record<string, unknown> {
  const { config, idle, preprocess } = model
  // Of a model with a stem a factor of 1 is said, too: what a reader would guess is another one.
  const told: VitConfig = config.stem === undefined ? config : { branchScale: 1, ...config }
  const hints = Object.fromEntries(
    hintNames.flatMap((name) => (told[name] === undefined || isSwin(config) ? [] : [[name, told[name]]])),
  )
  const options = Object.keys(hints).some((name) => name !== 'imageSize')
  const labels = model.labels ?? Array.from({ length: config.classes }, (_, index) => `LABEL_${index}`)
  const fields = isSwin(config) ? swinConfigFields(config) : vitConfigFields(config)
  return {
    ...fields,
    id2label: Object.fromEntries(labels.map((label, index) => [index, label])),
    label2id: Object.fromEntries(labels.map((label, index) => [label, index])),
    idlevit: {
      layerNormEps: config.layerNormEps,
      ...(options && { architecture: hints }),
      ...idle,
      ...(preprocess && { preprocess }),
    },
  }
}

/** Hugging Face's fields of a ViT or DeiT. */
function vitConfigFields(config: VitConfig): Record<string, unknown> {
  return {
    architectures: [
      config.classes === 0
        ? 'ViTModel'
        : config.distilled
          ? 'DeiTForImageClassificationWithTeacher'
          : 'ViTForImageClassification',
    ],
    model_type: config.distilled ? 'deit' : 'vit',
    hidden_size: config.width,
    num_hidden_layers: config.depth,
    num_attention_heads: config.heads,
    intermediate_size: config.hidden,
    hidden_act: activationNames[activationOf(config)],
    image_size: config.imageHeight === undefined ? config.imageSize : [config.imageHeight, config.imageSize],
    patch_size: config.patchSize,
    num_channels: 3,
    qkv_bias: config.qkvBias !== 'none',
    layer_norm_eps: config.layerNormEps,
  }
}
