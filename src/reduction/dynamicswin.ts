/**
 * DynamicSwin (Rao et al., "Dynamic Spatial Sparsification for Efficient Vision Transformers and Convolutional Neural
 * Networks", arXiv 2207.01580): in the third stage of a Swin predictors choose, before some blocks, the tokens that take the
 * full MLP; the others take a light path, LayerNorm and one linear layer. Attention stays dense, nothing is dropped.
 *
 * Names are those of the official code (raoyongming/DynamicViT, dyswin.py).
 */

import { fail } from '../errors.js'
import { scalar, type Tensor } from '../graph/graph.js'
import { add, mul, scale, sub } from '../graph/ops/elementwise.js'
import { linear } from '../graph/ops/linear.js'
import { layerNorm } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { gatherRows, rowMask, scatterRows, selectRows, topK } from '../graph/ops/rows.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import { ratioLoss } from '../losses/dynamicvit.js'
import type { Block } from './block.js'
import {
  type Build,
  type Form,
  type LossInputs,
  type Method,
  type MethodPlan,
  type ModelShape,
  type StageShape,
  type Step,
  tokensByBlock,
} from './method.js'
import { denseBlock, windowAttention } from './none.js'
import { choice, decide, gumbel, predict, predictorParameters } from './predictor.js'
import type { Rows } from './rows.js'
import { checkRequest, type KeepPlan, type KeepRequest } from './schedule.js'

/** The stage that is sparse. */
const SPARSE = 2

/** From this many blocks on a stage decides before every second block. */
const DEEP = 18

/** Predictors, and by how much each keeps less than the one before it. */
const [POINTS, STEP] = [3, 0.2]

/** Of the light path's LayerNorm. */
const EPSILON = 1e-5

/** The sparse stage. */
function sparseStage({ stages = [] }: ModelShape): StageShape {
  return stages[SPARSE] ?? fail(`dynamicswin: wanted a model of at least ${SPARSE + 1} stages, found ${stages.length}`)
}

/** Blocks of the model before which a predictor decides: 1, 2, 3 of the stage, or 2, 4, 6 of a deep one. */
function usualPoints(stage: StageShape): number[] {
  const every = stage.depth >= DEEP ? 2 : 1
  return Array.from({ length: POINTS }, (_, p) => stage.first + (p + 1) * every).filter(
    (block) => block < stage.first + stage.depth,
  )
}

/** Where a plan decides: before every block of the sparse stage that keeps another number than the one before it. */
function pointsOf(keep: readonly (number | 'fed')[], { first, depth, tokens }: StageShape): number[] {
  return Array.from({ length: depth }, (_, b) => first + b).filter((l) => {
    const before = l === first ? tokens : keep[l - 1]
    return keep[l] !== before
  })
}

function plan(request: KeepRequest, shape: ModelShape): KeepPlan {
  const stage = sparseStage(shape)
  const all = tokensByBlock(shape)
  checkRequest(request, shape.depth, Math.max(...all))
  const { keepRatio = 1, keepRatios, keepTokens } = request
  const points = usualPoints(stage)
  const least = STEP * (points.length - 1)
  if (keepRatio <= least)
    fail(
      `dynamicswin: each of its predictors keeps ${STEP} less than the one before: wanted a keep ratio above ${least}, found ${keepRatio}`,
    )
  const ratioOf = (l: number): number => {
    const passed = keepRatio === 1 || l >= stage.first + stage.depth ? 0 : points.filter((point) => point <= l).length
    // 0.7 - 0.2 is 0.5 here, not the 0.49999999999999994 of floating point, which would keep one token less.
    return passed === 0 ? 1 : Number((keepRatio - STEP * (passed - 1)).toFixed(9))
  }
  const ratios = keepTokens?.map((n, l) => n / (all[l] as number)) ?? keepRatios ?? all.map((_, l) => ratioOf(l))
  const keep = keepTokens ?? ratios.map((ratio, l) => Math.max(1, Math.trunc((all[l] as number) * ratio)))
  const outside = keep.findIndex((n, l) => n !== all[l] && (l < stage.first || l >= stage.first + stage.depth))
  if (outside >= 0)
    fail(
      `dynamicswin: only stage ${SPARSE} is sparse, but block ${outside} keeps ${keep[outside]} of ${all[outside]} tokens`,
    )
  return { keep, ratios, warnings: [] }
}

/** The light path of a block, in place of its MLP. */
function lightPath(build: Build, { first }: StageShape, block: Block): (x: Tensor) => Tensor {
  const w = (name: string) => build.weight(`layers.${SPARSE}.blocks.${block.index - first}.fastmlp.fc1.${name}`)
  return (x) => linear(layerNorm(x, w('0.weight'), w('0.bias'), EPSILON), w('1.weight'), w('1.bias'))
}

/** What was decided last. */
interface State {
  /** int64 `[B, N]`: tokens by score, best first. */
  readonly order?: Tensor
  /** In training `[B, N]`: 1 for tokens that take the full MLP. */
  readonly policy?: Tensor
}

