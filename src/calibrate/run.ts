/** A calibration from a model and pictures to `steps.json`. */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { describeMachine, type Machine } from '../bench/machine.js'
import { inModelClasses } from '../data/classes.js'
import type { Dataset } from '../data/dataset.js'
import type { Decoder } from '../data/decoder.js'
import { countByReason, type LeftOut } from '../data/left-out.js'
import { fail } from '../errors.js'
import { type Skipped, skippedPicture } from '../evaluation/evaluate.js'
import { hashWeights } from '../export/earlier.js'
import { fileError, writeFileAtomic } from '../files.js'
import type { Precision } from '../graph/passes/precision.js'
import type { Preprocess } from '../images/preprocess.js'
import { shapeOf } from '../models/backbone.js'
import { executedMacs } from '../models/cost.js'
import { planSteps } from '../models/steps.js'
import { elasticPlan, type MethodChoice, storedChoice } from '../reduction/registry.js'
import type { Model } from '../runtime/classifier.js'
import { checkMemory } from '../runtime/free-memory.js'
import { openNodeClassifier, throughputLanes } from '../runtime/node.js'
import type { SessionOptions } from '../runtime/session.js'
import { drawn } from '../tune/answers.js'
import { STEPS_FORMAT, type StepsFile } from '../tune/steps-file.js'
import type { StateDict } from '../weights/state.js'
import { askInSteps } from './answers.js'
import { calibrate } from './calibrate.js'
import { type StepsTarget, stepsTargetText } from './target.js'

export interface CalibrateRequest extends Pick<SessionOptions, 'device' | 'threads'> {
  readonly model: Model
  /** The method, which must have an elastic form, with its options. */
  readonly choice: MethodChoice
  /** Keep ratios that steps are chosen among, rising. */
  readonly ratios: readonly number[]
  /** Steps at most. */
  readonly most: number
  readonly target: StepsTarget
  readonly dataset: Dataset
  readonly preprocess: Preprocess
  /** Pictures that take part at most, and the seed that they are drawn by. */
  readonly limit: number
  readonly seed: number
  readonly batch: number
  readonly precision: Precision
  readonly decoders: readonly Decoder[]
  /** The file that is written. */
  readonly out: string
  readonly onProgress?: (done: number, total: number) => void
  readonly onSkip?: (skipped: Skipped) => void
  readonly onWarning?: (message: string) => void
}

/** What was found, and how. */
export interface CalibrateReport extends StepsFile {
  readonly out: string
  /** Keep ratio and multiply-adds of every step that is asked. */
  readonly asked: readonly { readonly keepRatio: number; readonly gmacs: number }[]
  /** The step that meets an accuracy target by itself; null where none does, or the target is one of work. */
  readonly alone: { readonly keepRatio: number; readonly gmacs: number } | null
  readonly batch: number
  readonly skipped: readonly Skipped[]
  readonly leftOut: readonly LeftOut[]
  readonly available: number
  readonly machine: Machine
}

/**
 * Calibrates steps, and writes them.
 *
 * @throws InputError where the method has no elastic form, no steps meet the target, or the file is somebody else's
 */
export async function runCalibration(request: CalibrateRequest): Promise<CalibrateReport> {
  const { model, ratios, target, out, seed, precision, device, threads, decoders, preprocess } = request
  await checkOut(out)
  const { config } = model
  const shape = shapeOf(config)
  const choice = { ...request.choice, method: elasticPlan(request.choice, shape).method }
  const {
    steps,
    keepTokens: _,
    ...settings
  } = stored(planSteps({ ...choice, steps: ratios.map(keepAt) }, model.name, config))
  const data = drawn(inClasses(request.dataset, model), request.limit, seed)
  const batch = Math.min(request.batch, data.samples.length)
  const session = { ...(device && { device }), ...(threads !== undefined && { threads }) }
  const lanes = Math.min(batch, throughputLanes(model, session))
  const elastic = await openNodeClassifier(model, { ...choice, elastic: true, precision, lanes, ...session })
  for (const warning of elastic.warnings) request.onWarning?.(warning)
  const skipped: Skipped[] = []
  try {
    checkMemory([elastic], batch)
    const planned = (keep: readonly number[]) => ({ keep, macs: executedMacs(config, { ...elastic.plan, keep }) })
    const dense = planned(new Array<number>(shape.depth).fill(shape.tokens))
    const asked = await askInSteps(elastic, steps.map(planned), dense, data, {
      ...{ batch, preprocess, decoders },
      onPictures: (done) => request.onProgress?.(done, data.samples.length),
      onSkip(index, reason) {
        const picture = skippedPicture(data, index, reason)
        skipped.push(picture)
        request.onSkip?.(picture)
      },
    })
    if (asked.pictures === 0)
      fail(`${request.dataset.name}: no picture could be read: ${countByReason(skipped).join('; ')}`)
    const found = calibrate(asked, target, request.most)
    const { method, ...own } = settings
    const file: StepsFile = {
      format: STEPS_FORMAT,
      method,
      settings: own,
      steps: found.chosen.map((k) => steps[k] as readonly number[]),
      thresholds: found.thresholds,
      target: stepsTargetText(target),
      calibrated: found.calibrated,
      heldOut: found.heldOut,
      denseGmacs: dense.macs / 1e9,
      model: {
        name: model.name,
        depth: shape.depth,
        tokens: shape.tokens,
        weights: hashWeights(model.state as StateDict),
      },
      data: { name: request.dataset.name, pictures: asked.pictures, labelled: asked.labelled },
      precision,
    }
    await writeFileAtomic(out, `${JSON.stringify(file, null, 2)}\n`)
    const step = (k: number) => ({ keepRatio: ratios[k] as number, gmacs: (asked.steps[k]?.work ?? Number.NaN) / 1e9 })
    return {
      ...file,
      out,
      asked: found.chosen.map(step),
      alone: found.alone ? step(found.alone.step) : null,
      ...{ batch, skipped },
      leftOut: request.dataset.leftOut ?? [],
      available: request.dataset.samples.length,
      machine: describeMachine(),
    }
  } finally {
    await elastic.close()
  }
}

const keepAt = (keepRatio: number) => ({ keepRatio })

/** A plan in steps as it is stored: the method and its options, and the steps. */
function stored({ steps, ...plan }: ReturnType<typeof planSteps>) {
  const choice = storedChoice(plan)
  return { ...choice, method: plan.method, steps }
}

/** Labels as classes of the model; pictures without labels stay as they are. */
function inClasses(dataset: Dataset, model: Model): Dataset {
  const labelled = dataset.samples.some(({ label }) => label >= 0)
  return labelled ? inModelClasses(dataset, { ...model, classes: model.config.classes }) : dataset
}

/** Refuses to write over what is no earlier calibration: told before the work. */
async function checkOut(out: string): Promise<void> {
  if (!existsSync(out)) return
  const text = await readFile(out, 'utf8').catch((error: unknown) => {
    throw fileError(error, out)
  })
  if (!text.includes(STEPS_FORMAT)) fail(`${out}: wanted a new file, or one that calibrate wrote, found another one`)
}
