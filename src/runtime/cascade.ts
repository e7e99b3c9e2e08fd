/**
 * A cascade of nets (DVT, arXiv 2105.15075) at work: every net answers the pictures that it is confident of, the others go on
 * to the next with what was found out about them. What is answered early costs nothing more.
 */

import { fail } from '../errors.js'
import { peakMemory } from '../graph/memory.js'
import { lower } from '../graph/passes/precision.js'
import { shapeOf } from '../models/backbone.js'
import { isCascade, netsOf } from '../models/cascade.js'
import { EXIT } from '../models/cost.js'
import { buildNet } from '../models/dvt-build.js'
import { checkThresholds, NEVER } from '../models/exits.js'
import { planReduction } from '../reduction/registry.js'
import {
  type Classifier,
  type ClassifierOptions,
  checkHead,
  defaultMicroBatch,
  type ForwardResult,
  type Model,
  needsRewriting,
  predictionsOf,
} from './classifier.js'
import type { OpenSession, Session } from './session.js'
import { inStages } from './stages.js'

/**
 * Opens the nets of a cascade, one session each.
 *
 * @throws InputError on options that a cascade does not have, and on thresholds that do not fit
 */
export async function openCascade(
  model: Model,
  options: ClassifierOptions,
  openSession: OpenSession,
): Promise<Classifier> {
  const { config, name } = model
  if (!isCascade(config)) return fail(`${name}: wanted a cascade of nets (DVT), found a single one`)
  checkOptions(name, options)
  const nets = netsOf(config)
  const given = options.thresholds ?? model.thresholds
  const thresholds = given
    ? checkThresholds(given, nets.length, 'thresholds')
    : new Array<number>(nets.length - 1).fill(NEVER)
  const graphs = nets.map((_, i) => lower(buildNet(config, model.state, i).graph, options))
  const { microBatch = defaultMicroBatch(config, options) } = options
  const sessions: Session[] = []
  const close = async () => {
    await Promise.all(sessions.map((session) => session.close()))
  }
  try {
    for (const graph of graphs)
      sessions.push(await openSession(graph, { ...options, rewrite: needsRewriting(options) }))
  } catch (error) {
    await close()
    throw error
  }
  const { classes, imageSize: S } = config
  const pictureLength = 3 * S * S
  const lanes = sessions[0]?.lanes ?? 1
  const handsOn = { rows: 'received_rows', relations: 'received_relations' }
  const stages = sessions.map((session) => ({ session, handsOn }))
  const answer = inStages(stages, { thresholds, classes, size: microBatch, lanes })

  async function forward(pixels: Float32Array): Promise<ForwardResult> {
    const batch = pixels.length / pictureLength
    if (!Number.isInteger(batch) || batch === 0)
      throw new Error(`pixels: wanted a multiple of 3·${S}·${S} = ${pictureLength} values, found ${pixels.length}`)
    const answered = await answer({ pixel_values: { data: pixels, shape: [batch, 3, S, S] } })
    return { ...answered, sizes: answered.exits.map((exit) => ({ [EXIT]: exit })) }
  }

  const plan = planReduction({ method: 'none' }, shapeOf(config))
  return {
    model: { ...model, thresholds },
    plan,
    keepRatios: plan.ratios,
    warnings: given ? [] : [`${name} has no thresholds: every picture goes through all ${nets.length} nets`],
    lanes,
    stages: nets.length,
    forward,
    memory(batch) {
      return Math.max(
        ...graphs.map((graph) => {
          const [one, two] = [1, 2].map((pictures) => peakMemory(graph, { batch: pictures })) as [number, number]
          return one + (Math.min(batch, microBatch) - 1) * (two - one)
        }),
      )
    },
    async predict(pixels, top = 5) {
      checkHead(model)
      const { logits } = await forward(pixels)
      return predictionsOf(logits, classes, top, model.labels)
    },
    close,
  }
}

/** Refuses what a cascade does not have. */
function checkOptions(name: string, options: ClassifierOptions): void {
  const { method = 'none', keepRatio = 1, keepRatios, keepTokens, precision = 'fp32' } = options
  const keeps = keepRatio !== 1 || keepRatios !== undefined || keepTokens !== undefined
  if (method !== 'none' || keeps)
    fail(
      `${name}: a cascade of nets (DVT) reduces no tokens, it leaves out nets: wanted no ${keeps ? 'keep ratio' : `method ${method}`}`,
    )
  for (const option of ['trace', 'features', 'elastic'] as const)
    if (options[option]) fail(`${name}: a cascade of nets (DVT) has no ${option}`)
  if (precision === 'fp16') fail(`${name}: wanted fp32 or int8 for a cascade of nets (DVT), found fp16`)
}
