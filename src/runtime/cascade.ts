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
import { checkThresholds, confidencesOf, NEVER } from '../models/exits.js'
import { planReduction } from '../reduction/registry.js'
import {
  type Classifier,
  type ClassifierOptions,
  checkHead,
  defaultMicroBatch,
  type ForwardResult,
  type Model,
  needsRewriting,
  topPredictions,
} from './classifier.js'
import { inMicroBatches } from './microbatch.js'
import type { OpenSession, Session, Values } from './session.js'

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
    for (const graph of graphs) {
      const session = await openSession(graph, { ...options, rewrite: needsRewriting(options) })
      sessions.push(inMicroBatches(session, microBatch))
    }
  } catch (error) {
    await close()
    throw error
  }
  const { classes, imageSize: S } = config
  const pictureLength = 3 * S * S

  async function forward(pixels: Float32Array): Promise<ForwardResult> {
    const batch = pixels.length / pictureLength
    if (!Number.isInteger(batch) || batch === 0)
      throw new Error(`pixels: wanted a multiple of 3·${S}·${S} = ${pictureLength} values, found ${pixels.length}`)
    const logits = new Float32Array(batch * classes)
    const exits = new Array<number>(batch).fill(0)
    /** Places in the batch of the pictures that no net has answered yet, and what the next net reads of them. */
    const confidences = nets.map(() => new Float64Array(batch).fill(Number.NaN))
    let left = Array.from({ length: batch }, (_, b) => b)
    let feeds: Record<string, Values> = { pixel_values: { data: pixels, shape: [batch, 3, S, S] } }
    for (const [k, session] of sessions.entries()) {
      const { logits: own, rows, relations } = await session.run(feeds)
      const answers = own?.data as Float32Array // [left, classes]
      const threshold = k === sessions.length - 1 ? -NEVER : (thresholds[k] as number)
      const goesOn: number[] = []
      for (const [i, confidence] of confidencesOf(answers, classes).entries()) {
        const b = left[i] as number
        exits[b] = k
        ;(confidences[k] as Float64Array)[b] = confidence
        logits.set(answers.subarray(i * classes, (i + 1) * classes), b * classes)
        if (!(confidence >= threshold)) goesOn.push(i)
      }
      left = goesOn.map((i) => left[i] as number)
      if (left.length === 0 || k === sessions.length - 1) break
      feeds = {
        pixel_values: chosen(feeds.pixel_values as Values, goesOn),
        ...(rows && { received_rows: chosen(rows, goesOn) }),
        ...(relations && { received_relations: chosen(relations, goesOn) }),
      }
    }
    return { logits, classes, exits, confidences, sizes: exits.map((exit) => ({ [EXIT]: exit })) }
  }

  const plan = planReduction({ method: 'none' }, shapeOf(config))
  return {
    model: { ...model, thresholds },
    plan,
    keepRatios: plan.ratios,
    warnings: given ? [] : [`${name} has no thresholds: every picture goes through all ${nets.length} nets`],
    lanes: sessions[0]?.lanes ?? 1,
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
      return Array.from({ length: logits.length / classes }, (_, b) =>
        topPredictions(logits.subarray(b * classes, (b + 1) * classes), top, model.labels),
      )
    },
    close,
  }
}

/** Some pictures of a batch; all of them are the same memory. */
function chosen({ data, shape }: Values, pictures: readonly number[]): Values {
  const [batch = 1, ...rest] = shape
  if (pictures.length === batch) return { data, shape }
  const values = data as Float32Array
  const stride = values.length / batch
  const some = new Float32Array(pictures.length * stride)
  for (const [to, from] of pictures.entries())
    some.set(values.subarray(from * stride, (from + 1) * stride), to * stride)
  return { data: some, shape: [pictures.length, ...rest] }
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
