/** One door to every kind of classifier: a single net, one that answers in steps, a cascade of nets. Safe in browsers. */

import { isCascade } from '../models/cascade.js'
import { openCascade } from './cascade.js'
import { type Classifier, type ClassifierOptions, type Model, openClassifier } from './classifier.js'
import type { OpenSession } from './session.js'
import { openSteps } from './steps.js'

/**
 * Opens a model as its sizes and the options ask for.
 *
 * @throws InputError on options that do not fit the model
 */
export function openAny(model: Model, options: ClassifierOptions, openSession: OpenSession): Promise<Classifier> {
  const open = options.steps ? openSteps : isCascade(model.config) ? openCascade : openClassifier
  return open(model, options, openSession)
}
