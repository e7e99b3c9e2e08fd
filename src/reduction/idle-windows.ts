/**
 * Token idling on a pyramid of windows: this project's own reading of IdleViT's Table 3 (arXiv 2310.05654), whose code was
 * not released.
 *
 * Two variants. `block`: a token idles through the whole block; every window computes as many of its best tokens, so that
 * windows stay rectangular, with the bias of their relative positions and the mask of the shift among these. `ffn`: attention
 * stays dense, and the best tokens of the whole map take the MLP. Idle tokens keep their value and their place, so patch
 * merging finds the full map.
 *
 * And the control that the table holds idling against: tokens that are not chosen are dead, in that stage and all later
 * ones; they are zero, nothing attends to them, and merging mixes them with the living.
 */

import { fail } from '../errors.js'
import type { Dim } from '../graph/dims.js'
import { scalar, type Tensor } from '../graph/graph.js'
import { attend, mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, detach, exp, mul, scale, sqrt, sub } from '../graph/ops/elementwise.js'
import { softmax } from '../graph/ops/normalise.js'
import { reduceMax, reduceMean } from '../graph/ops/reduce.js'
import { gatherRows, rowMask, scatterRows, selectRows, topK } from '../graph/ops/rows.js'
import { reshape } from '../graph/ops/shape.js'
import { type Block, residual, type Windows } from './block.js'
import type { Build, Form, MethodPlan, ModelShape, StageShape, Step } from './method.js'
import { denseBlock } from './none.js'
import { choice, predict, predictorParameters } from './predictor.js'
import type { Rows } from './rows.js'
import type { KeepPlan, KeepRequest } from './schedule.js'
import { planPyramid, stageByBlock } from './stages.js'

/**
 * What ranks tokens within windows: attention that a token receives on average in its window (`received`), the length of its
 * row (`norm`), both this project's own and without training; or DynamicViT's predictor, as in the paper, trained.
 */
export type WindowRanking = 'received' | 'norm' | 'predictor'

export const windowRankings: readonly WindowRanking[] = ['received', 'norm', 'predictor']

/** What idles: the whole block, or the MLP alone. */
export type Variant = 'block' | 'ffn'

export const variants: readonly Variant[] = ['block', 'ffn']

/** What may be asked of idling on a pyramid. */
export interface WindowSettings {
  readonly variant?: Variant
  readonly ranking?: WindowRanking
  /** Tokens that are not chosen are dead: the control. */
  readonly dead?: boolean
}

/**
 * The plan of a pyramid.
 *
 * @throws InputError on what a pyramid has not
 */
export function planWindows(
  { score, ranking = 'received', variant, dead = false, ...request }: KeepRequest & Asked,
  shape: ModelShape,
): KeepPlan & WindowSettings {
  const known = windowRankings.find((name) => name === ranking)
  if (!known) return fail(`ranking: wanted ${windowRankings.join(', ')} for a Swin, found ${ranking}`)
  if (score === 'logits') fail('score: logits are of a class token, found a Swin, which has none')
  if (dead && variant) fail('dead and variant: wanted one of them, dead tokens are in no part of a block')
  const plan = planPyramid(request, shape, !dead && variant !== 'ffn')
  if (dead) checkFalling(plan.keep, shape)
  return { ...plan, ranking: known, ...(dead ? { dead } : { variant: variant ?? 'block' }) }
}

/** Options of idling as they come, those of other backbones among them. */
interface Asked {
  readonly score?: string | undefined
  readonly ranking?: string | undefined
  readonly variant?: Variant | undefined
  readonly dead?: boolean | undefined
}

/** Refuses dead tokens that would come back within their stage. */
function checkFalling(keep: readonly number[], { stages = [] }: ModelShape): void {
  for (const { first, depth } of stages)
    for (let l = first + 1; l < first + depth; l++)
      if ((keep[l] as number) > (keep[l - 1] as number))
        fail(`dead: tokens that are dead do not come back, but block ${l} keeps ${keep[l]} after ${keep[l - 1]}`)
}

