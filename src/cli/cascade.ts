/** `idlevit eval --exit-budget`: thresholds of a cascade from data, and the folder that keeps them. */

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
 * A cascade with thresholds under which the shares of these pictures leave at every net.
 *
 * @throws InputError where the model is a single net, no picture can be read, or the folder is not empty
 */
export async function withThresholds<M extends LoadedModel>(
  model: M,
  dataset: Dataset,
  { opening, exitBudget, out, ...pictures }: ThresholdOptions,
): Promise<M> {
  const { config, name } = model
  if (!isCascade(config)) return fail(`--exit-budget: wanted a cascade of nets (DVT), found ${name}, a single one`)
  if (out !== undefined) await checkEmpty(out)
  const nets = netsOf(config).length
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
