/**
 * SPViT (Kong et al., "Enabling Faster Vision Transformers via Soft Token Pruning", arXiv 2112.13890): before some blocks
 * a predictor that looks at every head's channels scores the image rows; those that are dropped are summed, each by its
 * chance to be kept, into one more row, a package, that stays to the end.
 *
 * The official training file, by which models are evaluated, lets every picture keep the rows whose chance is above a
 * half, and masks the others; `stay=picture` computes the same on the rows that stay. By default as many stay as the
 * model was trained to keep, so that all pictures cost the same. The official inference file takes the mean of dropped
 * rows instead, and packs the wrong rows.
 */

import type { Dim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { expandBatch, expandLike, reduceSum } from '../graph/ops/broadcast.js'
import { add, cast, div, gelu, less, mul, sigmoid, sub } from '../graph/ops/elementwise.js'
import { linear, matmul } from '../graph/ops/linear.js'
import { layerNorm, logSoftmax, softmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { rowMask, topK } from '../graph/ops/rows.js'
import { concat, reshape, slice, split } from '../graph/ops/shape.js'
import { batchRatioLoss } from '../losses/spvit.js'
import { type Block, residual } from './block.js'
import { dropPoints, keptLosses, predictorWeights } from './dynamicvit.js'
import type { Build, Form, Method, MethodPlan, Step } from './method.js'
import { denseBlock } from './none.js'
import { pack } from './packing.js'
import { policyAttention } from './policy.js'
import { choice, decide, gumbel } from './predictor.js'
import { appendRow, imageRows, keepRows, numbers, padRows, type Rows, rowCount } from './rows.js'
import { fallingKeep, type KeepRequest, keptSymbol, stageStarts } from './schedule.js'
import { oneOf } from './settings.js'

export interface SpvitSettings {
  /** How many rows stay: the plan's numbers (default), or those of every picture that are likelier kept than dropped. */
  readonly stay?: 'plan' | 'picture'
  /** What a package is: the sum of dropped rows by their chance (default), or their mean, as in the official inference. */
  readonly packages?: 'sum' | 'mean'
  /** In the masked form: attention has no ε, as in evaluation; default false, as in training. */
  readonly sharp?: boolean
}

/** Of the predictors' own LayerNorm; the model's is another. */
const EPSILON = 1e-5

/** Shares of all tokens that the published models are trained to keep. */
const PUBLISHED = [0.617, 0.369, 0.137]

/** What a predictor says of every row. */
export interface Prediction {
  /** `[B, m, H]`: how much each head's word counts, not normalised. */
  readonly heads: Tensor
  /** `[B, m, 2]`: log-probabilities to keep and to drop a row, averaged over heads: what decides. */
  readonly logs: Tensor
  /** `[B, m, 2]`: the same of probabilities: what weighs a dropped row. */
  readonly chances: Tensor
}

/**
 * Scores rows, one head's channels after the other; all heads share the weights.
 *
 * @param x - image rows and packages `[B, m, C]`
 * @param present - `[B, m]`: 1 for rows that count in the picture's mean; absent: all
 */
export function predict(weight: (name: string) => Tensor, x: Tensor, heads: number, present?: Tensor): Prediction {
  const layer = (name: string) => (t: Tensor) => linear(t, weight(`${name}.weight`), weight(`${name}.bias`))
  const [B, m, C] = x.shape as [Dim, Dim, number]
  const slices = reshape(x, [B, m, heads, C / heads]) // [B, m, H, d]
  const means = reduceMean(slices, [3]) // [B, m, H]
  const words = sigmoid(layer('senet.2')(gelu(layer('senet.0')(means)))) // [B, m, H]
  const y = layerNorm(slices, weight('in_conv.0.0.weight'), weight('in_conv.0.0.bias'), EPSILON) // [B, m, H, d]
  const [local, global] = split(gelu(layer('in_conv.0.1')(y)), 3, 2) as [Tensor, Tensor] // [B, m, H, d/2] each
  const counted = present && reshape(present, [B, m, 1, 1])
  const picture = counted
    ? div(reduceSum(mul(global, counted), [1], true), reduceSum(counted, [1], true))
    : reduceMean(global, [1], true) // [B, 1, H, d/2]
  const both = concat([local, expandLike(picture, local)], 3) // [B, m, H, d]
  const half = gelu(layer('out_conv.0.0')(both)) // [B, m, H, d/2]
  const logits = layer('out_conv.0.4')(gelu(layer('out_conv.0.2')(half))) // [B, m, H, 2]
  const weights = reshape(words, [B, m, heads, 1])
  const average = (t: Tensor) => div(reduceSum(mul(t, weights), [2]), reduceSum(weights, [2])) // [B, m, 2]
  return { heads: words, logs: average(logSoftmax(logits)), chances: average(softmax(logits)) }
}

/** Rows summed by weights, one a row: `[B, m]`, `[B, m, C]` → `[B, 1, C]`. */
const packageOf = (weights: Tensor, x: Tensor): Tensor =>
  matmul(reshape(weights, [weights.shape[0] as Dim, 1, weights.shape[1] as Dim]), x)

const ones = (like: Tensor, n: number): Tensor =>
  expandBatch(constant(like.graph, new Float32Array(n).fill(1), [1, n]), like) // [B, n]

/** What is known of a point, for comparison with other implementations. */
const seenOf = ({ heads, logs, chances }: Prediction, parcel: Tensor) => ({ heads, logs, chances, package: parcel })

/** Rows that stay, and the package of the others. State: packages so far, the last of the image rows. */
function gathered(build: Build, points: readonly number[], plan: MethodPlan & SpvitSettings): Form<number> {
  const { stay = 'plan', packages: kind = 'sum' } = plan
  const { graph, shape } = build
  const { heads: H = 1 } = shape

  function chosenOf(block: Block, margin: Tensor, present: Tensor | undefined) {
    if (stay === 'plan') {
      const kept = topK(margin, plan.keep[block.index] as number).indices // [B, K]
      return { kept, mask: rowMask(kept, margin.shape[1] as number) }
    }
    const likely = cast(less(scalar(graph, 0), margin), 'float32') // [B, m]
    const mask = present ? mul(likely, present) : likely // [B, m]
    const { places, real, counts: sizes } = pack(mask, keptSymbol(block.index))
    return { kept: places, mask, real, sizes: { [keptSymbol(block.index)]: sizes } }
  }

  function prune(block: Block, rows: Rows, packages: number): Omit<Step<number>, 'state' | 'tokens'> {
    const x = slice(rows.x, 1, rows.prefix) // [B, m, C]
    const present = rows.present && slice(rows.present, 1, rows.prefix) // [B, m]
    const prediction = predict(predictorWeights(build, points.indexOf(block.index)), x, H, present)
    const margins = sub(choice(prediction.logs, 0), choice(prediction.logs, 1)) // [B, m]
    const alone = (t: Tensor) => leading(t, packages) // [B, m - packages, …]
    const { kept, mask, real, sizes } = chosenOf(block, alone(margins), present && alone(present))
    const first = add(numbers(kept, packages, -packages), rowCount(rows)) // [B, packages]
    const all = packages > 0 ? concat([kept, first], 1) : kept
    const left = keepRows(rows, all) // [B, P + K + packages, C]
    const filled = real ? padRows(left, packages > 0 ? concat([real, ones(real, packages)], 1) : real) : left
    const dropped = sub(present ? alone(present) : scalar(graph, 1), mask) // [B, m - packages]
    const parcel =
      kind === 'sum'
        ? packageOf(mul(dropped, alone(choice(prediction.chances, 0))), alone(x))
        : meanOf(dropped, alone(x)) // [B, 1, C]
    return {
      rows: appendRow(filled, parcel, rows),
      kept,
      scores: margins,
      seen: seenOf(prediction, parcel),
      ...(sizes && { sizes }),
    }
  }
  return {
    start: () => 0,
    block(block, rows, packages, reads) {
      if (!points.includes(block.index)) return { ...denseBlock(block, rows, reads), state: packages }
      const pruned = prune(block, rows, packages)
      return { ...pruned, ...denseBlock(block, pruned.rows, reads), state: packages + 1 }
    },
  }
}

/** A tensor of rows without the last ones: `[B, m, …]` → `[B, m - count, …]`. */
const leading = (t: Tensor, count: number): Tensor => (count === 0 ? t : slice(t, 1, 0, -count))

/** The mean of rows of weight 1, 0 where there is none: `[B, 1, C]`. */
export function meanOf(weights: Tensor, x: Tensor): Tensor {
  const count = reduceSum(weights, [1], true) // [B, 1]
  const none = cast(less(count, scalar(count.graph, 0.5)), 'float32')
  return packageOf(div(weights, add(count, none)), x)
}

/** What the masked form carries: `[B, N0]`, 1 for tokens that are kept; and the number of packages. */
interface Policy {
  readonly tokens: Tensor
  readonly packages: number
}

/** All rows, of which those that are dropped are not attended to: the form of training, by chance. */
function masked(build: Build, points: readonly number[], { sharp = false }: SpvitSettings): Form<Policy> {
  const { tokens: N0, heads = 1 } = build.shape
  const epsilon = sharp ? 0 : undefined

  function prune(l: number, rows: Rows, before: Policy) {
    const x = slice(rows.x, 1, rows.prefix) // [B, m, C], m = N0 + packages
    const m = N0 + before.packages
    const present = before.packages > 0 ? concat([before.tokens, ones(x, before.packages)], 1) : before.tokens // [B, m]
    const prediction = predict(predictorWeights(build, points.indexOf(l)), x, heads, present)
    const image = (t: Tensor) => slice(t, 1, 0, N0) // [B, N0, …]
    const decided = image(decide(prediction.logs, build.input(`gumbel.${l}`, ['batch', m, 2]))) // [B, N0]
    const policy = mul(decided, before.tokens) // [B, N0]
    const weights = mul(sub(before.tokens, policy), image(choice(prediction.chances, 0))) // [B, N0]
    const parcel = packageOf(weights, image(x)) // [B, 1, C]
    return {
      rows: { ...rows, x: concat([rows.x, parcel], 1), ...places(x, before.packages + 1) }, // [B, n + 1, C]
      policy: { tokens: policy, packages: before.packages + 1 },
      seen: { ...seenOf(prediction, parcel), policy },
      scores: sub(choice(prediction.logs, 0), choice(prediction.logs, 1)), // [B, m]
    }
  }

  /** Tokens stay in their rows, packages began as none. */
  const places = (like: Tensor, packages: number) => ({
    home: numbers(like, N0), // [B, N0]
    places: concat([numbers(like, N0), ...Array.from({ length: packages }, () => numbers(like, 1, -1))], 1), // [B, m]
  })

  function run(block: Block, rows: Rows, { tokens, packages }: Policy): Rows {
    const [q, k, v] = block.queryKeyValue(block.norm1(rows.x)) // [B, n, C] each
    const always = [rows.prefix, packages].map((count) => (count > 0 ? [ones(tokens, count)] : []))
    const policy = concat([...(always[0] as Tensor[]), tokens, ...(always[1] as Tensor[])], 1) // [B, n]
    return { ...rows, x: residual(block, rows.x, policyAttention(block, q, k, v, policy, epsilon)) } // [B, n, C]
  }
  return {
    start: ({ x }) => ({ tokens: ones(x, N0), packages: 0 }),
    block(block, rows, before) {
      if (!points.includes(block.index))
        return { rows: run(block, rows, before), state: before, tokens: imageRows(rows) }
      const { policy, rows: more, ...told } = prune(block.index, rows, before)
      return {
        ...told,
        rows: run(block, more, policy),
        state: policy,
        tokens: imageRows(more),
        computed: policy.tokens,
      }
    },
  }
}

/** Image tokens that stay by block; where nothing is asked the shares of the published models, in four stages. */
function plan(request: KeepRequest, depth: number, tokens: number) {
  const { keepRatio, keepRatios, keepTokens } = request
  const asked = keepRatio ?? keepRatios ?? keepTokens
  const stages = stageStarts(depth)
  const published = Array.from(
    { length: depth },
    (_, l) => PUBLISHED[stages.filter((start) => start <= l).length - 1] ?? 1,
  )
  return fallingKeep('spvit', asked === undefined ? { keepRatios: published } : request, depth, tokens)
}

export const spvit: Method<SpvitSettings> = {
  name: 'spvit',
  summary: 'packs the tokens that a trained predictor scores least into one, before three blocks (SPViT)',
  keeps: `K, K², K³ of all tokens, as idle; without it ${PUBLISHED.join(', ')}`,
  paper: 'arXiv 2112.13890',
  shrinks: true,
  settings: {
    stay: {
      describes:
        'as many tokens stay as the plan says (plan, the default), or as each picture’s predictor says (picture)',
      ...oneOf('plan', 'picture'),
    },
  },
  plan: ({ stay, ...request }, { depth, tokens }) => ({
    ...plan(request, depth, tokens),
    ...(stay && { stay }),
  }),
  parameters({ width: C, heads: H = 1, tokens }, keep) {
    const d = C / H
    const half = Math.floor(H / 2)
    const layers = {
      'in_conv.0.0': [d],
      'in_conv.0.1': [d, d],
      'out_conv.0.0': [d / 2, d],
      'out_conv.0.2': [d / 4, d / 2],
      'out_conv.0.4': [2, d / 4],
      'senet.0': [half, H],
      'senet.2': [H, half],
    }
    return new Map(
      [...dropPoints(keep, tokens).keys()].flatMap((p) =>
        Object.entries(layers).flatMap(([name, shape]) => [
          [`score_predictor.${p}.${name}.weight`, shape] as const,
          [`score_predictor.${p}.${name}.bias`, shape.slice(0, 1)] as const,
        ]),
      ),
    )
  },
  ownsWeight: /^score_predictor\.\d+\.((in|out)_conv\.0\.\d|senet\.\d)\.(weight|bias)$/,
  most: ({ keep }, { tokens }) => Object.fromEntries(keep.map((_, l) => [keptSymbol(l), tokens])),
  learning: {
    forms: ['masked'],
    losses: keptLosses(({ taught }) => (taught ? batchRatioLoss : undefined)),
    noise: { gumbel },
  },
  open(build, { form, ...options }) {
    const points = dropPoints(options.keep, build.shape.tokens)
    return form === 'masked' ? masked(build, points, options) : gathered(build, points, options)
  },
}