/** What is carried from block to block. */
interface State {
  /** The stage that it is of. */
  readonly stage?: StageShape
  /** `[B, N]`: what the predictor said of its tokens. */
  readonly scores?: Tensor
  /** `[B, N]`: 1 for tokens that live, 0 for dead ones; absent: all live. */
  readonly alive?: Tensor
}

/** Added to the logits of keys that are masked; the official code's value. */
const MASKED = -1e5

/** The predictor's weights are named by stage. */
const predictorPath = (stage: number): string => `layers.${stage}.idle_predictor`

/** Weights of predictors: one for each stage that leaves tokens out. */
export function windowParameters(
  { stages = [] }: ModelShape,
  keep: readonly number[],
  { ranking }: Pick<WindowSettings, 'ranking'>,
): Map<string, readonly number[]> {
  if (ranking !== 'predictor') return new Map()
  const reduces = ({ first, depth, tokens }: StageShape) => keep.slice(first, first + depth).some((n) => n < tokens)
  return new Map(
    stages.flatMap((stage, s) => (reduces(stage) ? predictorParameters(predictorPath(s), stage.width) : [])),
  )
}

/** Names of such weights. */
export const ownsPredictor = /^layers\.\d+\.idle_predictor\.(in|out)_conv\.\d\.(weight|bias)$/

/** Idling, or the control, in a graph. */
export function idleWindows(build: Build, plan: MethodPlan & WindowSettings): Form<State> {
  const { keep, form = 'gathered', variant = 'block', ranking = 'received', dead = false } = plan
  const stageOf = stageByBlock(build.shape)
  /** Log-probabilities that tokens are worth computing: `[B, N]`. */
  const predicted = (stage: StageShape, x: Tensor) => {
    const path = predictorPath(build.shape.stages?.indexOf(stageOf[stage.first] as StageShape) ?? 0)
    return choice(
      predict((name) => build.weight(`${path}.${name}`), x),
      0,
    )
  }
  return {
    start: () => ({}),
    block(block, rows, before, reads): Step<State> {
      const stage = stageOf[block.index] as StageShape
      const K = keep[block.index]
      if (typeof K !== 'number') return fail('elastic: the windows of a Swin have a fixed number of tokens')
      const alive = before.alive && before.stage !== stage ? mergedAlive(before.alive, stage) : before.alive
      const known: State = { ...(before.stage === stage ? before : {}), stage, ...(alive && { alive }) }
      const reduces = K < stage.tokens
      if (!reduces && !alive) return { ...denseBlock(block, rows, reads), state: known }
      const scores = ranking === 'predictor' && reduces ? (known.scores ?? predicted(stage, rows.x)) : undefined // [B, N]
      const state = { ...known, ...(scores && { scores }) }
      const decides = reduces && (before.stage !== stage || K !== keep[block.index - 1])
      if (dead) return deadBlock(block, rows, state, { K, ranking, decides })
      const idle = form === 'masked' ? maskedBlock : gatheredBlock
      return { ...idle(block, rows, { K, variant, ranking, predicted: scores }), state }
    },
  }
}

/** Attention within windows of all rows, before its projection, and what it tells of them. */
interface Attended {
  readonly o: Tensor // [B, N, C]
  /** `[B, N]`: attention that every token receives, the mean over heads and the rows of its window. */
  readonly received: Tensor
}

/** Attention of all rows; `bias` `[B, N]` is added to the logits of every key. */
function attendAll(block: Block, y: Tensor, bias?: Tensor): Attended {
  const windows = block.windows as Windows
  const [q, k, v] = block.queryKeyValue(windows.enter(y)) // [B·nW, w², C] each
  const logits = block.logits(q, k) // [B·nW, H, w², w²]
  const { mixed, map } = attend(bias ? add(logits, ofKeys(windows, bias)) : logits, splitHeads(v, block.heads))
  return { o: windows.leave(mergeHeads(mixed)), received: windows.leave(reduceMean(map, [1, 2])) }
}

