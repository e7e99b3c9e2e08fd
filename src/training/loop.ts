/**
 * The run around the training step: epochs, evaluation, checkpoints, and going on exactly where a run stopped. What is
 * computed is injected: the step (one graph), the pictures, the teacher, the evaluation.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../errors.js'
import { fileError, removeUnfinished } from '../files.js'
import { loadLatestCheckpoint, saveCheckpoint } from './checkpoint.js'
import { checkRunFolder } from './folder.js'
import { createLearner, type Learner, restore, tensorsOf } from './learner.js'
import type { EpochSummary, Evaluation } from './log.js'
import { appendLog, beginLog, cutLog, type LogEntry } from './log.js'
import { recipeDifferences } from './options.js'
import { stateOf } from './parameters.js'
import type { Recipe } from './recipe.js'
import type { Best, Progress, TrainingRun, TrainingSummary } from './run.js'
import { addParts, applyUpdate, learningRate, type Update, updatesOf } from './update.js'

/** Updates in an epoch: the last, incomplete one is left out. */
export function updatesPerEpoch(pictures: number, { batch, accumulate }: Recipe): number {
  const updates = Math.floor(pictures / (batch * accumulate))
  if (updates >= 1) return updates
  return fail(
    `${pictures} training pictures are fewer than one update takes (--batch ${batch} × --accumulate ${accumulate} = ${batch * accumulate})`,
  )
}

/**
 * Trains to the end of the recipe, or to the signal.
 *
 * @throws InputError when the folder is not for this run ({@link checkRunFolder}), the run was started with something
 *   else, or the loss is no longer finite
 */
export async function train(run: TrainingRun): Promise<TrainingSummary> {
  const { recipe, folder, signal, data, saveSeconds = 600, warn = () => {} } = run
  const perEpoch = updatesPerEpoch(data.pictures, recipe)
  const updates = perEpoch * recipe.epochs
  const logPath = join(folder, 'log.jsonl')
  const checkpoints = join(folder, 'checkpoints')
  const learner = createLearner(run.parameters, recipe.emaDecay > 0)

  await checkRunFolder(folder, run.resume)
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw fileError(error, folder)
  })
  await removeUnfinished(folder)
  const found = await loadLatestCheckpoint<Progress>(checkpoints, warn)
  if (found) {
    checkSameRun(found.progress, run)
    restore(learner, found.tensors, found.progress.step, found.path)
  }
  let progress = found?.progress ?? nothingDone(run)
  let lastGood = found?.path
  let savedAt = performance.now()

  const beginning: LogEntry = {
    kind: found ? 'resume' : 'start',
    step: progress.step,
    time: new Date().toISOString(),
    model: run.names?.model ?? '',
    data: run.names?.data ?? '',
    pictures: data.pictures,
    dropped: data.pictures - perEpoch * recipe.batch * recipe.accumulate,
    ...(run.leftOut && run.leftOut.length > 0 && { leftOut: run.leftOut }),
    recipe,
  }
  const kept = found ? await cutLog(logPath, progress.step, progress.epoch) : []
  if (found) appendLog(logPath, beginning)
  else await beginLog(logPath, beginning)
  await run.onEntry?.(beginning, progress, updates)

  const tell = async (entry: LogEntry) => {
    appendLog(logPath, entry)
    await run.onEntry?.(entry, progress, updates)
  }
  const save = async (): Promise<string> => {
    lastGood = await saveCheckpoint(checkpoints, { progress, tensors: tensorsOf(learner) })
    savedAt = performance.now()
    return lastGood
  }
  // Later the weights are others: a run that was interrupted before its first update catches up, no other does.
  for (const { name, evaluate } of progress.step === 0 ? (run.references ?? []) : []) {
    if (kept.some((entry) => entry.kind === 'reference' && entry.name === name)) continue
    const evaluation = await untilAborted(evaluate(), signal)
    if (evaluation === undefined) return { progress, updates, interrupted: await save() }
    await tell({ kind: 'reference', step: 0, name, evaluation })
  }

  while (progress.epoch < recipe.epochs) {
    const { epoch } = progress
    const onSkip = (name: string, reason: string) => {
      if (progress.skipped.includes(name)) return
      progress = { ...progress, skipped: [...progress.skipped, name] }
      warn(`${name} skipped: ${reason}`)
      appendLog(logPath, { kind: 'skip', step: progress.step, epoch, name, reason })
    }
    if (progress.stepInEpoch < perEpoch) {
      const batches = data.batches(epoch, progress.drawn, onSkip)
      const now = () => ({ step: progress.step, epoch, part: progress.stepInEpoch / perEpoch })
      for await (const update of updatesOf(batches, run, now)) {
        const lr = learningRate(recipe, epoch, progress.stepInEpoch / perEpoch)
        const gradientNorm = applyUpdate(learner, update, recipe, lr, { step: progress.step + 1, epoch }, lastGood)
        progress = after(update, progress)
        const { loss, parts, keepRatio, seconds, waited } = update
        await tell({
          kind: 'step',
          step: progress.step,
          epoch,
          loss,
          parts,
          lr,
          gradientNorm,
          ...(keepRatio !== undefined && { keepRatio }),
          imagesPerSecond: (recipe.batch * recipe.accumulate) / seconds,
          waiting: waited / seconds,
        })
        if (performance.now() - savedAt > saveSeconds * 1000) await save()
        if (progress.stepInEpoch === perEpoch) break
      }
    }
    if (signal?.aborted) return { progress, updates, interrupted: await save() }
    if (progress.stepInEpoch === 0) fail(`no update in epoch ${epoch + 1}: too few pictures could be read`)

    const finished = await finishEpoch(run, learner, progress)
    if (finished === 'interrupted') return { progress, updates, interrupted: await save() }
    progress = finished.progress
    await tell({ kind: 'epoch', step: progress.step, ...finished.summary })
    const saved = await save()
    if (signal?.aborted && progress.epoch < recipe.epochs) return { progress, updates, interrupted: saved }
  }
  return { progress, updates }
}

