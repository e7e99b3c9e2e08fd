/** Cross entropy against soft targets, as mixup, cutmix and label smoothing make them. */

import type { Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { mul, neg } from '../graph/ops/elementwise.js'
import { logSoftmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'

/**
 * mean_b( -Σ_c y log softmax(z) ).
 *
 * @param logits - `[B, classes]`
 * @param targets - `[B, classes]`, rows that sum to 1
 * @returns a scalar
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const perPicture = neg(reduceSum(mul(targets, logSoftmax(logits)), [1])) // [B]
  return reduceMean(perPicture, [0])
}
