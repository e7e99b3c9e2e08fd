/** Finetuning from end to end: model, teacher, pictures and recipe in; a folder with the trained model out. */
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { type Decoder, startDecoders } from '../data/decoder.js'
import { fail } from '../errors.js'
import { type EvaluationReport, evaluateClassifier } from '../evaluation/evaluate.js'
import { fileError, writeFileAtomic } from '../files.js'
import type { Preprocess } from '../images/preprocess.js'
import { shapeOf } from '../models/backbone.js'
import { isFixed } from '../models/tokens-to-token.js'
import { tokensByBlock } from '../reduction/method.js'
import { methodOf, type ReductionPlan, storedPlan } from '../reduction/registry.js'
import type { Classifier, Model } from '../runtime/classifier.js'
import { openNodeClassifier, throughputLanes } from '../runtime/node.js'
import type { SessionOptions } from '../runtime/session.js'
import { modelConfigJson } from '../weights/config-file.js'
import { saveSafetensors } from '../weights/files.js'
import { halved, type StateDict } from '../weights/state.js'
import { trainingData } from './batches.js'
import { openStudentLanes } from './lanes.js'
import type { Evaluation, LogEntry } from './log.js'
import { train } from './loop.js'
import { frozenParameters } from './options.js'
import { withOwnWeights } from './own-weights.js'
import { createParameters } from './parameters.js'
import { changingPlan, evaluationPlans, planOf, reductionSettings, stepPlan } from './plan.js'
import { checkRates } from './rates.js'
import type { Recipe } from './recipe.js'
import { openReport } from './report.js'
import type { Progress, TrainingRun, TrainingSummary } from './run.js'
import { type StepPlan, teacherRows } from './step.js'
import { openStudent } from './student.js'
import { checkTeacher, hasSameClasses, type Lessons } from './teacher.js'

/** A model with weights that can be trained. */
export type TrainableModel = Model & { readonly state: StateDict }

export interface FinetuneOptions {
  readonly model: TrainableModel
  /**
   * The dense model to learn from; without one there is only the classification loss and the cut. Where its classes are
   * others than the model's, its features are distilled and its answers are not.
   */
  readonly teacher?: Model
  readonly recipe: Recipe
  readonly training: Dataset
  readonly validation: Dataset
  readonly preprocess: Preprocess
  /** The folder to write: config.json, model.safetensors, log.jsonl, checkpoints/, report.html. */
  readonly out: string
  readonly resume?: boolean
  readonly session?: SessionOptions
  /** Threads that decode pictures. */
  readonly workers?: number
  /** Threads that run already, in place of own ones; they are left running. */
  readonly decoders?: readonly Decoder[]
  readonly evaluateEvery?: number
  /** Recompute inside of blocks in the backward pass: less memory, more time. */
  readonly recompute?: boolean
  readonly saveSeconds?: number
  /** Write the model in float16, half the size; training and its evaluation stay in float32. */
  readonly half?: boolean
  readonly signal?: AbortSignal
  readonly warn?: (message: string) => void
  /** Told of every line of the log. */
  readonly onEntry?: (entry: LogEntry, progress: Progress, updates: number) => void
  /** Told of how far an evaluation is. */
  readonly onEvaluation?: (images: number, total: number) => void
}

/**
 * Trains a model.
 *
 * @throws InputError when model, teacher, pictures, recipe and folder do not fit together, and what {@link train} throws
 */
export async function finetune(given: FinetuneOptions): Promise<TrainingSummary> {
  if (given.decoders) return finetuneWith({ ...given, decoders: given.decoders })
  const decoders = startDecoders(given.workers)
  try {
    return await finetuneWith({ ...given, decoders })
  } finally {
    await Promise.all(decoders.map((decoder) => decoder.close()))
  }
}

type Decoding = FinetuneOptions & { readonly decoders: readonly Decoder[] }

