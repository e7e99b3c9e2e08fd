/** The predictor of DynamicViT (Rao et al., arXiv 2106.02034): a small network that scores image rows. */

import type { Tensor } from '../graph/graph.js'
import { expandLike } from '../graph/ops/broadcast.js'
import { add, cast, detach, gelu, less, sub } from '../graph/ops/elementwise.js'
import { linear } from '../graph/ops/linear.js'
import { layerNorm, logSoftmax, softmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { concat, reshape, slice, split } from '../graph/ops/shape.js'
import type { Random } from '../random.js'

/** Of the predictors' own LayerNorm; the model's is another. */
const EPSILON = 1e-5

/**
 * Log-probabilities of a predictor to keep (0) or drop (1) each row.
 *
 * Half of the channels describe a row itself, the other half, averaged over rows, the picture.
 *
 * @param x - image rows `[B, m, C]`
 * @param average - mean over rows `[B, m, C/2]` → `[B, 1, C/2]`; by default of all of them
 * @returns `[B, m, 2]`
 */
export function predict(
  weight: (name: string) => Tensor,
  x: Tensor,
  average = (half: Tensor) => reduceMean(half, [1], true),
): Tensor {
  const layer = (name: string) => (t: Tensor) => linear(t, weight(`${name}.weight`), weight(`${name}.bias`))
  const y = layerNorm(x, weight('in_conv.0.weight'), weight('in_conv.0.bias'), EPSILON) // [B, m, C]
  const [local, global] = split(gelu(layer('in_conv.1')(y)), 2, 2) as [Tensor, Tensor] // [B, m, C/2] each
  const both = concat([local, expandLike(average(global), local)], 2) // [B, m, C]
  const half = gelu(layer('out_conv.0')(both)) // [B, m, C/2]
  const quarter = gelu(layer('out_conv.2')(half)) // [B, m, C/4]
  return logSoftmax(layer('out_conv.4')(quarter)) // [B, m, 2]
}

/** The weights of a predictor for rows of width C, with their shapes, under their names behind `path`. */
export function predictorParameters(path: string, C: number): [string, readonly number[]][] {
  const layers: [string, readonly number[]][] = [
    ['in_conv.0', [C]],
    ['in_conv.1', [C, C]],
    ['out_conv.0', [C / 2, C]],
    ['out_conv.2', [C / 4, C / 2]],
    ['out_conv.4', [2, C / 4]],
  ]
  return layers.flatMap(([name, shape]) => [
    [`${path}.${name}.weight`, shape],
    [`${path}.${name}.bias`, shape.slice(0, 1)],
  ])
}

/** log-probabilities of a choice, `[B, m]`, of those of both `[B, m, 2]`: 0 to keep a row, 1 to drop it. */
export const choice = (chances: Tensor, i: number): Tensor =>
  reshape(slice(chances, 2, i, i + 1), chances.shape.slice(0, 2))

/**
 * Keeps or drops each row by chance, with the gradient of the chance: Gumbel-softmax at temperature 1, straight through
 * (Jang et al., arXiv 1611.01144).
 *
 * @param chances - log-probabilities `[B, m, 2]`
 * @param noise - Gumbel noise `[B, m, 2]`
 * @returns `[B, m]`: 1 or 0
 */
export function decide(chances: Tensor, noise: Tensor): Tensor {
  const perturbed = add(chances, noise) // [B, m, 2]
  const soft = choice(softmax(perturbed), 0) // [B, m]
  const hard = cast(less(choice(perturbed, 1), choice(perturbed, 0)), 'float32') // [B, m]
  return add(sub(hard, detach(soft)), soft) // [B, m]
}

/** A number of the Gumbel distribution, -log(-log u). */
export const gumbel = (random: Random): number => -Math.log(-Math.log(Math.max(random.uniform(), Number.MIN_VALUE)))