/** A number of every row `[B, N]` for the keys of its window: `[B·nW, 1, 1, w²]`. */
function ofKeys(windows: Windows, values: Tensor): Tensor {
  const entered = windows.enter(values) // [B·nW, w²]
  const [BnW] = entered.shape as [Dim]
  return reshape(entered, [BnW, 1, 1, windows.rows])
}

/** Length of every row: `[B, N, C]` → `[B, N]`. */
const lengths = (x: Tensor): Tensor => sqrt(reduceSum(mul(x, x), [2]))

/** What rows are ranked by before they attend. */
interface Scored {
  readonly scores: Tensor // [B, N]
  /** Queries and keys `[B·nW, w², C]`, where ranking takes those of all rows. */
  readonly projected?: readonly [Tensor, Tensor]
}

/** Scores of all rows, before the block attends. */
function scoresBefore(block: Block, x: Tensor, ranking: WindowRanking, predicted: Tensor | undefined): Scored {
  if (predicted) return { scores: predicted }
  if (ranking === 'norm') return { scores: lengths(x) }
  const windows = block.windows as Windows
  const y = windows.enter(block.norm1(x)) // [B·nW, w², C]
  const [q, k] = [block.query(y), block.key(y)]
  const map = softmax(block.logits(q, k)) // [B·nW, H, w², w²]
  return { scores: windows.leave(reduceMean(map, [1, 2])), projected: [q, k] }
}

/** The best tokens of every window: their places int64 `[B·nW, n]`, and which tokens they are `[B, nW·n]`. */
function bestOfWindows(block: Block, scores: Tensor, K: number) {
  const windows = block.windows as Windows
  const at = topK(windows.enter(scores), K / windows.count).indices // [B·nW, n]
  return { at, tokens: windows.tokensAt(at) }
}

/** How many tokens a block selects, for what, and by which scores. */
interface Selecting {
  readonly K: number
  readonly variant: Variant
  readonly ranking: WindowRanking
  /** Scores of a predictor `[B, N]`; absent where tokens are ranked without one. */
  readonly predicted: Tensor | undefined
}

/** The *gathered* form: idle rows are not computed. */
function gatheredBlock(
  block: Block,
  rows: Rows,
  { K, variant, ranking, predicted }: Selecting,
): Omit<Step<State>, 'state'> {
  const { x } = rows
  const [, N, C] = x.shape as [Dim, number, number]
  if (variant === 'ffn') {
    const { o, received } = attendAll(block, block.norm1(x))
    const t = add(x, block.project(o)) // [B, N, C]
    const scores = predicted ?? (ranking === 'norm' ? lengths(x) : received) // [B, N]
    const kept = topK(scores, K).indices // [B, K]
    const at = selectRows(kept, N)
    const some = gatherRows(t, at) // [B, K, C]
    const updated = scatterRows(t, at, add(some, block.feedForward(some))) // [B, N, C]
    return { rows: { ...rows, x: updated }, tokens: K, kept, scores, computed: rowMask(kept, N) }
  }
  const { scores, projected } = scoresBefore(block, x, ranking, predicted)
  const { at, tokens } = bestOfWindows(block, scores, K)
  const chosen = selectRows(tokens, N)
  const some = gatherRows(x, chosen) // [B, K, C]
  const inWindows = (t: Tensor) => reshape(t, [at.shape[0] as Dim, at.shape[1] as Dim, C]) // [B·nW, n, C]
  const y = inWindows(block.norm1(some)) // [B·nW, n, C]
  const places = selectRows(at, (block.windows as Windows).rows)
  const [q, k, v] = projected
    ? [gatherRows(projected[0], places), gatherRows(projected[1], places), block.value(y)]
    : block.queryKeyValue(y) // [B·nW, n, C] each
  const { mixed } = attend(block.logits(q, k, at), splitHeads(v, block.heads)) // [B·nW, H, n, d]
  const o = reshape(mergeHeads(mixed), some.shape) // [B, K, C]
  const updated = scatterRows(x, chosen, residual(block, some, o)) // [B, N, C]
  return { rows: { ...rows, x: updated }, tokens: K, kept: tokens, scores, computed: rowMask(tokens, N) }
}

