/** From options to a model, its labels, its preprocessing and a running classifier. */

import { readFile } from 'node:fs/promises'
import type { Dataset } from '../data/dataset.js'
import { countByReason, type LeftOut } from '../data/left-out.js'
import { fail } from '../errors.js'
import { hashWeights } from '../export/earlier.js'
import { describePreprocess, overridePreprocess, type Preprocess, preprocessOf } from '../images/preprocess.js'
import { withLabels } from '../labels/default.js'
import { parseLabels } from '../labels/labels.js'
import { shapeOf } from '../models/backbone.js'
import { largestKeepRatio } from '../models/budget.js'
import { isCascade } from '../models/cascade.js'
import { findPreset } from '../models/presets.js'
import { present } from '../present.js'
import type { ClassifierOptions, Model } from '../runtime/classifier.js'
import { checkPlan, type GivenPlan, readPlan } from '../tune/plan-file.js'
import { type LoadedModel, type LoadOptions, loadModel, presetSizes } from '../weights/load.js'
import { type Reduction, readPictureOverrides, readReduction, type SharedOptions } from './options.js'
import { startProgress, warn } from './output.js'

/** What a command takes besides single nets: cascades of nets, and plans in steps. */
export interface Takes extends Pick<LoadOptions, 'cascades'> {
  readonly steps?: boolean
}

/** The model that `--model` and `--init` name, with the labels of `--labels`, of the model, or of ImageNet-1K. */
export async function openModel(options: SharedOptions, { cascades }: Takes = {}): Promise<Model & LoadedModel> {
  const spec = options.model ?? fail('--model: wanted a preset, a hub id or a path, found nothing')
  const progress = startProgress('downloading', undefined)
  const loaded = await loadModel(spec, {
    ...loadOptions(options),
    ...(cascades && { cascades }),
    onProgress: ({ bytes, total, file }) => progress.update(bytes, `of ${total} bytes, ${file}`),
  })
  progress.stop()
  warnAll(loaded.warnings ?? [])
  return withLabels(loaded, await labelsOf(options, loaded))
}

/** What the options say about the model itself. */
function loadOptions(options: SharedOptions): LoadOptions {
  const { init, heads } = options
  return {
    ...(init !== undefined && { init }),
    ...(heads !== undefined && { heads }),
    preprocess: readPictureOverrides(options),
  }
}

/** What a command may ask of a model without its weights. */
type Sizes = Pick<LoadedModel, 'name' | 'config' | 'idle' | 'preprocess' | 'origins' | 'thresholds'>

/** Sizes of the model that the options name: of a preset without reading weights. */
export async function sizesOf(options: SharedOptions, takes: Takes = {}): Promise<Sizes> {
  const preset = findPreset(options.model ?? '')
  if (!preset) return openModel(options, takes)
  return { name: options.model as string, ...presetSizes(preset, loadOptions(options)) }
}

