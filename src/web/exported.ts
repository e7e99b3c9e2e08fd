/** A classifier of an ONNX file that `idlevit export` wrote: its plan is the file's, or an input when it is elastic. */

import { fail } from '../errors.js'
import { type Sides, sidesOf } from '../images/sides.js'
import { shapeOf } from '../models/backbone.js'
import { imageTokens, pictureSize, prefixTokens, type VitConfig } from '../models/config.js'
import { checkElastic, planReduction, type StoredReduction, withStored } from '../reduction/registry.js'
import { KEEP_INPUT, type KeepRequest } from '../reduction/schedule.js'
import type { Classifier, ClassifierOptions, ForwardResult } from '../runtime/classifier.js'
import { topPredictions } from '../runtime/classifier.js'
import { cachedPictures, inMicroBatches } from '../runtime/microbatch.js'
import { createSession, type WebRuntimeOptions } from '../runtime/web.js'
import { type BuiltModel, sideOf } from '../weights/build.js'
import { readModelConfig } from '../weights/config-file.js'
import type { ModelConfigFile, SaidSize } from '../weights/config-said.js'
import { describedSwin } from '../weights/config-swin.js'
import { findPreprocess } from '../weights/pictures.js'
import type { ModelFiles } from './files.js'
import { onnxNames, type ReadModelOptions, type SideFiles } from './model.js'

/** The model that a config.json describes, without weights. */
export function describedModel(
  files: ModelFiles,
  { config, preprocessor }: SideFiles,
  { imageSize, preprocess }: ReadModelOptions = {},
): BuiltModel {
  if (!config) return fail(`${files.where}config.json: an ONNX file needs it beside it, there is none`)
  const type = String(config.model_type)
  const file = readModelConfig(config, `${files.where}config.json`, type === 'swin')
  const sizes = type === 'swin' ? describedSwin(config, file.source, classesOf(file)) : vitConfig(file, type === 'deit')
  const size = pictureSize(sizes)
  const asked = sideOf({ ...(imageSize !== undefined && { imageSize }), ...(preprocess && { preprocess }) }) ?? size
  const text = (each: Sides) => [...new Set(sidesOf(each))].join(' x ')
  if (sidesOf(asked).join() !== size.join())
    fail(`imageSize: wanted ${text(size)}, for which the ONNX file was exported, found ${text(asked)}`)
  const pictures = findPreprocess(sizes, size, {
    given: preprocess,
    config: file,
    id: files.id,
    ...(preprocessor !== undefined && {
      preprocessor: { json: preprocessor, source: `${files.where}preprocessor_config.json` },
    }),
  })
  const said = { source: file.source, guessed: false }
  const labels = file.labels?.length === sizes.classes ? file.labels : undefined
  return {
    name: files.name,
    config: sizes,
    state: new Map(),
    ...(labels && { labels }),
    ...(file.idle && { idle: file.idle }),
    preprocess: pictures.preprocess,
    origins: { heads: said, layerNormEps: said, preprocess: { source: pictures.source, guessed: pictures.guessed } },
    warnings: [...file.warnings, ...pictures.warnings],
  }
}

const classesOf = ({ labels, source }: ModelConfigFile): number =>
  labels?.length ?? fail(`${source}: no class names (id2label)`)

function vitConfig(file: ModelConfigFile, distilled: boolean): VitConfig {
  const size = (name: SaidSize['size']): number =>
    file.sizes.find(({ size }) => size === name)?.value ?? fail(`${file.source}: no ${name}`)
  const { imageSize = size('imageSize'), imageHeight } = file.hints ?? {}
  return {
    imageSize,
    ...(imageHeight !== undefined && { imageHeight }),
    patchSize: size('patchSize'),
    width: size('width'),
    depth: size('depth'),
    heads: file.heads?.value ?? fail(`${file.source}: no number of attention heads`),
    hidden: size('hidden'),
    classes: classesOf(file),
    distilled,
    layerNormEps: file.layerNormEps?.value ?? 1e-6,
  }
}

/** The exported file that answers what is asked; undefined where there is none, or another would answer otherwise. */
export function exportedFile(
  files: ModelFiles,
  beside: SideFiles,
  options: Asked & ReadModelOptions,
): string | undefined {
  const { precision = 'fp32', trace, features, heads, imageSize } = options
  const { exported } = beside
  const name = onnxNames[precision]
  const more = trace || features || heads !== undefined || imageSize !== undefined
  if (!exported?.files.includes(name) || more) return undefined
  const objection = planObjection(exported.method === 'elastic', describedModel(files, beside), options)
  return objection === undefined ? `onnx/${name}` : undefined
}

