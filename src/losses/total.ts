/**
 * The finetuning loss: the weighted sum of its parts. IdleViT's is L = CE + α KL + β FEATURE + θ CUT (arXiv 2310.05654,
 * equation 12), with α, β, θ = 5, 500, 20 in the paper and in the official code's defaults; the first three serve every
 * method, the others are a method's own.
 */

import { fail } from '../errors.js'
import type { Tensor } from '../graph/graph.js'
import { add, scale } from '../graph/ops/elementwise.js'
import { crossEntropy } from './classification.js'
import { featureDistillation, logitDistillation } from './distillation.js'

/** Coefficients by part, those of a method's own losses among them; 0 leaves a part out of the graph. */
export interface LossWeights {
  readonly classification: number
  readonly distillation: number
  readonly feature: number
  readonly [own: string]: number
}

/** What the loss is computed from. A part whose tensors are absent is left out. */
export interface CommonLossInputs {
  /** The student's, `[B, classes]`. */
  readonly logits: Tensor
  /** The student's rows after the final LayerNorm, `[B, rows, C]`. */
  readonly features: Tensor
  /** `[B, classes]` */
  readonly targets: Tensor
  readonly teacher?: { readonly logits?: Tensor; readonly features?: Tensor } | undefined
  /** The axis along which features have length 1; default 2, their channels. */
  readonly featureAxis?: 1 | 2
}

export interface Loss {
  /** The weighted sum, a scalar. */
  readonly total: Tensor
  /** The parts before their coefficients, scalars. */
  readonly parts: Readonly<Record<string, Tensor>>
}

/**
 * Builds the loss and its parts.
 *
 * @param own - a method's own losses by name, scalars before their coefficients
 * @throws InputError when no part is left
 */
export function totalLoss(
  { logits, features, targets, teacher, featureAxis }: CommonLossInputs,
  weights: LossWeights,
  own: Readonly<Record<string, Tensor>> = {},
): Loss {
  const parts: Record<string, Tensor> = {}
  if (weights.classification !== 0) parts.classification = crossEntropy(logits, targets)
  if (teacher?.logits && weights.distillation !== 0) parts.distillation = logitDistillation(logits, teacher.logits)
  if (teacher?.features && weights.feature !== 0)
    parts.feature = featureDistillation(features, teacher.features, featureAxis)
  Object.assign(parts, own)
  if (Object.keys(parts).length === 0) fail('loss: every coefficient is 0, wanted at least one part')
  const weighted = Object.entries(parts).map(([part, value]) => scale(value, weights[part] ?? 0))
  return { total: weighted.reduce(add), parts }
}