async function finetuneWith(given: Decoding): Promise<TrainingSummary> {
  const options = { ...given, model: withOwnWeights(given.model, given.recipe) }
  const { model, teacher, recipe, training, preprocess, out, session = {}, warn } = options
  const { config } = model
  checkRates(model.state.keys(), recipe.rates ?? [])
  const frozen = frozenParameters(model.state.keys(), recipe.freeze)
  const isTrained = (name: string) => !frozen.has(name) && !(config.tokensToToken && isFixed(name))
  const parameters = createParameters(model.state, isTrained)
  const { signal, decoders, resume, evaluateEvery, saveSeconds, onEntry } = options

  const graph = stepPlan(recipe, config)
  const { keep } = graph
  const { shrinks } = methodOf(recipe.method ?? 'idle')
  const shape = shapeOf(config)
  const all = tokensByBlock(shape)
  const reduces = shrinks || keep.some((tokens, l) => tokens === 'fed' || tokens < (all[l] as number))
  const answers = teacher !== undefined && recipe.loss.distillation > 0 && hasSameClasses(teacher, model)
  const distils = answers || (teacher !== undefined && teacherRows({ ...recipe, weights: recipe.loss }) !== 'none')
  const weights = {
    ...recipe.loss,
    ...(!answers && { distillation: 0 }),
    ...(!distils && { feature: 0 }),
    ...(shape.stages && recipe.loss.cut !== undefined && { cut: 0 }),
  }
  if (shape.stages && recipe.loss.cut)
    warn?.('the token cut loss is of attention among all tokens, which windows have not: it is left out')
  const featureRows = weights.feature > 0 ? recipe.featureRows : 'class'
  const { form, cut, dropPath } = recipe
  const plan: StepPlan = {
    config,
    ...graph,
    form,
    weights,
    cut,
    teacher: distils,
    featureRows,
    dropPath: dropPath > 0,
    recompute: options.recompute ?? false,
  }
  const lessons: Lessons = { answers, rows: teacherRows(plan) }
  if (distils) checkTeacher(teacher, config, lessons)
  const settings = { plan, parameters, ...(distils && { teacher: { model: teacher, lessons } }) }
  const lanes = Math.min(recipe.accumulate, throughputLanes(model, session))
  const student = lanes > 1 ? await openStudentLanes(settings, lanes) : await openStudent(settings, session)

  await mkdir(out, { recursive: true }).catch((error) => {
    throw fileError(error, out)
  })
  const report = openReport(out)
  const elastic = keep.includes('fed')
  const planAt = changingPlan(recipe, config)
  try {
    const summary = await train({
      recipe,
      parameters,
      student,
      data: trainingData(training, recipe, preprocess, config.classes, decoders),
      depth: config.depth,
      ...(elastic && { keepTokens: (request) => planOf(request, recipe, config).keep }),
      ...(planAt && { planAt }),
      references: references(options, reduces),
      evaluate: (state) => evaluateState(options, state),
      saveBest: (state) => saveModel(options, state),
      folder: out,
      names: { model: model.name, data: training.name },
      leftOut: [...(training.leftOut ?? []), ...(options.validation.leftOut ?? [])],
      fingerprint: fingerprint(options),
      ...(resume !== undefined && { resume }),
      ...(evaluateEvery !== undefined && { evaluateEvery }),
      ...(saveSeconds !== undefined && { saveSeconds }),
      ...(signal && { signal }),
      ...(warn && { warn }),
      async onEntry(entry, progress, updates) {
        onEntry?.(entry, progress, updates)
        await report.onEntry(entry)
      },
    })
    await report.end(summary.interrupted === undefined ? 'finished' : 'interrupted')
    return summary
  } catch (error) {
    if (report.isBegun()) await report.end('failed')
    throw error
  } finally {
    await student.close()
  }
}

/**
 * What the run is held against: the model as it is, under the plan that it is trained for, and the dense model: the
 * teacher where it answers with the same classes, else the model itself.
 */
