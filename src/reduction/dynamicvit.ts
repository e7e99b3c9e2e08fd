/**
 * DynamicViT (Rao et al., arXiv 2106.02034): before some blocks a small predictor scores the image rows, and those with
 * the least chance to be kept are dropped.
 */

import { constant, type Tensor } from '../graph/graph.js'
import { add, cast, detach, div, gelu, less, mul, scale, sub } from '../graph/ops/elementwise.js'
import { linear } from '../graph/ops/linear.js'
import { layerNorm, logSoftmax, softmax } from '../graph/ops/normalise.js'
import { expandLike, reduceMean, reduceSum } from '../graph/ops/reduce.js'
import { topK } from '../graph/ops/rows.js'
import { concat, expandBatch, reshape, slice, split } from '../graph/ops/shape.js'
import { ratioLoss, tokenLoss } from '../losses/dynamicvit.js'
import type { Random } from '../random.js'
import { type Block, residual } from './block.js'
import { type Build, type Form, type LossInputs, type Method, type MethodPlan, stateless } from './method.js'
import { denseBlock } from './none.js'
import { policyAttention } from './policy.js'
import { keepRows, type Rows } from './rows.js'
import { fallingKeep } from './schedule.js'

/** Of the predictors' own LayerNorm; the model's is another. */
const EPSILON = 1e-5

/** Where the plan drops rows: before every block that has fewer than the one before it. */
export const dropPoints = (keep: readonly (number | 'fed')[], tokens: number): number[] =>
  keep.flatMap((kept, l) => (kept === (keep[l - 1] ?? tokens) ? [] : [l]))

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

/** The weights of predictor number p. */
export const predictorWeights = (build: Build, p: number) => (name: string) =>
  build.weight(`score_predictor.${p}.${name}`)

export interface DynamicvitSettings {
  /** In the masked form the decisions come from inputs `policy.{block}`, `[B, N0]`, instead of the predictors. */
  readonly givenPolicy?: boolean
}

/** log-probabilities of an image row to be kept, `[B, m]`, of those of both choices `[B, m, 2]`. */
const choice = (chances: Tensor, i: number): Tensor => reshape(slice(chances, 2, i, i + 1), chances.shape.slice(0, 2))

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

/** All rows, and what is dropped is not attended to: the form of training. State: `[B, N0]`, 1 for rows that are kept. */
function masked(build: Build, points: readonly number[], given: boolean): Form<Tensor> {
  const { tokens } = build.shape
  const ones = (like: Tensor, n: number) => expandBatch(constant(like.graph, new Float32Array(n).fill(1), [1, n]), like)
  /** The mean over rows that are still kept: `[B, m, C/2]` → `[B, 1, C/2]`. */
  const keptMean = (policy: Tensor) => (half: Tensor) => {
    const weights = reshape(policy, [...policy.shape, 1]) // [B, m, 1]
    return div(reduceSum(mul(half, weights), [1], true), reduceSum(weights, [1], true)) // [B, 1, C/2]
  }
  function decision(l: number, rows: Rows, before: Tensor): { policy: Tensor; chances?: Tensor } {
    if (given) return { policy: build.input(`policy.${l}`, ['batch', tokens]) }
    const x = slice(rows.x, 1, rows.prefix) // [B, N0, C]
    const chances = predict(predictorWeights(build, points.indexOf(l)), x, keptMean(before)) // [B, N0, 2]
    return { policy: mul(decide(chances, build.input(`gumbel.${l}`, ['batch', tokens, 2])), before), chances }
  }
  function run(block: Block, rows: Rows, policy: Tensor): Rows {
    const [q, k, v] = block.queryKeyValue(block.norm1(rows.x)) // [B, N, C] each
    const all = concat([ones(policy, rows.prefix), policy], 1) // [B, N]
    return { ...rows, x: residual(block, rows.x, policyAttention(block, q, k, v, all)) } // [B, N, C]
  }
  return {
    start: ({ x }) => ones(x, tokens),
    block(block, rows, before) {
      const isPoint = points.includes(block.index)
      const { policy, chances } = isPoint ? decision(block.index, rows, before) : { policy: before }
      return {
        rows: run(block, rows, policy),
        state: policy,
        tokens,
        ...(isPoint && { computed: policy, seen: { policy } }),
        ...(chances && { scores: choice(chances, 0) }),
      }
    },
  }
}

