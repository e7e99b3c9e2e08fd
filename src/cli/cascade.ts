/** `idlevit eval --exit-budget`: thresholds of a cascade or of steps from data, and the folder that keeps a cascade's. */

import type { Dataset } from '../data/dataset.js'
import { fail } from '../errors.js'
import { type ConfidenceOptions, confidencesOn } from '../evaluation/confidences.js'
import { checkEmpty, saveCascade } from '../export/cascade.js'
import { isCascade, netsOf } from '../models/cascade.js'
import { exitShares, findThresholds, NEVER } from '../models/exits.js'
import type { ClassifierOptions } from '../runtime/classifier.js'
import { openNodeClassifier } from '../runtime/node.js'
import type { LoadedModel } from '../weights/load.js'
import { startProgress } from './output.js'

interface ThresholdOptions extends ConfidenceOptions {
  readonly opening: ClassifierOptions
  /** See `exitShares`. */
  readonly exitBudget: number
  /** A new folder for the model with its thresholds. */
  readonly out?: string | undefined
}

/**
 * A model with thresholds under which the shares of these pictures leave at every net of a cascade, or at every step.
 *
 * @throws InputError where the model is a single net without steps, no picture can be read, or the folder is not empty
 */
export async function withThresholds<M extends LoadedModel>(
  model: M,
  dataset: Dataset,
  { opening, exitBudget, out, ...pictures }: ThresholdOptions,
): Promise<M> {
  const { config, name } = model
  const nets = isCascade(config) ? netsOf(config).length : (opening.steps?.length ?? 0)
  if (nets === 0)
    return fail(`--exit-budget: wanted a cascade of nets (DVT) or a plan in steps, found ${name}, a single net without`)
  if (out !== undefined && !isCascade(config))
    return fail(`--out: keeps a cascade of nets (DVT), found ${name}, a single net in steps: calibrate writes those`)
  if (out !== undefined) await checkEmpty(out)
  const asked = await openNodeClassifier(model, { ...opening, thresholds: new Array<number>(nets - 1).fill(NEVER) })
  const progress = startProgress('finding thresholds', pictures.limit)
  try {
    const confidences = await confidencesOn(asked, dataset, {
      ...pictures,
      onProgress: (done) => progress.update(done),
    })
    const thresholds = findThresholds(confidences, exitShares(exitBudget, nets)).slice(0, -1)
    const found = { ...model, thresholds }
    if (out !== undefined) await saveCascade(found, out)
    return found
  } finally {
    progress.stop()
    await asked.close()
  }
}