function open(build: Build, { keep, form }: MethodPlan): Form<State> {
  const stage = sparseStage(build.shape)
  const points = pointsOf(keep, stage)
  /** Log-probabilities of predictor p: `[B, N, 2]`. */
  const chancesOf = (p: number, rows: Rows) =>
    predict((name) => build.weight(`layers.${SPARSE}.score_predictor.${p}.${name}`), rows.x)
  return {
    start: () => ({}),
    block(block, rows, before, reads): Step<State> {
      const { index } = block
      const sparse = index >= (points[0] ?? Number.POSITIVE_INFINITY) && index < stage.first + stage.depth
      if (!sparse) return { ...denseBlock(block, rows, reads), state: {} }
      const K = keep[index] as number
      const t = add(rows.x, block.project(windowAttention(block, block.norm1(rows.x)))) // [B, N, C]
      const light = lightPath(build, stage, block)
      const point = points.indexOf(index)
      const chances = point < 0 ? undefined : chancesOf(point, rows)
      const scores = chances && choice(chances, 0) // [B, N]
      if (form === 'masked') {
        const policy = chances
          ? decide(chances, build.input(`gumbel.${index}`, ['batch', stage.tokens, 2]))
          : (before.policy as Tensor)
        return {
          ...mixed(block, light, rows, t, policy),
          state: { policy },
          tokens: K,
          ...(scores && { scores, seen: { policy } }),
        }
      }
      const order = scores ? topK(scores, stage.tokens).indices : (before.order as Tensor) // [B, N]
      const kept = slice(order, 1, 0, K) // [B, K]
      const paths = [{ at: kept, path: block.feedForward }]
      if (K < stage.tokens) paths.push({ at: slice(order, 1, K), path: light })
      const updated = paths.map(({ at, path }) => {
        const some = gatherRows(t, selectRows(at, stage.tokens)) // [B, K or N - K, C]
        return add(some, path(some))
      })
      const x = scatterRows(t, selectRows(order, stage.tokens), concat(updated, 1)) // [B, N, C]
      return {
        rows: { ...rows, x },
        state: { order },
        tokens: K,
        kept,
        computed: rowMask(kept, stage.tokens),
        ...(scores && { scores }),
      }
    },
  }
}

/** Both paths for every token, mixed by the policy: the form of training. */
function mixed(block: Block, light: (x: Tensor) => Tensor, rows: Rows, t: Tensor, policy: Tensor) {
  const gate = reshape(policy, [...policy.shape, 1]) // [B, N, 1]
  const other = sub(scalar(gate.graph, 1), gate) // [B, N, 1]
  const x = add(t, add(mul(gate, block.feedForward(t)), mul(other, light(t)))) // [B, N, C]
  return { rows: { ...rows, x }, computed: policy }
}

/** The policies of all points, in order: `[B, N]` each. */
const policiesOf = ({ steps }: LossInputs): Tensor[] => steps.flatMap(({ seen }) => seen?.policy ?? [])

/** The mean over points of how far the shares are from those wanted; see {@link ratioLoss}. */
function meanRatioLoss(from: LossInputs, { keep, ratios }: MethodPlan): Tensor | undefined {
  const stage = sparseStage(from.shape)
  const points = pointsOf(keep, stage)
  if (points.length === 0) return undefined
  const wanted = points.map((l) => ratios?.[l] ?? (keep[l] as number) / stage.tokens)
  return scale(ratioLoss(policiesOf(from), wanted), 1 / points.length)
}

/** How far all tokens that are read out are from the teacher's. */
function everyTokenLoss({ rows }: LossInputs): Tensor | undefined {
  if (!rows) return undefined
  const error = sub(rows.student, rows.teacher) // [B, N, C]
  return reduceMean(mul(error, error), [0, 1, 2])
}

export const dynamicswin: Method = {
  name: 'dynamicswin',
  summary:
    'Swin: predictors choose the tokens of the third stage that take the full MLP, others a light one (DynamicSwin)',
  keeps: 'K, K - 0.2, K - 0.4 of the third stage',
  paper: 'arXiv 2207.01580',
  shrinks: false,
  windows: 'only',
  settings: {},
  plan,
  parameters(shape, keep) {
    const stage = sparseStage(shape)
    const points = pointsOf(keep, stage)
    const { width: C } = stage
    const predictors = points.flatMap((_, p) => predictorParameters(`layers.${SPARSE}.score_predictor.${p}`, C))
    const blocks = Array.from({ length: stage.depth }, (_, b) => b).filter(
      (b) => stage.first + b >= (points[0] ?? Number.POSITIVE_INFINITY),
    )
    const light = blocks.flatMap((b): [string, readonly number[]][] => {
      const path = `layers.${SPARSE}.blocks.${b}.fastmlp.fc1`
      return [
        [`${path}.0.weight`, [C]],
        [`${path}.0.bias`, [C]],
        [`${path}.1.weight`, [C, C]],
        [`${path}.1.bias`, [C]],
      ]
    })
    return new Map([...predictors, ...light])
  },
  ownsWeight: /^layers\.\d+\.(score_predictor\.\d+\.(in|out)_conv\.\d|blocks\.\d+\.fastmlp\.fc1\.[01])\.(weight|bias)$/,
  learning: {
    forms: ['masked'],
    losses: {
      ratio: { label: 'Distance to the shares of tokens to keep', weight: 10, compute: meanRatioLoss },
      token: {
        label: 'Distance of all tokens to the teacher’s',
        weight: 0.5,
        comparesRows: true,
        compute: everyTokenLoss,
      },
    },
    noise: { gumbel },
  },
  open,
}
