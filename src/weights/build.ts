/**
 * From a state dict and the files beside it to a model: names, sizes, heads, labels, preprocessing, and the check that
 * all of it fits. The one way of loading, in Node and in browsers.
 */

import { fail } from '../errors.js'
import type { Preprocess } from '../images/preprocess.js'
import { type Sides, sidesOf } from '../images/sides.js'
import { parametersOf } from '../models/backbone.js'
import { cascadeParameters, refuseCascade } from '../models/cascade.js'
import { type PositionResizing, pictureSize, type VitConfig } from '../models/config.js'
import { checkThresholds } from '../models/exits.js'
import { isSwin } from '../models/swin-config.js'
import { methodNames, methodOf } from '../reduction/registry.js'
import { inferCascade, isCascadeState } from './cascade.js'
import { readModelConfig } from './config-file.js'
import type { IdleSettings, ModelConfigFile } from './config-said.js'
import { findHeads, type Heads, type Origin, publishedBranchScale } from './heads.js'
import {
  checkState,
  headsOf,
  inferVitShape,
  resizeVit,
  unflattenPatchWeights,
  type VitHints,
  type VitShape,
} from './infer.js'
import { inferSwinConfig, isSwinState, resizeSwin } from './infer-swin.js'
import { quoted } from './json.js'
import { unknownParts } from './layouts.js'
import { resizingOf, stripPrefixes, toTimmNames } from './names.js'
import { findPreprocess } from './pictures.js'
import { nameText, type StateDict } from './state.js'

/** What is known besides the weights. */
export interface BuildModelOptions {
  /** The parsed `config.json` of Hugging Face, of timm, or of a folder of this project. */
  readonly config?: unknown
  /** The parsed `preprocessor_config.json` of Hugging Face. */
  readonly preprocessor?: unknown
  /** What the model is called; default `model`. */
  readonly name?: string
  /** The hub id that the weights came from: a few hub files are known to contradict their weights. Default: `name`. */
  readonly id?: string
  /** What to put before the names of the files in messages. */
  readonly folder?: string
  /** Attention heads, where no file says them or says them wrongly. */
  readonly heads?: number
  /**
   * The picture side to run at, or height and width; the position embedding is resized when it differs. Default: as in the
   * weights.
   */
  readonly imageSize?: Sides
  /** How pictures are made; what is left out is as the files say. `crop` is the picture side, of rectangles the width. */
  readonly preprocess?: Partial<Preprocess>
  /** Also take a cascade of nets (DVT), which is run by itself; default: it is refused. */
  readonly cascades?: boolean
  /** The config may be of other weights: where its sizes are not theirs it is left out, with a warning. */
  readonly unsure?: boolean
}

/** Who says what the shapes of weights do not tell. */
export interface ModelOrigins {
  readonly heads: Origin
  readonly layerNormEps: Origin
  readonly preprocess: Origin
}

/** A model ready to be opened. */
export interface BuiltModel {
  readonly name: string
  readonly config: VitConfig
  /** timm names, PyTorch layout, Float32Array everywhere; the keys of `parametersOf(config)`, and those of a reduction method. */
  readonly state: StateDict
  /** Class names, when the model brings real ones. */
  readonly labels?: readonly string[]
  /** How the model was finetuned to be idled, when its config says so. */
  readonly idle?: IdleSettings
  /** How its pictures are made, at the size it runs at. */
  readonly preprocess: Preprocess
  /** Of a cascade: the confidence from which a net answers, for every net but the last. */
  readonly thresholds?: readonly number[]
  readonly origins: ModelOrigins
  /** What the user should hear of: doubtful guesses, files that contradict each other. */
  readonly warnings: readonly string[]
}

/**
 * Builds a model of weights under the names of timm, facebookresearch/deit or Hugging Face, as `openWebClassifier` and
 * `openNodeClassifier` take it.
 *
 * @param state - the tensors of a checkpoint, as `parseSafetensors` gives them
 * @throws InputError when this is no ViT or DeiT, tensors are missing, left over or of the wrong shape, or a file says
 *   what cannot be carried out
 * @example
 * ```ts
 * const url = 'https://huggingface.co/facebook/deit-tiny-patch16-224/resolve/main/'
 * const fetched = (file: string) => fetch(url + file)
 * const { state } = parseSafetensors(new Uint8Array(await (await fetched('model.safetensors')).arrayBuffer()))
 * const model = buildModel(state, {
 *   name: 'facebook/deit-tiny-patch16-224',
 *   config: await (await fetched('config.json')).json(),
 *   preprocessor: await (await fetched('preprocessor_config.json')).json(),
 * })
 * const classifier = await openWebClassifier(model, { keepRatio: 0.7 })
 * const [predictions] = await classifier.predict(preprocessImage(picture, model.preprocess))
 * ```
 */
