/** What DynamicViT (arXiv 2106.02034, equations 12 to 16) learns beside the classes: ratios kept, and its teacher's tokens. */

import { scalar, type Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, cast, div, equal, less, mul, sub } from '../graph/ops/elementwise.js'
import { reduceMean } from '../graph/ops/reduce.js'

/**
 * Σ over pruning points of the mean over pictures of (share kept - ratio wanted)². The official loss divides it by the
 * number of points and weighs it by 2.
 *
 * @param policies - by point, `[B, N0]`: 1 for tokens that are kept
 * @param ratios - by point, of all image tokens
 */
export function ratioLoss(policies: readonly Tensor[], ratios: readonly number[]): Tensor {
  return policies
    .map((policy, i) => {
      const error = sub(reduceMean(policy, [1]), scalar(policy.graph, ratios[i] as number)) // [B]
      return reduceMean(mul(error, error), [0])
    })
    .reduce(add)
}

/**
 * Mean squared distance of the kept tokens from the teacher's, 0 where no picture keeps any.
 *
 * @param student - image rows after the final LayerNorm `[B, N0, C]`
 * @param teacher - the same of the teacher
 * @param policy - of the last pruning point `[B, N0]`
 */
export function tokenLoss(student: Tensor, teacher: Tensor, policy: Tensor): Tensor {
  const { graph } = student
  const kept = cast(less(scalar(graph, 0.5), policy), 'float32') // [B, N0]
  const error = sub(student, teacher) // [B, N0, C]
  const perToken = reduceMean(mul(error, error), [2]) // [B, N0]
  const count = reduceSum(kept, [0, 1]) // []
  const none = cast(equal(count, scalar(graph, 0)), 'float32')
  return div(reduceSum(mul(perToken, kept), [0, 1]), add(count, none))
}
