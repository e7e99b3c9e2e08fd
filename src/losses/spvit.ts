/** What SPViT (arXiv 2112.13890) learns beside the classes: the shares of tokens kept, picture by picture or on the average. */

import { scalar, type Tensor } from '../graph/graph.js'
import { add, mul, sub } from '../graph/ops/elementwise.js'
import { reduceMean } from '../graph/ops/reduce.js'

/**
 * Σ over pruning points of (share kept in the whole batch - ratio wanted)², so that a picture may keep more than another;
 * without a teacher the official code asks it of every picture, as DynamicViT does.
 *
 * @param policies - by point, `[B, N0]`: 1 for tokens that are kept
 * @param ratios - by point, of all image tokens
 */
export function batchRatioLoss(policies: readonly Tensor[], ratios: readonly number[]): Tensor {
  return policies
    .map((policy, i) => {
      const error = sub(reduceMean(policy, [0, 1]), scalar(policy.graph, ratios[i] as number)) // []
      return mul(error, error)
    })
    .reduce(add)
}
