/**
 * What a student learns from its dense teacher: the logits and the features (IdleViT, arXiv 2310.05654, section 3.4).
 *
 * The paper speaks of the mean squared error of features; the official code normalises them first, and so does this.
 */

import type { Tensor } from '../graph/graph.js'
import { scalar } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, div, exp, mul, sqrt, sub } from '../graph/ops/elementwise.js'
import { logSoftmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'

/**
 * Kullback-Leibler divergence of the student's distribution from the teacher's, at temperature 1:
 * (1/B) Σ_b Σ_c p_t (log p_t - log p_s).
 *
 * @param student - logits `[B, classes]`
 * @param teacher - logits `[B, classes]`; no gradient is wanted
 * @returns a scalar
 */
export function logitDistillation(student: Tensor, teacher: Tensor): Tensor {
  const target = logSoftmax(teacher) // [B, classes]
  const perPicture = reduceSum(mul(exp(target), sub(target, logSoftmax(student))), [1]) // [B]
  return reduceMean(perPicture, [0])
}

/**
 * Mean squared error between features of length 1 along an axis: 2, the channels of every row, or 1, the rows of every
 * channel (official code on LV-ViT).
 *
 * @param student - `[B, rows, C]` after the final LayerNorm: the class token alone (official code on DeiT) or all tokens
 * @param teacher - the same of the teacher
 * @returns a scalar
 */
export function featureDistillation(student: Tensor, teacher: Tensor, axis: 1 | 2 = 2): Tensor {
  const error = sub(unitLength(student, axis), unitLength(teacher, axis)) // [B, rows, C]
  return reduceMean(
    mul(error, error),
    error.shape.map((_, axis) => axis),
  )
}

/** Squared length below which a feature counts as zero; the square of PyTorch's `normalize` epsilon. */
const TINY = 1e-24

/** x / |x| along an axis. */
function unitLength(x: Tensor, axis: number): Tensor {
  const square = reduceSum(mul(x, x), [axis], true)
  return div(x, sqrt(add(square, scalar(x.graph, TINY))))
}
