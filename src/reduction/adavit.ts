/**
 * AdaViT (Meng et al., "Adaptive Vision Transformers for Efficient Image Recognition", arXiv 2111.15668): in every block
 * gates decide for each picture which tokens, which heads and which of the two sublayers it needs. What is left out keeps
 * its row as it is.
 *
 * The official code multiplies by 0. Here rows and heads are gathered, and sublayers are branches of the graph, so that a
 * picture by itself costs what it uses. A batch is computed with what any of its pictures needs; the answers are the same.
 */

import type { Dim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { attend, mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { expandBatch, reduceSum } from '../graph/ops/broadcast.js'
import { choose } from '../graph/ops/choose.js'
import { add, less, mul, where } from '../graph/ops/elementwise.js'
import { reduceMax } from '../graph/ops/reduce.js'
import { gatherRows, scatterRows, selectRows, take } from '../graph/ops/rows.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import {
  certainty,
  type Decisions,
  headFloor,
  headShare,
  headSpread,
  sublayerFloor,
  sublayerShare,
  sublayerSpread,
  tokenFloor,
  tokenShare,
} from '../losses/adavit.js'
import type { Random } from '../random.js'
import { computedTokens, type Dropped, masked, ownValues } from './adavit-masked.js'
import type { Block } from './block.js'
import { type GateName, type Gates, gateLogits, gateWeight, gateWeights, isOpen, OPEN } from './gates.js'
import {
  type Build,
  type LossInputs,
  type Method,
  type MethodPlan,
  type Reads,
  type Step,
  stateless,
} from './method.js'
import { denseBlock } from './none.js'
import { columnsOf, pack } from './packing.js'
import { type Rows, withPrefix } from './rows.js'
import { checkRequest, type KeepPlan, type KeepRequest, keptSymbol } from './schedule.js'
import { oneOf, share } from './settings.js'

export interface AdavitSettings {
  /**
   * What a dropped head takes with it: its channels in attention and those that the MLP reads (default), hidden units of
   * the MLP instead of what it reads, or nothing but its attention, so that every row has its own value.
   */
  readonly dropped?: Dropped
  /** Shares to train heads, sublayers and tokens towards; each is that of the plan unless it is given. */
  readonly headTarget?: number
  readonly sublayerTarget?: number
  readonly tokenTarget?: number
  /** Shares below which its floor losses begin; default 0, where they are nothing. */
  readonly headFloor?: number
  readonly sublayerFloor?: number
  readonly tokenFloor?: number
}

/** Sizes that pictures decide, by block: heads; and 1 or 0 for the sublayers. */
const symbols = (l: number) => ({ heads: `heads${l}`, attends: `attends${l}`, feeds: `feeds${l}` })

/** The pieces of a block that some of its heads need. */
interface Pieces {
  attend(asking: Tensor, y: Tensor, bias: Tensor): Tensor
  feedForward(x: Tensor): Tensor
}

/** Heads that any picture of the batch needs, and only their work. */
function piecesFor(block: Block, heads: Tensor, dropped: Dropped): Pieces {
  if (dropped === 'identity') return { attend: ownAttention(block, heads), feedForward: (x) => block.feedForward(x) }
  const { places } = pack(reduceMax(heads, [0], true), symbols(block.index).heads, 1) // [1, h]
  const at = reshape(places, [places.shape[1] as Dim]) // [h]
  const some = block.someHeads?.({ at, on: take(heads, at, 1) })
  if (!some) throw new Error(`block ${block.index}: there are no pieces for some of its heads`)
  return { attend: some.attend, feedForward: (x) => some.feedForward(x, dropped) }
}

/** Attention in which a dropped head gives every row its own value, rows that ask being the first of those looked at. */
const ownAttention =
  (block: Block, heads: Tensor): Pieces['attend'] =>
  (asking, y, bias) => {
    const values = splitHeads(block.value(y), block.heads) // [B, H, n, d]
    const logits = add(block.logits(block.query(asking), block.key(y)), bias) // [B, H, a, n]
    const rows = asking.shape[1] as Dim
    const own = typeof rows === 'number' ? slice(values, 2, 0, rows) : values // [B, H, a, d]
    return block.project(mergeHeads(ownValues(attend(logits, values).mixed, own, heads)))
  }

const allHeads = (block: Block): Pieces => ({
  attend: (asking, y, bias) => block.project(block.attend(block.query(asking), block.key(y), block.value(y), bias)),
  feedForward: (x) => block.feedForward(x),
})

/** A block that computes what its gates leave open for any picture. */
function gatedBlock(build: Build, block: Block, rows: Rows, reads: Reads, ratio: number, dropped: Dropped) {
  const { x, prefix } = rows
  const { graph } = x
  const N = x.shape[1] as number
  const y = block.norm1(x) // [B, N, C]
  const logits = gateLogits(build, block, rows, y)
  const open: Gates = {
    tokens: isOpen('tokens', logits.tokens, ratio), // [B, N0]
    ...(logits.heads && { heads: isOpen('heads', logits.heads, ratio) }), // [B, H]
    ...(logits.sublayers && { sublayers: isOpen('sublayers', logits.sublayers, ratio) }), // [B, 2]
  }
  const { heads, sublayers } = open
  const names = symbols(block.index)
  const { places, real, counts } = pack(open.tokens, keptSymbol(block.index), 1) // [B, K]
  const at = selectRows(withPrefix(rows, places), N) // [B, P + K]
  const always = expandBatch(constant(graph, new Float32Array(prefix).fill(1), [1, prefix]), real) // [B, P]
  const present = concat([always, real], 1) // [B, P + K]
  const asked = (t: Tensor) => (reads === 'all' ? t : slice(t, 1, 0, reads)) // [B, a, …]
  const [xs, ys] = [gatherRows(x, at), gatherRows(y, at)] // [B, P + K, C] each
  const pieces = heads ? piecesFor(block, heads, dropped) : allHeads(block)
  const rowFactor = reshape(asked(present), [...asked(present).shape, 1]) // [B, a, 1]

  /** x and the branch of sublayer i, where any picture wants it. */
  function withBranch(i: number, t: Tensor, branch: (t: Tensor) => Tensor): Tensor {
    const on = sublayers && slice(sublayers, 1, i, i + 1) // [B, 1]
    const factor = on ? mul(rowFactor, reshape(on, [on.shape[0] as Dim, 1, 1])) : rowFactor // [B, a, 1]
    const sum = add(t, mul(branch(t), factor)) // [B, a, C]
    if (!on) return sum
    const any = less(scalar(graph, 0.5), reduceMax(on, [0, 1])) // []
    return choose(any, sum, t, i === 0 ? names.attends : names.feeds)
  }
  const attended = withBranch(0, asked(xs), () => pieces.attend(asked(ys), ys, columnsOf(present))) // [B, a, C]
  const fed = withBranch(1, attended, pieces.feedForward) // [B, a, C]
  const one = scalar(graph, 1)
  const own = (i: number) => sublayers && reshape(slice(sublayers, 1, i, i + 1), [x.shape[0] as Dim]) // [B]
  const used = heads && reduceSum(heads, [1]) // [B]
  return {
    rows: { ...rows, x: reads === 'all' ? scatterRows(x, at, fed) : fed }, // [B, N, C]
    tokens: keptSymbol(block.index),
    computed: computedTokens(open),
    scores: logits.tokens,
    sizes: {
      [keptSymbol(block.index)]: counts,
      ...(used && dropped !== 'identity' && { [names.heads]: where(less(used, one), one, used) }),
      ...(sublayers && { [names.attends]: own(0) as Tensor, [names.feeds]: own(1) as Tensor }),
    },
  } satisfies Omit<Step<undefined>, 'state'>
}

/** A share of every block; 1/2, as published, where nothing is asked. A block whose share is 1 has no gates. */
function plan(request: KeepRequest, depth: number, tokens: number): KeepPlan {
  const { keepRatio = 0.5, keepRatios, keepTokens } = request
  checkRequest(request, depth, tokens)
  const ratios = keepRatios ?? keepTokens?.map((n) => n / tokens) ?? new Array<number>(depth).fill(keepRatio)
  const keep = ratios.map((ratio) =>
    ratio === 1 ? tokens : Math.max(1, Math.min(tokens - 1, Math.trunc(tokens * ratio))),
  )
  return { keep, ratios, warnings: [] }
}

/** The shares that a plan asks of its blocks. */
const sharesOf = ({ keep, ratios }: MethodPlan, tokens: number): readonly number[] =>
  keep.map((kept, l) => ratios?.[l] ?? Number(kept) / tokens)

/** What the gates of a step decided. */
const decisionsOf = ({ steps }: LossInputs): Decisions[] =>
  steps.flatMap(({ seen }) => {
    const tokens = seen?.['open.tokens']
    return tokens ? [{ tokens, heads: seen?.['open.heads'], sublayers: seen?.['open.sublayers'] }] : []
  })

/** What the gates of a step said, before the sigmoid. */
const saidOf = ({ steps }: LossInputs, gate: GateName): Tensor[] =>
  steps.flatMap(({ seen }) => seen?.[`logits.${gate}`] ?? [])

/** The share that is asked of what blocks with gates use: the plan's mean, unless one is given. */
function targetOf(plan: MethodPlan, { shape }: LossInputs, given: number | undefined): number {
  if (given !== undefined) return given
  const shares = sharesOf(plan, shape.tokens).filter((share) => share < 1)
  return shares.reduce((a, b) => a + b, 0) / Math.max(1, shares.length)
}

/** The difference of two numbers of the Gumbel distribution, log u - log(1 - u). */
function logistic(random: Random): number {
  const u = Math.min(1 - Number.EPSILON, Math.max(Number.MIN_VALUE, random.uniform()))
  return Math.log(u / (1 - u))
}

/** Options that only its losses read. */
const trainingShares = [
  'headTarget',
  'sublayerTarget',
  'tokenTarget',
  'headFloor',
  'sublayerFloor',
  'tokenFloor',
] as const satisfies readonly (keyof AdavitSettings)[]

export const adavit: Method<AdavitSettings> = {
  name: 'adavit',
  summary: 'leaves out the tokens, heads and sublayers that trained gates close, picture by picture (AdaViT)',
  keeps: 'gates stay open whose odds are above (1 - K) / K; without it 0.5, as published',
  paper: 'arXiv 2111.15668',
  shrinks: false,
  needsClassToken: true,
  keepsShares: true,
  settings: {
    dropped: {
      describes:
        'what a dropped head takes along: the channels that the MLP reads (inputs, the default), hidden units of the MLP ' +
        '(hidden), or nothing but its attention (identity)',
      ...oneOf('inputs', 'hidden', 'identity'),
    },
    ...Object.fromEntries(
      trainingShares.map((name) => {
        const [, what, kind] = /^(head|sublayer|token)(Target|Floor)$/.exec(name) as unknown as [string, string, string]
        const describes =
          kind === 'Target'
            ? `in finetuning, the share of ${what}s to use (default: that of the plan)`
            : `in finetuning, the share of uses below which the loss ${name} begins (default 0)`
        return [name, { describes, ...share }]
      }),
    ),
  },
  plan: (request, { depth, tokens }) => {
    const { dropped, headTarget, sublayerTarget, tokenTarget, headFloor, sublayerFloor, tokenFloor, ...keep } = request
    const own = { dropped, headTarget, sublayerTarget, tokenTarget, headFloor, sublayerFloor, tokenFloor }
    const given = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined))
    return { ...plan(keep, depth, tokens), ...given }
  },
  parameters({ width, heads = 1, tokens }, keep) {
    const gated = keep.flatMap((kept, l) => (kept < tokens ? [l] : []))
    return gateWeights(gated, width, heads)
  },
  initial: (name) => (name.endsWith('.bias') ? OPEN : undefined),
  ownsWeight: gateWeight,
  most: ({ keep }, { tokens, heads = 1 }) =>
    Object.fromEntries(
      keep.flatMap((_, l) => {
        const names = symbols(l)
        return [
          [keptSymbol(l), tokens],
          [names.heads, heads],
          [names.attends, 1],
          [names.feeds, 1],
        ]
      }),
    ),
  countings: {
    official: { label: 'everything computed, then masked (structure of the official code)', plan: { official: true } },
  },
  learning: {
    forms: ['masked'],
    losses: {
      heads: {
        label: 'Distance to the share of heads to use',
        weight: 2,
        compute: (from, plan) => headShare(decisionsOf(from), targetOf(plan, from, plan.headTarget)),
      },
      sublayers: {
        label: 'Distance to the share of sublayers to use',
        weight: 2,
        compute: (from, plan) => sublayerShare(decisionsOf(from), targetOf(plan, from, plan.sublayerTarget)),
      },
      tokens: {
        label: 'Distance to the share of tokens to use',
        weight: 2,
        compute: (from, plan) =>
          tokenShare(decisionsOf(from), targetOf(plan, from, plan.tokenTarget), from.shape.prefix),
      },
      headSpread: {
        label: 'Mean distance of single heads to the share to use',
        weight: 0,
        compute: (from, plan) => headSpread(decisionsOf(from), targetOf(plan, from, plan.headTarget)),
      },
      sublayerSpread: {
        label: 'Mean distance of blocks to the share of sublayers to use',
        weight: 0,
        compute: (from, plan) => sublayerSpread(decisionsOf(from), targetOf(plan, from, plan.sublayerTarget)),
      },
      headCertainty: {
        label: 'How sure the gates of heads are',
        weight: 0,
        compute: (from) => certainty(saidOf(from, 'heads')),
      },
      sublayerCertainty: {
        label: 'How sure the gates of sublayers are',
        weight: 0,
        compute: (from) => certainty(saidOf(from, 'sublayers')),
      },
      headFloor: {
        label: 'Use of single heads below their floor',
        weight: 0,
        compute: (from, plan) => headFloor(decisionsOf(from), plan.headFloor ?? 0),
      },
      sublayerFloor: {
        label: 'Use of single sublayers below their floor',
        weight: 0,
        compute: (from, plan) => sublayerFloor(decisionsOf(from), plan.sublayerFloor ?? 0),
      },
      tokenFloor: {
        label: 'Rows kept below their floor',
        weight: 0,
        compute: (from, plan) => tokenFloor(decisionsOf(from), plan.tokenFloor ?? 0, from.shape.prefix),
      },
    },
    noise: { logistic },
  },
  open(build, { form, official = false, dropped = 'inputs', ...plan }) {
    const ratios = sharesOf(plan, build.shape.tokens)
    if (form === 'masked' || official) return masked(build, { ratios, dropped, byChance: form === 'masked' })
    return stateless((block, rows, reads) => {
      const ratio = ratios[block.index] as number
      return ratio === 1 ? denseBlock(block, rows, reads) : gatedBlock(build, block, rows, reads, ratio, dropped)
    })
  },
}