/**
 * The *masked* form: every row is computed, idle keys are masked and only chosen rows are updated. The numbers are those of
 * the gathered form; a predictor learns by the straight-through gradient of its probabilities.
 */
function maskedBlock(
  block: Block,
  rows: Rows,
  { K, variant, ranking, predicted }: Selecting,
): Omit<Step<State>, 'state'> {
  const { x } = rows
  const N = x.shape[1] as number
  const y = block.norm1(x) // [B, N, C]
  const dense = variant === 'ffn' ? attendAll(block, y) : undefined
  const scores =
    dense && !predicted && ranking === 'received' ? dense.received : scoresBefore(block, x, ranking, predicted).scores // [B, N]
  const kept = dense ? topK(scores, K).indices : bestOfWindows(block, scores, K).tokens // [B, K]
  const mask = rowMask(kept, N) // [B, N]
  const gate = reshape(predicted ? straightThrough(mask, predicted) : mask, [...mask.shape, 1]) // [B, N, 1]
  const o = (dense ?? attendAll(block, y, maskOf(mask))).o // [B, N, C]
  const attended = block.project(o) // [B, N, C]
  const t = add(x, dense ? attended : mul(gate, attended)) // [B, N, C]
  const updated = add(t, mul(gate, block.feedForward(t))) // [B, N, C]
  return { rows: { ...rows, x: updated }, tokens: K, kept, scores, computed: mask }
}

/** What keeps keys of mask 0 from being attended to: `[B, N]`. */
const maskOf = (mask: Tensor): Tensor => scale(sub(scalar(mask.graph, 1), mask), MASKED)

/** A mask with the gradient of the probabilities whose logarithms these are. */
function straightThrough(mask: Tensor, logProbabilities: Tensor): Tensor {
  const soft = exp(logProbabilities) // [B, N]
  return add(sub(mask, detach(soft)), soft)
}

/** Which tokens of a stage live, of those of the stage before it: merged tokens that any living one is part of. */
function mergedAlive(alive: Tensor, { map: [rows, columns], tokens }: StageShape): Tensor {
  const [B] = alive.shape as [Dim]
  return reshape(reduceMax(reshape(alive, [B, rows, 2, columns, 2]), [2, 4]), [B, tokens])
}

/** The control: dead tokens are zero, and no key. All is computed: masking is not skipping. */
function deadBlock(
  block: Block,
  rows: Rows,
  state: State,
  { K, ranking, decides }: { readonly K: number; readonly ranking: WindowRanking; readonly decides: boolean },
): Step<State> {
  const N = rows.x.shape[1] as number
  const { graph } = rows.x
  const before = state.alive
  let { alive } = state
  let scores: Tensor | undefined
  if (decides) {
    scores = scoresBefore(block, rows.x, ranking, state.scores).scores // [B, N]
    const living = before ? add(scores, scale(sub(before, scalar(graph, 1)), -MASKED)) : scores // the dead come last
    const mask = rowMask(topK(living, K).indices, N) // [B, N]
    const chosen = state.scores ? straightThrough(mask, state.scores) : mask
    alive = before ? mul(chosen, before) : chosen
  }
  const policy = alive as Tensor // [B, N]
  const gate = reshape(policy, [...policy.shape, 1]) // [B, N, 1]
  const x = mul(rows.x, gate) // [B, N, C]
  const { o } = attendAll(block, block.norm1(x), detach(maskOf(policy)))
  return {
    rows: { ...rows, x: mul(residual(block, x, o), gate) }, // [B, N, C]
    state: { ...state, alive: policy },
    tokens: K,
    computed: policy,
    ...(scores && { scores }),
  }
}