/** The policies of all points, in order: `[B, N0]` each. */
const policiesOf = ({ steps }: LossInputs): Tensor[] => steps.flatMap(({ seen }) => seen?.policy ?? [])

/** The mean over points of how far the shares kept are from those wanted; see {@link ratioLoss}. */
function meanRatioLoss(from: LossInputs, { keep, ratios }: MethodPlan): Tensor | undefined {
  const { tokens } = from.shape
  const points = dropPoints(keep, tokens)
  if (points.length === 0) return undefined
  const wanted = points.map((l) => ratios?.[l] ?? (keep[l] as number) / tokens)
  return scale(ratioLoss(policiesOf(from), wanted), 1 / points.length)
}

/** The tokens that the last point keeps, held against the teacher's; see {@link tokenLoss}. */
function keptTokenLoss(from: LossInputs): Tensor | undefined {
  const policy = policiesOf(from).at(-1)
  if (!policy || !from.rows) return undefined
  const image = (rows: Tensor) => slice(rows, 1, from.shape.prefix) // [B, N0, C]
  return tokenLoss(image(from.rows.student), image(from.rows.teacher), policy)
}

/** A number of the Gumbel distribution, -log(-log u). */
const gumbel = (random: Random): number => -Math.log(-Math.log(Math.max(random.uniform(), Number.MIN_VALUE)))

export const dynamicvit: Method<DynamicvitSettings> = {
  name: 'dynamicvit',
  summary: 'drops the tokens that a trained predictor scores least, before three blocks',
  keeps: 'K, K², K³ of all tokens, as idle',
  paper: 'arXiv 2106.02034',
  shrinks: true,
  settings: {},
  plan: (request, { depth, tokens }) => fallingKeep('dynamicvit', request, depth, tokens),
  parameters({ width: C, tokens }, keep) {
    const shapes = new Map<string, readonly number[]>()
    for (const p of dropPoints(keep, tokens).keys()) {
      const layer = (name: string, shape: readonly number[]) => {
        shapes.set(`score_predictor.${p}.${name}.weight`, shape)
        shapes.set(`score_predictor.${p}.${name}.bias`, shape.slice(0, 1))
      }
      layer('in_conv.0', [C])
      layer('in_conv.1', [C, C])
      layer('out_conv.0', [C / 2, C])
      layer('out_conv.2', [C / 4, C / 2])
      layer('out_conv.4', [2, C / 4])
    }
    return shapes
  },
  ownsWeight: /^score_predictor\.\d+\.(in|out)_conv\.\d\.(weight|bias)$/,
  learning: {
    forms: ['masked'],
    losses: {
      ratio: { label: 'Distance to the shares of tokens to keep', weight: 2, compute: meanRatioLoss },
      token: {
        label: 'Distance of kept tokens to the teacher’s',
        weight: 0.5,
        comparesRows: true,
        compute: keptTokenLoss,
      },
    },
    noise: { gumbel },
  },
  open(build, { keep, form, givenPolicy = false }) {
    const points = dropPoints(keep, build.shape.tokens)
    if (form === 'masked') return masked(build, points, givenPolicy)
    return stateless((block, rows, reads) => {
      const point = points.indexOf(block.index)
      if (point < 0) return denseBlock(block, rows, reads)
      const x = slice(rows.x, 1, rows.prefix) // [B, m, C]
      const chances = predict(predictorWeights(build, point), x) // [B, m, 2]
      const scores = choice(chances, 0) // [B, m]
      const kept = topK(scores, keep[block.index] as number).indices // [B, K]
      return { ...denseBlock(block, keepRows(rows, kept), reads), kept, scores }
    })
  },
}
