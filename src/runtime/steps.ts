/**
 * An elastic model that answers in steps: every picture with few tokens first, uncertain ones again with more. One session
 * and one set of weights serve all steps. Safe in browsers.
 */

import { fail } from '../errors.js'
import { pictureSize } from '../models/config.js'
import { EXIT } from '../models/cost.js'
import { checkThresholds, NEVER } from '../models/exits.js'
import { planSteps } from '../models/steps.js'
import type { KeepRequest } from '../reduction/schedule.js'
import {
  type Classifier,
  type ClassifierOptions,
  checkHead,
  defaultMicroBatch,
  type ForwardResult,
  type Model,
  openClassifier,
  predictionsOf,
} from './classifier.js'
import type { OpenSession, Session } from './session.js'
import { inStages } from './stages.js'

/**
 * Opens a model that answers in `options.steps`.
 *
 * @throws InputError on steps that the method cannot follow, and on thresholds that do not fit
 */
export async function openSteps(
  model: Model,
  options: ClassifierOptions,
  openSession: OpenSession,
): Promise<Classifier> {
  const { steps: _, thresholds: given, microBatch = defaultMicroBatch(model.config, options), ...opening } = options
  for (const option of ['trace', 'features', 'elastic'] as const)
    if (options[option]) fail(`${option}: wanted one plan for every picture, found steps`)
  const plan = planSteps(options, model.name, model.config)
  const count = plan.steps.length
  const thresholds = given
    ? checkThresholds(given, count, 'thresholds', 'step')
    : new Array<number>(count - 1).fill(NEVER)
  let lanes = 1
  /** Stages decide what runs together: the session is not to part a piece among its lanes. */
  const whole: OpenSession = async (graph, how) => {
    const session = await openSession(graph, how)
    lanes = session.lanes ?? 1
    return { ...session, lanes: 1 }
  }
  const elastic = await openClassifier(
    model,
    { ...opening, keepTokens: plan.keep, elastic: true, microBatch: Infinity },
    whole,
  )
  const { classes } = model.config
  const picture = [3, ...pictureSize(model.config)]
  const pictureLength = picture.reduce((a, b) => a * b, 1)
  const stages = plan.steps.map((keepTokens) => ({ session: elasticAt(elastic, keepTokens) }))
  const answer = inStages(stages, { thresholds, classes, size: microBatch, lanes })

  async function forward(pixels: Float32Array, request?: KeepRequest): Promise<ForwardResult> {
    const batch = pixels.length / pictureLength
    if (request) fail('keep: this classifier was opened with steps, which say it')
    if (!Number.isInteger(batch) || batch === 0)
      throw new Error(
        `pixels: wanted a multiple of ${picture.join('·')} = ${pictureLength} values, found ${pixels.length}`,
      )
    const answered = await answer({ pixel_values: { data: pixels, shape: [batch, ...picture] } })
    return { ...answered, sizes: answered.exits.map((exit) => ({ [EXIT]: exit })) }
  }

  const untold = given ? [] : [`no thresholds are given: every picture goes through all ${count} steps`]
  return {
    ...elastic,
    model: { ...model, thresholds },
    plan: { ...elastic.plan, steps: plan.steps },
    warnings: [...elastic.warnings, ...untold],
    lanes,
    stages: count,
    forward,
    memory: (batch) => elastic.memory(Math.min(batch, microBatch)),
    async predict(pixels, top = 5) {
      checkHead(model)
      const { logits } = await forward(pixels)
      return predictionsOf(logits, classes, top, model.labels)
    },
  }
}

/** An elastic classifier under one plan, as a session. */
const elasticAt = (elastic: Classifier, keepTokens: readonly number[]): Pick<Session, 'run'> => ({
  async run({ pixel_values }) {
    const { logits, classes } = await elastic.forward(pixel_values?.data as Float32Array, { keepTokens })
    return { logits: { data: logits, shape: [logits.length / classes, classes] } }
  },
})
