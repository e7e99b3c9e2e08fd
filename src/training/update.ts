/** One update: gradients of the accumulated batches, clipped and applied at the learning rate of the moment. */
import { fail } from '../errors.js'
import { keyedRandom } from '../keyed-random.js'
import type { Values } from '../runtime/session.js'
import { accumulate, clipFactor, globalNorm } from './accumulate.js'
import { adamWStep } from './adamw.js'
import { updateAverage } from './ema.js'
import type { Learner } from './learner.js'
import { keepOfStep } from './options.js'
import { factorsOf } from './rates.js'
import type { Recipe } from './recipe.js'
import type { DrawnBatch, TrainingRun } from './run.js'
import { cosineRate, epochRate } from './schedule.js'
import type { StudentResult } from './student.js'

/** The learning rate of an update, `part` of the way through an epoch. */
export function learningRate(recipe: Recipe, epoch: number, part: number): number {
  const { lr, minLr, epochs, warmupEpochs, warmupLr, schedule } = recipe
  const cosine = { base: lr, min: minLr, length: epochs, warmup: warmupEpochs, warmupRate: warmupLr }
  return schedule === 'step' ? cosineRate(epoch + part, cosine) : epochRate(epoch, cosine, 1)
}

/** How far a run is. */
export interface Moment {
  /** Updates done. */
  readonly step: number
  readonly epoch: number
  /** The share of the epoch that is done. */
  readonly part: number
}

/** Gradients of one update and what is known about it. */
export interface Update {
  /** Sum over the accumulated batches. */
  readonly gradients: Float32Array
  /** Means over the accumulated batches. */
  readonly loss: number
  readonly parts: Parts
  readonly keepRatio: number | undefined
  /** How far into the epoch's order it reaches. */
  readonly drawn: number
  readonly seconds: number
  /** Seconds of these spent waiting for pictures. */
  readonly waited: number
}

/**
 * Runs the step over batches and gives the gradients of every full update; an incomplete one at the end, or when the
 * signal comes, is dropped.
 *
 * @param now - updates done so far, and how far into which epoch they reach
 */
export async function* updatesOf(
  batches: AsyncIterable<DrawnBatch>,
  run: TrainingRun,
  now: () => Moment,
): AsyncGenerator<Update> {
  const { recipe, student, signal } = run
  const { lanes = 1 } = student
  const many = recipe.accumulate
  const sum = new Float32Array(run.parameters.values.length)
  const underWay: Promise<StudentResult>[] = []
  const nothing = { asked: 0, done: 0, loss: 0, parts: {} as Parts, waited: 0 }
  let sofar = nothing
  let start = performance.now()
  let asked = start
  for await (const { pixels, targets, drawn } of batches) {
    const waited = sofar.waited + performance.now() - asked
    const { step, epoch, part } = now()
    const keep = keepOfStep(recipe.keep, recipe.seed, step)
    const counts = run.keepTokens?.(keep)
    const result = student.run({
      pixels,
      targets,
      moment: [recipe.seed, step, sofar.asked],
      ...(run.planAt && { plan: run.planAt(epoch, part) }),
      ...(counts && { keep: counts }),
      ...(recipe.dropPath > 0 && { dropPath: dropPathFactors(recipe, run.depth, targets, step, sofar.asked) }),
    })
    result.catch(() => {}) // a failure is met when the result is waited for
    underWay.push(result)
    sofar = { ...sofar, asked: sofar.asked + 1, waited }
    if (underWay.length === lanes || sofar.asked === many) {
      // In the order asked for, so that the sum has the same bits however many are under way.
      for (const { gradients, loss, parts } of await Promise.all(underWay.splice(0))) {
        if (sofar.done === 0) sum.set(gradients)
        else accumulate(sum, gradients)
        const { done } = sofar
        sofar = {
          ...sofar,
          done: done + 1,
          loss: sofar.loss + loss / many,
          parts: addParts(sofar.parts, parts, 1 / many),
        }
      }
    }
    if (sofar.done === many) {
      const seconds = (performance.now() - start) / 1000
      const { loss, parts } = sofar
      yield { gradients: sum, loss, parts, keepRatio: keep.keepRatio, drawn, seconds, waited: waited / 1000 }
      sofar = nothing
      start = performance.now()
    }
    // A step may keep the thread busy: this is when signals and messages of workers come in.
    await new Promise((resolve) => setImmediate(resolve))
    if (signal?.aborted) break
    asked = performance.now()
  }
  await Promise.all(underWay)
}

/** Factors of the residual branches, [depth, 2, B]: 0 where one is dropped, 1 / (1 - rate) where it stays. */
function dropPathFactors(recipe: Recipe, depth: number, targets: Values, step: number, micro: number): Values {
  const [batch = 0] = targets.shape
  const random = keyedRandom(recipe.seed, 'drop-path', step, micro)
  const data = new Float32Array(depth * 2 * batch)
  for (let l = 0, i = 0; l < depth; l++) {
    const rate = depth > 1 ? (recipe.dropPath * l) / (depth - 1) : recipe.dropPath
    for (let b = 0; b < 2 * batch; b++, i++) data[i] = random.uniform() < rate ? 0 : 1 / (1 - rate)
  }
  return { data, shape: [depth, 2, batch] }
}

/** Parts of the loss by name. */
type Parts = Readonly<Record<string, number>>

/** `sum + factor · parts`, part by part. */
export const addParts = (
  sum: Parts,
  parts: Readonly<Partial<Record<string, number>>>,
  factor = 1,
): Record<string, number> => ({
  ...sum,
  ...Object.fromEntries(Object.entries(parts).map(([part, value]) => [part, (sum[part] ?? 0) + factor * (value ?? 0)])),
})

/**
 * Clips and applies the gradients of an update.
 *
 * @returns the norm of the mean gradient before clipping
 * @throws InputError when the loss or the gradient is not finite; nothing is changed then
 */
export function applyUpdate(
  { parameters, optimizer, average }: Learner,
  { gradients, loss, parts }: Update,
  recipe: Recipe,
  lr: number,
  { step, epoch }: Pick<Moment, 'step' | 'epoch'>,
  lastGood: string | undefined,
): number {
  const norm = globalNorm(gradients) / recipe.accumulate
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    const broken = Object.entries({ ...parts, 'the gradient': norm }).filter(([, value]) => !Number.isFinite(value))
    const which = broken.map(([part, value]) => `${part} is ${value}`).join(', ') || `it is ${loss}`
    fail(
      `update ${step}: the loss is not finite (${which}); the last good checkpoint is ${lastGood ?? 'none'}; a lower --lr or --clip 1 may help`,
    )
  }
  const factor = recipe.clip > 0 ? clipFactor(norm, recipe.clip) : 1
  const { weightDecay, rates, accumulate: batches } = recipe
  const factors = rates && { factors: factorsOf(parameters.trained, rates, epoch) }
  adamWStep(parameters, gradients, optimizer, lr, { weightDecay, ...factors }, factor / batches)
  if (average) updateAverage(average, parameters.values, recipe.emaDecay)
  return norm
}
