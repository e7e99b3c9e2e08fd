/** Everything that decides what a training run computes, as one plain record. */

import type { AugmentRecipe } from '../images/augment/augment.js'
import type { MixOptions } from '../images/augment/mix.js'
import type { CutOptions } from '../losses/cut.js'
import type { LossWeights } from '../losses/total.js'
import type { Score } from '../reduction/idle-block.js'
import type { FormName } from '../reduction/method.js'
import type { MethodName, MethodSettings } from '../reduction/registry.js'
import type { KeepRequest, Stages } from '../reduction/schedule.js'
import type { Rate } from './rates.js'

/**
 * Rows whose features are distilled: of the class token (official code on DeiT), of all tokens, or of those that the last
 * idle block computed, channel by channel (official code on LV-ViT).
 */
export type FeatureRows = 'class' | 'all' | 'selected'

/** A base keep ratio, or two ends between which every step draws its own. */
export type KeepRatio = number | { readonly low: number; readonly high: number }

/** The tokens that training keeps. */
export interface TrainingKeep extends Omit<KeepRequest, 'keepRatio'> {
  readonly keepRatio?: KeepRatio
}

/** What a run computes. Survives JSON. */
export interface Recipe {
  /** Absent: `idle`. */
  readonly method?: MethodName
  /** Options of the method; the score of `idle` stands apart. */
  readonly settings?: MethodSettings
  readonly seed: number
  readonly epochs: number
  /** Pictures computed at once. */
  readonly batch: number
  /** Batches whose gradients make one update. */
  readonly accumulate: number
  /** Peak learning rate. */
  readonly lr: number
  readonly minLr: number
  /** Epochs of linear warm-up from `warmupLr`. */
  readonly warmupEpochs: number
  readonly warmupLr: number
  /** A new rate every update; or every epoch and one epoch late, as the official loop has it. */
  readonly schedule: 'step' | 'epoch-late'
  /** Decoupled, on matrices only. */
  readonly weightDecay: number
  /** Largest norm of the gradient; 0 for none. */
  readonly clip: number
  /** Decay of the moving average of the weights per update; 0 for none. */
  readonly emaDecay: number
  readonly keep: TrainingKeep
  /** All tokens until epoch `from`, then ever fewer until `keep` is reached at `until`; absent: `keep` from the start. */
  readonly shrink?: { readonly from: number; readonly until: number }
  /** Options of the method that hold in the first share of the epochs. */
  readonly early?: { readonly share: number; readonly settings: MethodSettings }
  /** Blocks that idle, where a base ratio is given. */
  readonly stages: Stages
  readonly score: Score
  readonly form: FormName
  readonly loss: LossWeights
  readonly cut: Required<CutOptions>
  /** Rows of the feature loss. */
  readonly featureRows: FeatureRows
  readonly smoothing: number
  readonly mix: MixOptions
  readonly augment: AugmentRecipe
  /** How often a drawn picture comes in an epoch, augmented differently (repeated augmentation). */
  readonly repeats: number
  /** Chance that a block's branch is left out, rising linearly with depth up to this. */
  readonly dropPath: number
  /** Parameters that stay as they are; `*` stands for any text. */
  readonly freeze: readonly string[]
  /** Factors of the learning rate; a parameter has that of the first which names it. */
  readonly rates?: readonly Rate[]
}

/** A recipe's fields, all optional; those of inner records as well. */
export type RecipeChanges = {
  readonly [K in keyof Recipe]?: Recipe[K] extends LossWeights | MixOptions | AugmentRecipe | Required<CutOptions>
    ? { readonly [F in keyof Recipe[K]]?: Recipe[K][F] | undefined }
    : Recipe[K] | undefined
}
