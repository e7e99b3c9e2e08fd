/** Learning to be idled, live: the embedded dense model before and after a short finetuning. */

import { openDataset } from '../data/open.js'
import { sceneSeeds } from '../data/scenes/scene.js'
import { preprocessOf } from '../images/preprocess.js'
import { finetune } from '../training/finetune.js'
import type { LogEntry } from '../training/log.js'
import { makeRecipe } from '../training/options.js'
import { loadModel } from '../weights/load.js'
import { measure, type Row } from './measure.js'
import { drawPictures } from './pictures.js'

/** What the model is trained with, and what it is tested at. */
const TRAINED_AT = 0.5
const TESTED_AT = [1, 0.7, 0.5]
/** Passes over the training pictures, each with a look at as many validation pictures, but at most so many. */
const EPOCHS = 4
const MOST_VALIDATION = 256

export interface FinetuneDemoOptions {
  /** Pictures to train on in all, over all epochs. */
  readonly trainImages: number
  /** Pictures of the table before and after. */
  readonly testImages: number
  /** The folder to write, as `idlevit finetune` does. */
  readonly out: string
  readonly onProgress?: (stage: string, done: number, total: number) => void
  /** Told of the accuracy at the trained keep ratio: before, and after every epoch. */
  readonly onAccuracy?: (told: {
    readonly epoch: number
    readonly top1Percent: number
    readonly images: number
  }) => void
}

/** Accuracy of the dense model under keep ratios, before and after. */
export interface FinetuneFindings {
  readonly keepRatio: number
  readonly before: readonly Row[]
  readonly after: readonly Row[]
  readonly trainImages: number
  readonly testImages: number
  /** Seconds of training, evaluation left out. */
  readonly seconds: number
}

/**
 * Finetunes the embedded dense model, which is its own teacher, with the recipe `quick`.
 *
 * @throws InputError when the folder holds a run already or cannot be written
 */
export async function finetuneDense(options: FinetuneDemoOptions): Promise<FinetuneFindings> {
  const { trainImages, testImages, out, onProgress, onAccuracy } = options
  const stage = (name: string) => (done: number, total: number) => onProgress?.(name, done, total)
  const dense = await loadModel('demo-dense')
  const drawing = stage('drawing pictures')
  const pictures = await drawPictures(dense, {
    count: testImages,
    masks: 0,
    shown: 0,
    onPicture: (done) => drawing(done, testImages),
  })
  const test = async (model: typeof dense, name: string) => {
    const settings = TESTED_AT.map((keepRatio) => ({ model, keepRatio, precision: 'fp32' }) as const)
    return (await measure(settings, pictures, { onRound: stage(name) })).rows
  }
  const before = await test(dense, 'evaluating before')
  const untrained = before.find(({ keepRatio }) => keepRatio === TRAINED_AT)
  if (untrained) onAccuracy?.({ epoch: 0, top1Percent: untrained.top1Percent, images: testImages })
  const perEpoch = Math.ceil(trainImages / EPOCHS)
  const training = await openDataset(`scenes:${sceneSeeds.train}:${perEpoch}`)
  const validation = await openDataset(`scenes:${sceneSeeds.validation}:${Math.min(MOST_VALIDATION, perEpoch)}`)
  const { progress } = await finetune({
    model: dense,
    teacher: dense,
    recipe: makeRecipe('quick', { epochs: EPOCHS, keep: { keepRatio: TRAINED_AT } }),
    training,
    validation,
    preprocess: preprocessOf(dense),
    out,
    onEvaluation: stage('evaluating'),
    onEntry(entry, _, updates) {
      if (entry.kind === 'step') onProgress?.('finetuning', entry.step, updates)
      if (entry.kind === 'epoch') onAccuracy?.({ epoch: entry.epoch + 1, ...bestOf(entry) })
    },
  })
  const after = await test(await loadModel(out), 'evaluating after')
  return { keepRatio: TRAINED_AT, before, after, trainImages, testImages, seconds: progress.seconds }
}

/** The better one of the weights and their moving average. */
function bestOf({ evaluation, average }: Extract<LogEntry, { kind: 'epoch' }>) {
  const [best] = [evaluation, average].flatMap((each) => each ?? []).sort((a, b) => b.top1 - a.top1)
  return { top1Percent: best?.top1Percent ?? Number.NaN, images: best?.images ?? 0 }
}