function references(options: Decoding, reduces: boolean): NonNullable<TrainingRun['references']> {
  const { model, teacher, session } = options
  const dense = teacher && hasSameClasses(teacher, model) ? teacher : model
  const before = { name: 'before', evaluate: () => evaluateState(options, model.state) } as const
  if (!reduces && dense.state === model.state) return [before]
  const evaluate = async () => evaluateOpened(options, await openNodeClassifier(dense, { method: 'none', ...session }))
  return [before, { name: 'dense', evaluate }]
}

/** Accuracy of weights on the validation pictures, under the plan of the recipe or at both ends of an elastic one. */
async function evaluateState(options: Decoding, state: StateDict): Promise<Evaluation> {
  const { model, recipe } = options
  const plans = evaluationPlans(recipe, model.config)
  const found: [string, Evaluation][] = []
  for (const [name, plan] of plans) found.push([name, await evaluatePlan(options, state, plan)])
  const [first] = found
  if (first && found.length === 1) return first[1]
  const sum = (of: (evaluation: Evaluation) => number) => found.reduce((total, [, each]) => total + of(each), 0)
  const images = sum((each) => each.images)
  const top1 = sum((each) => each.top1)
  const top5 = sum((each) => each.top5)
  return {
    images,
    top1,
    top5,
    top1Percent: (100 * top1) / images,
    top5Percent: (100 * top5) / images,
    loss: sum((each) => each.loss) / found.length,
    byKeepRatio: Object.fromEntries(found),
  }
}

async function evaluatePlan(options: Decoding, state: StateDict, plan: ReductionPlan): Promise<Evaluation> {
  const { model, session } = options
  const reduction = storedPlan(plan) ?? { method: 'none' }
  return evaluateOpened(options, await openNodeClassifier({ ...model, state }, { ...reduction, ...session }))
}

/** Accuracy of a classifier, which is closed behind it. */
async function evaluateOpened(options: Decoding, classifier: Classifier): Promise<Evaluation> {
  const { validation, preprocess, decoders, onEvaluation } = options
  try {
    const report: EvaluationReport = await evaluateClassifier(classifier, validation, {
      preprocess,
      decoders,
      onProgress: ({ images }) => onEvaluation?.(images, validation.samples.length),
    })
    const { images, top1, top5, top1Percent, top5Percent, loss } = report
    return { images, top1, top5, top1Percent, top5Percent, loss }
  } finally {
    await classifier.close()
  }
}

/** Writes what `classify`, `eval` and `export` take as it is; the weights last, so that they never lack their config. */
async function saveModel(
  { out, model, recipe, preprocess, half = false }: FinetuneOptions,
  state: StateDict,
): Promise<void> {
  const idle = reductionSettings(recipe, model.config)
  const { config, labels } = model
  const json = modelConfigJson({ config, preprocess, ...(labels && { labels }), ...(idle && { idle }) })
  await writeFileAtomic(join(out, 'config.json'), `${JSON.stringify(json, null, 2)}\n`)
  const ordered: StateDict = new Map(
    [...model.state.keys()].map((name) => [name, state.get(name) ?? fail(`no weight ${name}`)]),
  )
  await saveSafetensors(join(out, 'model.safetensors'), half ? halved(ordered) : ordered, { format: 'pt' })
}

/** Hash of what a run starts from: weights, teacher, and which pictures with which labels. */
function fingerprint({ model, teacher, training, preprocess }: FinetuneOptions): string {
  const hash = createHash('sha256').update(JSON.stringify([model.config, preprocess]))
  for (const { state } of teacher ? [model, teacher] : [model]) {
    for (const [name, { data }] of state) {
      const { buffer, byteOffset, byteLength } = data as Float32Array
      hash.update(name).update(new Uint8Array(buffer, byteOffset, byteLength))
    }
  }
  for (const { name, label } of training.samples) hash.update(`${basename(name)} ${label}\n`)
  return hash.digest('hex')
}