export function buildModel(state: StateDict, options: BuildModelOptions = {}): BuiltModel {
  const { name = 'model', id = name, folder = '' } = options
  if (isCascadeState(stripPrefixes(state))) return buildCascade(stripPrefixes(state), options)
  const parts: string[] = []
  const renamed = unflattenPatchWeights(
    toTimmNames(stripPrefixes(state), (what, tensors) => parts.push(`${what} (${tensors} tensors)`)),
  )
  const { file, config, origins, warnings, foreign } = isSwinState(renamed)
    ? swinArchitecture(renamed, options)
    : vitArchitecture(renamed, options, resizingOf([...stripPrefixes(state).keys()]))
  const expected = new Map([...parametersOf(config), ...methodWeights(renamed)])
  checkState(renamed, expected)
  // In the order of the architecture, not of the file: what is written again does not depend on where it came from.
  const ordered: StateDict = new Map(
    [...expected.keys()].map((name) => [name, renamed.get(name) ?? fail(`no ${name}`)]),
  )
  const resized = (isSwin(config) ? resizeSwin : resizeVit)(config, ordered, sideOf(options) ?? pictureSize(config))
  const pictures = findPreprocess(config, pictureSize(resized.config), {
    given: options.preprocess,
    config: file,
    id,
    ...(options.preprocessor !== undefined &&
      !foreign && {
        preprocessor: { json: options.preprocessor, source: `${folder}preprocessor_config.json` },
      }),
  })
  const labels = file?.labels?.length === config.classes ? file.labels : undefined
  return {
    name,
    ...resized,
    ...(labels && { labels }),
    ...(file?.idle && { idle: file.idle }),
    preprocess: pictures.preprocess,
    origins: { ...origins, preprocess: originOf(pictures) },
    warnings: [...partWarnings(parts), ...warnings, ...labelWarnings(config, file), ...pictures.warnings],
  }
}

/** Refuses weights of which a part means something that no model here computes. */
function refuseUnknownParts(state: StateDict): void {
  for (const name of state.keys())
    for (const [part, pattern] of unknownParts)
      if (pattern.test(name)) fail(`${part}: not computed here, found ${nameText(name)}`)
}

/** What a model is, and who says so. */
interface Architecture {
  readonly config: VitConfig
  readonly file?: ModelConfigFile | undefined
  readonly origins: Pick<ModelOrigins, 'heads' | 'layerNormEps'>
  readonly warnings: readonly string[]
  /** The config.json, and so what lies beside it, is of other weights. */
  readonly foreign?: true | undefined
}

function vitArchitecture(
  state: StateDict,
  options: BuildModelOptions,
  resizing: PositionResizing | undefined,
): Architecture {
  refuseUnknownParts(state)
  const { file, shape, warnings, foreign } = readConfig(state, options, { ...(resizing && { resizing }) })
  const found = findHeads(shape.width, shape.depth, {
    given: options.heads ?? headsOf(state, shape.width),
    said: file?.heads,
    file: file?.source,
    architecture: file?.architecture,
    dinov3: shape.rotary?.kind === 'dinov3',
  })
  const eps = findLayerNormEps(shape, file)
  return {
    config: { ...shape, heads: found.heads, layerNormEps: eps.value },
    file,
    origins: { heads: originOf(found), layerNormEps: originOf(eps) },
    warnings: [...guessWarnings(shape, file), ...warnings, ...headWarnings(found, file)],
    foreign,
  }
}