type Asked = Omit<ClassifierOptions, 'device'>

/**
 * What a file computes: a method of its own plan, or, when it is elastic, the method that its folder names, else the
 * default one, at whatever plan is asked.
 */
function planOf(elastic: boolean, { idle }: BuiltModel): StoredReduction {
  return idle ?? (elastic ? {} : { method: 'none' })
}

/** Why a file that computes this does not answer what is asked; undefined when it does. */
function planObjection(elastic: boolean, model: BuiltModel, options: Asked): string | undefined {
  const shape = shapeOf(model.config)
  const stored = planOf(elastic, model)
  const asked = planReduction(withStored(options, stored), shape)
  const own = planReduction(stored, shape)
  if (!elastic && options.elastic) return 'its tokens are fixed, and elastic was asked for'
  if (asked.method !== own.method) return `its method is ${own.method}, and ${asked.method} was asked for`
  const [settings, ownSettings] = [asked, own].map(({ keep, ratios, warnings, ...rest }) => JSON.stringify(rest))
  if (settings !== ownSettings) return `it computes ${ownSettings}, and ${settings} was asked for`
  return elastic || asked.keep.join() === own.keep.join()
    ? undefined
    : `it keeps ${own.keep.join()} tokens, and ${asked.keep.join()} were asked for`
}

/**
 * Opens an exported ONNX file.
 *
 * @throws InputError when it cannot do what is asked
 */
export async function openExported(
  bytes: Uint8Array,
  file: string,
  model: BuiltModel,
  options: ClassifierOptions & WebRuntimeOptions,
): Promise<Classifier> {
  if (bytes[0] !== 8) fail(`${file}: not a model: wanted an ONNX file`) // every ONNX file starts with its IR version
  const { config } = model
  const { device = 'cpu', trace = false, features = false } = options
  const rows = prefixTokens(config) + imageTokens(config) // of a pyramid those of its widest map
  const { microBatch = device === 'cpu' ? cachedPictures(rows, config.hidden) : Infinity } = options
  const session = await createSession(bytes, { ...options, rewrite: device !== 'cpu' || file.includes('fp16') })
  const elastic = session.inputs.includes(KEEP_INPUT)
  const objection =
    planObjection(elastic, model, options) ??
    (trace ? 'it has no trace' : features && !session.outputs.includes('features') ? 'it has no features' : undefined)
  if (objection !== undefined) {
    await session.close()
    return fail(`${file}: ${objection}; with model.safetensors beside it, format safetensors does`)
  }
  const running = inMicroBatches(session, microBatch, [KEEP_INPUT])
  const shape = shapeOf(config)
  const plan = planReduction(withStored(options, planOf(elastic, model)), shape)
  const [height, width] = pictureSize(config)
  const length = 3 * height * width

  async function forward(pixels: Float32Array, request?: KeepRequest): Promise<ForwardResult> {
    const batch = pixels.length / length
    if (!Number.isInteger(batch) || batch === 0)
      throw new Error(`pixels: wanted a multiple of 3·${height}·${width} = ${length} values, found ${pixels.length}`)
    if (request && !elastic) fail(`keep: ${file} has a fixed plan; an elastic export takes one`)
    const asked = request ? { ...plan, ...planReduction({ method: plan.method, ...request }, shape) } : plan
    if (elastic) checkElastic(asked, shape)
    const outputs = await running.run({
      pixel_values: { data: pixels, shape: [batch, 3, height, width] },
      ...(elastic && { [KEEP_INPUT]: { data: BigInt64Array.from(asked.keep, BigInt), shape: [config.depth] } }),
    })
    return {
      logits: outputs.logits?.data as Float32Array,
      classes: config.classes,
      ...(features && { features: outputs.features?.data as Float32Array }),
    }
  }

  return {
    model,
    plan: { ...plan, ...(elastic && { elastic }), ...(features && { features }) },
    keepRatios: plan.ratios,
    warnings: plan.warnings,
    lanes: 1,
    forward,
    // The widest rows, twice, in float32: what is in an ONNX file is not looked at here.
    memory: (batch) => 8 * Math.min(batch, microBatch) * rows * config.hidden,
    async predict(pixels, top = 5) {
      const { logits, classes } = await forward(pixels)
      return Array.from({ length: logits.length / classes }, (_, b) =>
        topPredictions(logits.subarray(b * classes, (b + 1) * classes), top, model.labels),
      )
    },
    close: () => session.close(),
  }
}