async function labelsOf(options: SharedOptions, loaded: LoadedModel): Promise<readonly string[] | undefined> {
  const { classes } = loaded.config
  if (options.labels === undefined) return undefined
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

/**
 * How pictures become inputs of the model: as it was opened with these options. Where nothing says it the guess is told;
 * a model that starts from random weights takes ImageNet's way.
 */
export function preprocessFor(options: SharedOptions, model: Model & Partial<LoadedModel>): Preprocess {
  if (model.origins?.preprocess.guessed)
    warn(`how pictures are made is ${model.origins.preprocess.source} (--mean and --std do)`)
  return model.preprocess ?? overridePreprocess(preprocessOf(model), readPictureOverrides(options))
}

/** Preprocessing for reports: what is used, and who says so. */
export interface PreprocessingReport extends Preprocess {
  readonly mode: NonNullable<Preprocess['mode']>
  readonly interpolation: NonNullable<Preprocess['interpolation']>
  readonly source: string
  readonly guessed: boolean
}

/** What a report says about a model's pictures. */
export function preprocessingReport({ preprocess, origins }: Partial<LoadedModel>): PreprocessingReport | undefined {
  if (!preprocess || !origins) return undefined
  return { mode: 'center', interpolation: 'bicubic', ...preprocess, ...origins.preprocess }
}

/** The same in a line. */
export const preprocessingLine = (report: PreprocessingReport): string =>
  `pictures: ${describePreprocess(report)} (${report.source})`

/**
 * The reduction that the options ask for; under `--max-gmacs` at the largest keep ratio that it allows, under `--plan` the
 * plan's.
 *
 * @throws InputError where the method cannot do with so little, or the plan is for another model
 */
export function reductionFor(
  options: SharedOptions,
  { name, config, idle, state }: Pick<LoadedModel, 'name' | 'config' | 'idle'> & Partial<Pick<LoadedModel, 'state'>>,
  takes: Takes = {},
): Reduction {
  if (isCascade(config)) return checkNoReduction(options)
  const { maxGmacs, plan, ...others } = options
  if (plan !== undefined) {
    const given = options.thresholds === undefined && state ? { state } : {} // thresholds of one's own fit any weights
    return planFor(plan, { name, config, ...given }, takes).reduction
  }
  if (maxGmacs === undefined) return readReduction(options, idle)
  // Any ratio below 1 will do: it stands in for what is sought, so that what the model's folder keeps does not count.
  const { keepRatio: _, ...reduction } = readReduction({ ...others, keepRatio: 0.5 }, idle)
  return { ...reduction, keepRatio: largestKeepRatio(config, reduction, maxGmacs) }
}

/** A cascade leaves out nets, not tokens. */
function checkNoReduction(options: SharedOptions): Reduction {
  const { method = 'none', maxGmacs, plan, keepRatio = 1, keepRatios, keepTokens, methodOption, score } = options
  const given = { maxGmacs, plan, keepRatios, keepTokens, methodOption, score }
  const [asked] = [
    ...(method === 'none' || method === 'dvt' ? [] : [`--method ${method}`]),
    ...(keepRatio === 1 ? [] : ['--keep-ratio']),
    ...Object.keys(present(given)).map((name) => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`),
  ]
  if (asked !== undefined)
    fail(
      `${asked}: wanted a single net, found ${options.model}, a cascade of nets (DVT): --thresholds says how many it asks`,
    )
  return { method: 'none' }
}

/**
 * The plan of a file that tune or calibrate wrote.
 *
 * @param model - thresholds must be for its weights, where those are given
 * @throws InputError where it is none, for models of other sizes or weights, or in steps where these are not taken
 */
export function planFor(
  path: string,
  { name, config, state }: Pick<LoadedModel, 'name' | 'config'> & Partial<Pick<LoadedModel, 'state'>>,
  { steps = false }: Takes = {},
): GivenPlan {
  const plan = readPlan(path)
  checkPlan(plan, name, shapeOf(config))
  if (plan.reduction.steps && !steps)
    fail(`${path}: a plan in steps, which classify, eval, compare, bench and info take; wanted a plan that tune wrote`)
  if (plan.weights !== undefined && state && plan.weights !== hashWeights(state))
    fail(
      `${path}: thresholds for the weights of ${plan.made.name}, found others in ${name}: calibrate again, or say --thresholds`,
    )
  return plan
}

/** What the options ask of the classifier: the plan (from the model's own settings when none is given) and the session. */
export const classifierOptions = (
  options: SharedOptions,
  model: LoadedModel,
  takes: Takes = {},
): ClassifierOptions => ({
  ...reductionFor(options, model, takes),
  ...(options.device && { device: options.device }),
  ...(options.precision && { precision: options.precision }),
  ...(options.threads !== undefined && { threads: options.threads }),
  ...(options.thresholds && { thresholds: options.thresholds }),
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

/** Pictures that are told one by one when they cannot be read. */
const TOLD_SKIPS = 10

/** Prints the first pictures that cannot be read, one by one. */
export function tellSkips(): (skipped: Pick<LeftOut, 'path' | 'reason'>) => void {
  let count = 0
  return ({ path, reason }) => {
    count++
    if (count <= TOLD_SKIPS) warn(`${path} skipped: ${reason}`)
    if (count === TOLD_SKIPS) warn('more skipped pictures are only counted, at the end')
  }
}