const noSums: Progress['sums'] = { loss: 0, parts: {}, seconds: 0 }

const nothingDone = ({ recipe, fingerprint = '' }: TrainingRun): Progress => ({
  step: 0,
  epoch: 0,
  drawn: 0,
  stepInEpoch: 0,
  sums: noSums,
  skipped: [],
  seconds: 0,
  recipe,
  fingerprint,
})

function checkSameRun(before: Progress, { recipe, fingerprint = '', folder }: TrainingRun): void {
  const differences = recipeDifferences(before.recipe, recipe)
  if (differences.length > 0)
    fail(`${folder}: the run was started with other options, so it cannot go on exactly: ${differences.join('; ')}`)
  if (before.fingerprint !== fingerprint)
    fail(`${folder}: the run was started with another model, teacher or pictures, so it cannot go on exactly`)
}

const after = ({ loss, parts, drawn, seconds }: Update, progress: Progress): Progress => ({
  ...progress,
  step: progress.step + 1,
  stepInEpoch: progress.stepInEpoch + 1,
  drawn,
  seconds: progress.seconds + seconds,
  sums: {
    loss: progress.sums.loss + loss,
    parts: addParts(progress.sums.parts, parts),
    seconds: progress.sums.seconds + seconds,
  },
})

/** Evaluates weights and moving average, keeps the best, and turns to the next epoch. */
async function finishEpoch(
  run: TrainingRun,
  { parameters, average }: Learner,
  progress: Progress,
): Promise<'interrupted' | { readonly progress: Progress; readonly summary: EpochSummary }> {
  const { recipe, evaluateEvery = 1 } = run
  const { epoch, sums, stepInEpoch } = progress
  const isDue = (epoch + 1) % evaluateEvery === 0 || epoch + 1 === recipe.epochs
  const candidates = [
    { of: 'weights' as const, state: stateOf(parameters) },
    ...(average ? [{ of: 'average' as const, state: stateOf(parameters, average) }] : []),
  ]
  const evaluations: Partial<Record<Best['of'], Evaluation>> = {}
  let { best } = progress
  for (const { of, state } of isDue ? candidates : []) {
    const evaluation = await untilAborted(run.evaluate(state), run.signal)
    if (evaluation === undefined) return 'interrupted'
    evaluations[of] = evaluation
    if (isBetter(evaluation, best)) {
      best = { ...evaluation, epoch, of }
      await run.saveBest(state, best)
    }
  }
  const { weights: evaluation, average: ofAverage } = evaluations
  return {
    progress: {
      ...progress,
      epoch: epoch + 1,
      drawn: 0,
      stepInEpoch: 0,
      sums: noSums,
      ...(best && { best }),
    },
    summary: {
      epoch,
      loss: sums.loss / stepInEpoch,
      parts: addParts({}, sums.parts, 1 / stepInEpoch),
      seconds: sums.seconds,
      imagesPerSecond: (stepInEpoch * recipe.batch * recipe.accumulate) / sums.seconds,
      ...(evaluation && { evaluation }),
      ...(ofAverage && { average: ofAverage }),
    },
  }
}

/** More right answers; of equally many the lower loss. */
const isBetter = (found: Evaluation, best: Evaluation | undefined): boolean =>
  best === undefined || found.top1 > best.top1 || (found.top1 === best.top1 && found.loss < best.loss)

/** The work's result, or undefined as soon as the signal comes: an evaluation may take minutes. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  if (!signal) return work
  work.catch(() => {}) // after an interrupt nobody listens any more
  let stop = () => {}
  const aborted = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined)
  })
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop)
  try {
    return await Promise.race([aborted, work])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