/** Of a Swin transformer the shapes tell all but the picture's side and LayerNorm's epsilon. */
function swinArchitecture(
  state: StateDict,
  { config: json, folder = '', unsure = false, heads: given }: BuildModelOptions,
): Architecture {
  const file = json === undefined ? undefined : readModelConfig(json, `${folder}config.json`, true)
  const imageSize = file?.hints?.imageSize
  const said = file?.layerNormEps
  const config = inferSwinConfig(state, { imageSize, layerNormEps: said?.value })
  if (given !== undefined && given !== config.heads)
    fail(`heads: a Swin's tables tell them, ${config.heads} in its first stage, found ${given}`)
  const wrong = (file?.options ?? [])
    .filter(({ fits }) => !fits(config))
    .map(({ field, value }) => `${field} is ${quoted(value)} there, which the weights contradict`)
  if (wrong.length > 0 && !unsure) fail(`${file?.source} is not of these weights: ${wrong.join(', ')}`)
  const foreign = wrong.length > 0
  const guessedSide = `pictures of ${config.imageSize} pixels are a guess: shapes do not tell a Swin's, a config.json does`
  return {
    config: foreign ? inferSwinConfig(state) : config,
    file: foreign ? undefined : file,
    origins: {
      heads: { source: 'the tables of relative positions', guessed: false },
      layerNormEps:
        said && !foreign
          ? { source: `${file?.source} (${said.field})`, guessed: false }
          : { source: 'as in every published Swin', guessed: true },
    },
    warnings: foreign
      ? [`${file?.source} is left out, it is not of these weights: ${wrong.join(', ')}`]
      : imageSize === undefined
        ? [guessedSide]
        : [],
    ...(foreign && { foreign: true as const }),
  }
}

/** A cascade of nets: its names stay the official ones. */
function buildCascade(state: StateDict, options: BuildModelOptions): BuiltModel {
  const { name = 'model', id = name, folder = '', cascades = false } = options
  const file = options.config === undefined ? undefined : readModelConfig(options.config, `${folder}config.json`)
  const { config, heads } = inferCascade(state, {
    heads: options.heads ?? file?.heads?.value,
    ...(file?.layerNormEps && { layerNormEps: file.layerNormEps.value }),
  })
  if (!cascades) refuseCascade('the weights', config, 'wanted a single net')
  const expected = cascadeParameters(config)
  checkState(state, expected)
  const side = sideOf(options) ?? config.imageSize
  if (sidesOf(side).some((each) => each !== config.imageSize))
    fail(
      `a cascade of nets (DVT) takes pictures of ${config.imageSize} pixels and no others, found ${sidesOf(side).join(' x ')}`,
    )
  const pictures = findPreprocess(config, config.imageSize, { given: options.preprocess, config: file, id })
  const labels = file?.labels?.length === config.classes ? file.labels : undefined
  const { thresholds } = file ?? {}
  if (thresholds)
    checkThresholds(thresholds, config.cascade.smaller.length + 1, `${folder}config.json: idlevit.thresholds`)
  return {
    name,
    config,
    state: new Map([...expected.keys()].map((each) => [each, state.get(each) ?? fail(`no ${each}`)])),
    ...(labels && { labels }),
    ...(thresholds && { thresholds }),
    preprocess: pictures.preprocess,
    origins: {
      heads: originOf(heads),
      layerNormEps: file?.layerNormEps
        ? { source: `${file.source} (${file.layerNormEps.field})`, guessed: false }
        : { source: 'as in the official DVT', guessed: true },
      preprocess: originOf(pictures),
    },
    warnings: [
      ...(file?.warnings ?? []),
      ...headWarnings(heads, file),
      ...labelWarnings(config, file),
      ...pictures.warnings,
    ],
  }
}

/** Weights that a token reduction method reads beyond the model's; which of them it needs its plan says. */
function methodWeights(state: StateDict): (readonly [string, readonly number[]])[] {
  const owned = methodNames.flatMap((name) => methodOf(name).ownsWeight ?? [])
  return [...state].flatMap(([name, { shape }]) =>
    owned.some((own) => own.test(name)) ? [[name, shape] as const] : [],
  )
}

const originOf = ({ source, guessed }: Origin): Origin => ({ source, guessed })

/** The picture size that is asked for, as `imageSize` or as the crop. */
export function sideOf({
  imageSize,
  preprocess: { crop, cropHeight } = {},
}: Pick<BuildModelOptions, 'imageSize' | 'preprocess'>): Sides | undefined {
  const cropped: Sides | undefined = crop === undefined ? undefined : [cropHeight ?? crop, crop]
  const text = (size: Sides) => [...new Set(sidesOf(size))].join(' x ')
  if (imageSize !== undefined && cropped !== undefined && sidesOf(cropped).join() !== sidesOf(imageSize).join())
    fail(`crop: wanted the picture side ${text(imageSize)}, found ${text(cropped)}`)
  return imageSize ?? cropped
}

