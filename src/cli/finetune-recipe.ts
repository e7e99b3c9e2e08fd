/** How the options of `idlevit finetune` change a preset's recipe. */

import { parseRandAugment, type RandAugment } from '../images/augment/randaugment.js'
import type { CutKind } from '../losses/cut.js'
import { checkSetting } from '../reduction/registry.js'
import { checkLosses } from '../training/losses.js'
import type { RecipeChanges } from '../training/recipe.js'
import { readPlan } from '../tune/plan-file.js'
import type { FinetuneOptions } from './finetune-options.js'
import { readChoice, type SharedOptions, singleNetMethod } from './options.js'

/** Options of the token cut loss. */
const cutOptions = {
  cutLoss: '--cut-loss',
  cutWeight: '--cut-weight',
  cutReduction: '--cut-reduction',
  cutBlocks: '--cut-blocks',
} as const

/**
 * What the options change of the preset.
 *
 * @throws InputError on an option of another method
 */
export function recipeChanges(options: FinetuneOptions): RecipeChanges {
  const { lossWeight = [] } = options
  const plan = options.plan === undefined ? undefined : readPlan(options.plan)
  const method = plan?.reduction.method ?? singleNetMethod(options) ?? 'idle'
  for (const [name, called] of Object.entries(cutOptions))
    if (options[name as keyof typeof cutOptions] !== undefined) checkLosses(['cut'], method, () => called)
  if (options.score !== undefined) checkSetting(method, 'score', '--score')
  checkLosses(
    lossWeight.map(({ name }) => name),
    method,
    (part) => `--loss-weight ${part}`,
  )
  const { method: _, score, ...settings } = readChoice(shared(options))
  const { keepRatio, keepRatios, cutLoss, augment } = options
  const keepTokens = plan?.reduction.keepTokens ?? options.keepTokens
  const keep = {
    ...(keepRatio !== undefined && { keepRatio }),
    ...(keepRatios !== undefined && { keepRatios }),
    ...(keepTokens !== undefined && { keepTokens }),
  }
  const changes: RecipeChanges = {
    method: method === 'idle' ? undefined : method,
    settings: Object.keys(settings).length > 0 ? settings : undefined,
    rates: options.lrFactor,
    shrink: options.shrink,
    seed: options.seed,
    epochs: options.epochs,
    batch: options.batch,
    accumulate: options.accumulate,
    lr: options.lr,
    minLr: options.minLr,
    warmupEpochs: options.warmupEpochs,
    weightDecay: options.weightDecay,
    clip: options.clip,
    emaDecay: options.ema,
    keep: Object.keys(keep).length > 0 ? keep : undefined,
    score,
    form: options.form,
    loss: {
      classification: options.classificationWeight,
      distillation: options.distillationWeight,
      feature: options.featureWeight,
      ...(method === 'idle' && { cut: cutLoss === 'none' ? 0 : options.cutWeight }),
      ...Object.fromEntries(lossWeight.map(({ name, value }) => [name, value])),
    },
    cut: {
      kind: cutLoss === 'none' ? undefined : (cutLoss satisfies CutKind | undefined),
      reduction: options.cutReduction,
      blocks: options.cutBlocks,
    },
    featureRows: options.featureRows,
    smoothing: options.smoothing,
    mix: { mixup: options.mixup, cutmix: options.cutmix },
    augment: { scale: options.cropScale, flip: options.flip, erase: options.erase },
    repeats: options.repeats,
    dropPath: options.dropPath,
    freeze: options.freeze,
  }
  return augment === undefined
    ? changes
    : { ...changes, augment: { ...changes.augment, randAugment: policyOf(augment) } }
}

/** The options that other commands have as well. */
const shared = ({ keepRatio: _, ...options }: FinetuneOptions): SharedOptions => options

/** A RandAugment policy; `none` does nothing. */
const policyOf = (policy: string): RandAugment =>
  policy === 'none' ? { operations: 0, probability: 0, magnitude: 0, deviation: 0 } : parseRandAugment(policy)
