/**
 * DynamicViT (Rao et al., arXiv 2106.02034): before some blocks a small predictor scores the image rows, and those with
 * the least chance to be kept are dropped.
 */

import { constant, type Tensor } from '../graph/graph.js'
import { expandBatch, reduceSum } from '../graph/ops/broadcast.js'
import { div, mul, scale } from '../graph/ops/elementwise.js'
import { topK } from '../graph/ops/rows.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import { ratioLoss, tokenLoss } from '../losses/dynamicvit.js'
import { type Block, residual } from './block.js'
import {
  type Build,
  type Form,
  type LossInputs,
  type Method,
  type MethodPlan,
  type OwnLoss,
  stateless,
} from './method.js'
import { denseBlock } from './none.js'
import { policyAttention } from './policy.js'
import { choice, decide, gumbel, predict, predictorParameters } from './predictor.js'
import { keepRows, type Rows } from './rows.js'
import { fallingKeep } from './schedule.js'

/** Where the plan drops rows: before every block that has fewer than the one before it. */
export const dropPoints = (keep: readonly (number | 'fed')[], tokens: number): number[] =>
  keep.flatMap((kept, l) => (kept === (keep[l - 1] ?? tokens) ? [] : [l]))

/** The weights of predictor number p. */
export const predictorWeights = (build: Build, p: number) => (name: string) =>
  build.weight(`score_predictor.${p}.${name}`)

export interface DynamicvitSettings {
  /** In the masked form the decisions come from inputs `policy.{block}`, `[B, N0]`, instead of the predictors. */
  readonly givenPolicy?: boolean
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
    return { ...rows, x: residual(block, rows.x, policyAttention(block, q, k, v, all)), present: all } // [B, N, C]
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
export const policiesOf = ({ steps }: LossInputs): Tensor[] => steps.flatMap(({ seen }) => seen?.policy ?? [])

/** The mean over points of how far the shares kept are from those wanted, by a sum over points such as {@link ratioLoss}. */
function meanRatioLoss(from: LossInputs, { keep, ratios }: MethodPlan, sum = ratioLoss): Tensor | undefined {
  const { tokens } = from.shape
  const points = dropPoints(keep, tokens)
  if (points.length === 0) return undefined
  const wanted = points.map((l) => ratios?.[l] ?? (keep[l] as number) / tokens)
  return scale(sum(policiesOf(from), wanted), 1 / points.length)
}

/** The tokens that the last point keeps, held against the teacher's; see {@link tokenLoss}. */
function keptTokenLoss(from: LossInputs): Tensor | undefined {
  const policy = policiesOf(from).at(-1)
  if (!policy || !from.rows) return undefined
  const image = (rows: Tensor) => slice(rows, 1, from.shape.prefix) // [B, N0, C]
  return tokenLoss(image(from.rows.student), image(from.rows.teacher), policy)
}

/** What methods learn that keep tokens by a predictor: how many, and those of the teacher. */
export const keptLosses = (
  sum?: (from: LossInputs) => typeof ratioLoss | undefined,
): { readonly ratio: OwnLoss; readonly token: OwnLoss } => ({
  ratio: {
    label: 'Distance to the shares of tokens to keep',
    weight: 2,
    compute: (from, plan) => meanRatioLoss(from, plan, sum?.(from)),
  },
  token: {
    label: 'Distance of kept tokens to the teacher’s',
    weight: 0.5,
    comparesRows: true,
    compute: keptTokenLoss,
  },
})

export const dynamicvit: Method<DynamicvitSettings> = {
  name: 'dynamicvit',
  summary: 'drops the tokens that a trained predictor scores least, before three blocks',
  keeps: 'K, K², K³ of all tokens, as idle',
  paper: 'arXiv 2106.02034',
  shrinks: true,
  settings: {},
  plan: (request, { depth, tokens }) => fallingKeep('dynamicvit', request, depth, tokens),
  parameters: ({ width, tokens }, keep) =>
    new Map([...dropPoints(keep, tokens).keys()].flatMap((p) => predictorParameters(`score_predictor.${p}`, width))),
  ownsWeight: /^score_predictor\.\d+\.(in|out)_conv\.\d\.(weight|bias)$/,
  learning: {
    forms: ['masked'],
    losses: keptLosses(),
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