/** The config.json, held against the shapes; `foreign` when it, and so what lies beside it, is of other weights. */
function readConfig(
  state: StateDict,
  options: BuildModelOptions,
  told: VitHints,
): { file?: ModelConfigFile; shape: VitShape; warnings: string[]; foreign?: true } {
  const { config, folder = '', unsure = false } = options
  if (config === undefined) return { shape: inferVitShape(state, told), warnings: [] }
  const file = readModelConfig(config, `${folder}config.json`)
  const shape = inferVitShape(state, { ...told, ...file.hints })
  if (file.qkvBias === true && shape.qkvBias === 'none' && !unsure)
    fail(`${file.source} says that query, key and value have biases, the weights have none`)
  const wrong = file.sizes
    .filter(({ size, value }) => shape[size] !== value)
    .map(({ size, field, value }) => `${field} is ${value} there and ${shape[size]} in the weights`)
  const { hints = {}, options: said = [] } = file
  const sidesOf = (sizes: VitHints) => pictureSize({ imageSize: 0, ...sizes }).join(' x ')
  if (hints.imageHeight !== undefined && sidesOf(hints) !== sidesOf(shape))
    wrong.push(`image_size is ${sidesOf(hints)} there and ${sidesOf(shape)} in the weights`)
  for (const { field, value, fits } of said)
    if (!fits(shape)) wrong.push(`${field} is ${quoted(value)} there, which the weights contradict`)
  const heads = options.heads === undefined ? file.heads?.value : undefined
  if (unsure && heads !== undefined && shape.width % heads !== 0)
    wrong.push(`a width of ${shape.width} cannot be split into ${heads} heads`)
  if (wrong.length === 0) return { file, shape, warnings: [...file.warnings] }
  if (!unsure) return fail(`${file.source} is not of these weights: ${wrong.join(', ')}`)
  return {
    shape: inferVitShape(state, told),
    foreign: true,
    warnings: [`${file.source} is left out, it is not of these weights: ${wrong.join(', ')}`],
  }
}

const partWarnings = (parts: readonly string[]): string[] =>
  parts.length > 0 ? [`left out, as an image encoder does not need it: ${parts.join(', ')}`] : []

/** Guesses of what neither shapes nor a file say, though published models differ in it. */
function guessWarnings(
  { preNorm = false, pool, activation = 'gelu', stem, branchScale = 1, width, depth }: VitShape,
  file: ModelConfigFile | undefined,
): string[] {
  if (stem !== undefined && file?.hints?.branchScale === undefined && publishedBranchScale(width, depth) === undefined)
    return [
      `${branchScale} as the factor of residual branches is a guess (LV-ViT-S and M have 1/2, T has 1, L has 1/3): ` +
        'a config.json beside the weights says it (idlevit.architecture.branchScale)',
    ]
  if (file?.hints?.activation || (!preNorm && pool !== 'attention')) return []
  const others = preNorm
    ? "OpenAI's CLIP has quick_gelu, OpenCLIP mostly gelu"
    : 'SigLIP has the GELU by tanh, some ports the exact one'
  return [`the activation ${activation} is a guess (${others}): a config.json beside the weights says it (hidden_act)`]
}

/** LayerNorm's epsilon: as a file says it, else 1e-5 in CLIP, DINOv3, LV-ViT and T2T-ViT and 1e-6 in the others. */
function findLayerNormEps(shape: VitShape, file: ModelConfigFile | undefined): Origin & { readonly value: number } {
  if (file?.layerNormEps) {
    const { value, field } = file.layerNormEps
    return { value, source: `${file.source} (${field})`, guessed: false }
  }
  const family = shape.preNorm
    ? 'CLIP'
    : shape.rotary?.kind === 'dinov3'
      ? 'DINOv3'
      : shape.stem
        ? 'LV-ViT'
        : shape.tokensToToken
          ? 'T2T-ViT'
          : undefined
  if (family) return { value: 1e-5, source: `as in every published ${family}`, guessed: true }
  const ignored = file?.ignoredLayerNormEps
  if (!file || !ignored) return { value: 1e-6, source: 'as in every published ViT and DeiT', guessed: true }
  const why = `${file.source} says ${ignored.value}, the library's default, with which such weights were not trained`
  return { value: 1e-6, source: `as in every published ViT and DeiT; ${why}`, guessed: true }
}

function headWarnings({ heads, source, doubtful }: Heads, file: ModelConfigFile | undefined): string[] {
  if (doubtful) return [`${heads} attention heads are ${source}: a config.json beside the weights, or --heads, says it`]
  const said = file?.heads
  if (!file || !said || said.value === heads) return []
  return [`${heads} attention heads ${source}, though ${file.source} says ${said.value} (${said.field})`]
}

function labelWarnings({ classes }: VitConfig, file: ModelConfigFile | undefined): string[] {
  const count = file?.labels?.length
  if (!file || count === undefined || count === classes) return []
  return [`${file.source} names ${count} classes, the weights have ${classes}: its names are left out`]
}
