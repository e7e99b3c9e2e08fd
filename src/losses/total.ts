/**
 * The finetuning loss: L = CE + α KL + β FEATURE + θ CUT (IdleViT, arXiv 2310.05654, equation 12), with α, β, θ =
 * 5, 500, 20 in the paper and in the official code's defaults.
 */

import { fail } from '../errors.js'
import type { Tensor } from '../graph/graph.js'
import { add, scale } from '../graph/ops/elementwise.js'
import type { Step } from '../reduction/method.js'
import { crossEntropy } from './classification.js'
import { type CutOptions, tokenCut } from './cut.js'
import { featureDistillation, logitDistillation } from './distillation.js'

/** Coefficients; 0 leaves a part out of the graph. */
export interface LossWeights {
  readonly classification: number
  readonly distillation: number
  readonly feature: number
  readonly cut: number
}

export type LossPart = keyof LossWeights

export const defaultWeights: LossWeights = { classification: 1, distillation: 5, feature: 500, cut: 20 }

/** What the loss is computed from. A part whose tensors are absent is left out. */
export interface LossInputs {
  /** The student's, `[B, classes]`. */
  readonly logits: Tensor
  /** The student's rows after the final LayerNorm, `[B, rows, C]`. */
  readonly features: Tensor
  /** What every block did. */
  readonly blocks: readonly { readonly step: Step<unknown> }[]
  /** `[B, classes]` */
  readonly targets: Tensor
  readonly teacher?: { readonly logits?: Tensor; readonly features?: Tensor } | undefined
}

export interface Loss {
  /** The weighted sum, a scalar. */
  readonly total: Tensor
  /** The parts before their coefficients, scalars. */
  readonly parts: Readonly<Partial<Record<LossPart, Tensor>>>
}

/**
 * Builds the loss and its parts.
 *
 * @throws InputError when no part is left
 */
export function totalLoss(from: LossInputs, weights: LossWeights = defaultWeights, cut: CutOptions = {}): Loss {
  const { logits, features, blocks, targets, teacher } = from
  const idle = blocks.filter(({ step }) => step.kept).map(({ step }) => step.attention)
  const parts: Partial<Record<LossPart, Tensor>> = {}
  if (weights.classification !== 0) parts.classification = crossEntropy(logits, targets)
  if (teacher?.logits && weights.distillation !== 0) parts.distillation = logitDistillation(logits, teacher.logits)
  if (teacher?.features && weights.feature !== 0) parts.feature = featureDistillation(features, teacher.features)
  if (idle.length > 0 && weights.cut !== 0) parts.cut = tokenCut(idle, cut)
  if (Object.keys(parts).length === 0) fail('loss: every coefficient is 0, wanted at least one part')
  const weighted = Object.entries(parts).map(([part, value]) => scale(value, weights[part as LossPart]))
  return { total: weighted.reduce(add), parts }
}
