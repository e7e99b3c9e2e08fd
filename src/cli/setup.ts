/** From options to a model, its labels, its preprocessing and a running classifier. */

import { readFile } from 'node:fs/promises'
import type { Dataset } from '../data/dataset.js'
import { countByReason, type LeftOut } from '../data/left-out.js'
import { fail } from '../errors.js'
import { type Preprocess, preprocessOf } from '../images/preprocess.js'
import { imagenetLabels } from '../labels/imagenet.js'
import { parseLabels } from '../labels/labels.js'
import { presets } from '../models/config.js'
import type { ClassifierOptions, Model } from '../runtime/classifier.js'
import { type LoadedModel, loadModel } from '../weights/load.js'
import { readPictureOverrides, readReduction, type SharedOptions } from './options.js'
import { startProgress, warn } from './output.js'

/** The model that `--model` and `--init` name, with the labels of `--labels`, of the model, or of ImageNet-1K. */
export async function openModel(options: SharedOptions): Promise<Model & LoadedModel> {
  const spec = options.model ?? fail('--model: wanted a preset, a hub id or a path, found nothing')
  const progress = startProgress('downloading', undefined)
  const { crop } = options
  const loaded = await loadModel(spec, {
    ...(options.init !== undefined && { init: options.init }),
    ...(crop !== undefined && { imageSize: crop }),
    onProgress: ({ bytes, total, file }) => progress.update(bytes, `of ${total} bytes, ${file}`),
  })
  progress.stop()
  const labels = await labelsOf(options, loaded)
  return labels ? { ...loaded, labels } : loaded
}

/** Sizes of the model that the options name: of a preset without reading weights. */
export async function sizesOf(options: SharedOptions): Promise<Pick<LoadedModel, 'name' | 'config' | 'idle'>> {
  const preset = presets[options.model ?? '']
  if (!preset) return openModel(options)
  const imageSize = options.crop ?? preset.config.imageSize
  if (imageSize % preset.config.patchSize !== 0)
    fail(`--crop: wanted a multiple of the patch size ${preset.config.patchSize}, found ${imageSize}`)
  return { name: options.model as string, config: { ...preset.config, imageSize } }
}

async function labelsOf(options: SharedOptions, loaded: LoadedModel): Promise<readonly string[] | undefined> {
  const { classes } = loaded.config
  if (options.labels === undefined) return loaded.labels ?? (classes === 1000 ? imagenetLabels : undefined)
  const labels = await readLabels(options.labels)
  if (labels.length !== classes)
    fail(`${options.labels}: wanted ${classes} labels, one per class, found ${labels.length}`)
  return labels
}

/** The class names of a label file. */
export async function readLabels(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) =>
    fail(`${file}: cannot be read (${error.code ?? error.message})`),
  )
  return parseLabels(text, file)
}

/** How pictures become inputs of the model: as it was trained, or ImageNet's way, unless the options say otherwise. */
export function preprocessFor(options: SharedOptions, model: Model): Preprocess {
  return { ...preprocessOf(model), ...readPictureOverrides(options) }
}

/** What the options ask of the classifier: the plan (from the model's own settings when none is given) and the session. */
export const classifierOptions = (options: SharedOptions, model: LoadedModel): ClassifierOptions => ({
  ...readReduction(options, model.idle),
  ...(options.device && { device: options.device }),
  ...(options.precision && { precision: options.precision }),
  ...(options.threads !== undefined && { threads: options.threads }),
})

/** Prints what is unusual about a plan. */
export function warnAll(warnings: readonly string[]): void {
  for (const warning of warnings) warn(warning)
}

/** Prints what is odd about a data set, and what it leaves out, by kind. */
export function tellDataset({ name, leftOut = [], warnings = [] }: Dataset): void {
  warnAll(warnings)
  tellLeftOut(leftOut, `${name}: `)
}

/** Prints what was found and is not used, by kind. */
export function tellLeftOut(leftOut: readonly LeftOut[], where = ''): void {
  for (const line of countByReason(leftOut)) warn(`${where}left out: ${line}`)
}
