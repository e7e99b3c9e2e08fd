/**
 * Token grouping: idle tokens that move.
 *
 * Idling (IdleViT, arXiv 2310.05654) leaves an idle token as it is while the others move on, so that later blocks meet
 * rows that are several blocks old. Here tokens are put into groups; a block computes one row for every group, the mean
 * of its tokens, and every token moves by its group's change. All tokens stay in place, as with idling: whatever reads
 * them all (the class token in the last block, a dense head) finds each where it stands, and groups can be formed anew.
 *
 * Which groups join is decided by what joining them costs: their squared distance, weighted by how much attention they
 * get from the class token and how many they are (Ward's criterion). Pairs are found as in ToMe (arXiv 2210.09461), and
 * a group counts in attention for as many as it has, by log(size) on its column.
 */

import { fail } from '../errors.js'
import type { Dim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { add, cast, div, less, log, mul, scale, sqrt, sub } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { softmax } from '../graph/ops/normalise.js'
import { reduceMean, reduceSum } from '../graph/ops/reduce.js'
import { addLast, addRows, bottomK, gatherLast, gatherRows, scatterLast, selectRows, topK } from '../graph/ops/rows.js'
import { concat, expandBatch, pad, reshape, slice } from '../graph/ops/shape.js'
import { type Block, residual } from './block.js'
import { foldedLogits, readerAttention } from './folded.js'
import type { Method, ModelShape, Reads, Step } from './method.js'
import { denseBlock } from './none.js'
import { imageRows, int64, numbers, pickRows, type Rows, withPrefix } from './rows.js'
import { checkRequest, firstIdleBlock, type KeepPlan, type KeepRequest, keptTokens, stageRatios } from './schedule.js'
import { classAttention } from './scores.js'
import { real, wholes } from './settings.js'

export interface GroupSettings {
  /** Groups in every block: one number behind the first stage, or one for each block. */
  readonly groups?: number | readonly number[]
  /**
   * How much of a group's weight is attention that it gets, from 0 (its size alone) to 1 (attention alone); default
   * {@link ATTENTION}.
   */
  readonly attention?: number
  /** Blocks that form groups anew from single tokens; default none. Groups are also formed anew where their number rises. */
  readonly regroup?: number | readonly number[]
}

/** The share of attention in a group's weight, by measurement (docs/notebook/grouping.md). */
export const ATTENTION = 0.8

/** Tokens in groups. m groups; P prefix rows, which are in none. */
interface Groups {
  /** int64 `[B, N0]`: the group of every image token. */
  readonly home: Tensor
  /** `[B, m]`: how many tokens a group has. */
  readonly size: Tensor
  /** `[B, P + m, C]`: the prefix rows, then the mean of every group. */
  readonly mean: Tensor
}

/** Every image token in a group of its own. */
const alone = ({ x, prefix }: Rows): Groups => {
  const tokens = (x.shape[1] as number) - prefix
  return { home: numbers(x, tokens), size: ones(x, tokens), mean: x }
}

const ones = (like: Tensor, count: number): Tensor =>
  expandBatch(constant(like.graph, new Float32Array(count).fill(1), [1, count]), like)

const groupsIn = ({ size }: Groups): number => size.shape[1] as number

/** Joins pairs of groups until `count` are left. */
function joinUntil(block: Block, groups: Groups, count: number, attention: number): Groups {
  const m = groupsIn(groups)
  if (m <= count) return groups
  // A round of pairs halves the groups at most.
  return joinUntil(block, join(block, groups, Math.min(m - count, Math.floor(m / 2)), attention), count, attention)
}

/** Joins the r pairs of groups that cost least. */
function join(block: Block, groups: Groups, r: number, attention: number): Groups {
  const { home, size, mean } = groups
  const { graph } = mean
  const m = groupsIn(groups)
  const [B, rows] = mean.shape as [Dim, number]
  const P = rows - m
  const [a, b] = [Math.ceil(m / 2), Math.floor(m / 2)]
  const y = block.norm1(mean) // [B, P + m, C]
  const { sources, targets, stay } = cheapestPairs(slice(y, 1, P), weights(block, y, groups, attention), r)
  const from = concat([stay, oddNumbers(stay, b)], 1) // [B, m - r]
  const into = add(targets, int64(graph, a - r)) // [B, r]: the new groups that sources join

  const means = slice(mean, 1, P) // [B, m, C]
  const weighted = mul(means, reshape(size, [B, m, 1])) // [B, m, C]
  const sums = addRows(pickRows(weighted, from), selectRows(into, m - r), pickRows(weighted, sources)) // [B, m - r, C]
  const sizes = addLast(gatherLast(size, from), into, gatherLast(size, sources)) // [B, m - r]
  const joined = div(sums, reshape(sizes, [B, m - r, 1])) // [B, m - r, C]
  const to = scatterLast(scatterLast(numbers(mean, m), from, numbers(mean, m - r)), sources, into) // [B, m]
  const prefix = slice(mean, 1, 0, P) // [B, P, C]
  return { home: gatherLast(to, home), size: sizes, mean: P > 0 ? concat([prefix, joined], 1) : joined }
}

/** Pairs of an even and an odd group that are joined, and the even ones that stay; numbers of groups, int64. */
interface Pairs {
  /** `[B, r]`: even groups, and the odd ones that they join, counted from 0 among the odd ones. */
  readonly sources: Tensor
  readonly targets: Tensor
  /** `[B, a - r]`, ascending. */
  readonly stay: Tensor
}

/**
 * The r pairs that cost least: w_i w_j / (w_i + w_j) · |u_i - u_j|², for directions u of normalised rows.
 *
 * @param y - normalised means `[B, m, C]`
 * @param weight - `[B, m]`
 */
function cheapestPairs(y: Tensor, weight: Tensor, r: number): Pairs {
  const { graph } = y
  const [B, m, C] = y.shape as [Dim, number, number]
  const [a, b] = [Math.ceil(m / 2), Math.floor(m / 2)]
  const directions = div(y, sqrt(add(reduceSum(mul(y, y), [2], true), scalar(graph, TINY)))) // [B, m, C]
  const halves = reshape(pad(directions, 1, 0, m % 2), [B, a, 2 * C]) // [B, a, 2 C]
  const even = slice(halves, 2, 0, C) // [B, a, C]
  const odd = slice(slice(halves, 2, C), 1, 0, b) // [B, b, C]
  const likeness = sub(matmul(even, odd, { transB: true }), scalar(graph, 1)) // [B, a, b]: -½ |u_i - u_j|²
  const weightHalves = reshape(pad(weight, 1, 0, m % 2), [B, a, 2]) // [B, a, 2]
  const evenWeight = slice(weightHalves, 2, 0, 1) // [B, a, 1]
  const oddWeight = reshape(slice(slice(weightHalves, 2, 1), 1, 0, b), [B, 1, b]) // [B, 1, b]
  const both = add(add(evenWeight, oddWeight), scalar(graph, TINY)) // [B, a, b]
  const gain = mul(div(mul(evenWeight, oddWeight), both), likeness) // [B, a, b], at most 0
  const best = topK(gain, 1)
  const order = topK(reshape(best.values, [B, a]), a).indices // [B, a], cheapest first
  const sources = slice(order, 1, 0, r) // [B, r]
  const two = int64(graph, 2)
  return {
    sources: mul(sources, two), // [B, r]
    targets: gatherLast(reshape(best.indices, [B, a]), sources), // [B, r]
    stay: mul(r < a ? bottomK(slice(order, 1, r), a - r).values : slice(order, 1, r), two), // [B, a - r]
  }
}

/** Keeps a length and a sum of weights that are 0 from dividing by 0. */
const TINY = 1e-9

function oddNumbers(like: Tensor, count: number): Tensor {
  const values = BigInt64Array.from({ length: count }, (_, i) => BigInt(2 * i + 1))
  return expandBatch(constant(like.graph, values, [1, count]), like) // [B, count]
}

/**
 * How much it matters what becomes of a group, of 1 for all: its share of the tokens, and of the class token's attention.
 *
 * @param y - normalised prefix rows and means `[B, P + m, C]`
 * @returns `[B, m]`
 */
function weights(block: Block, y: Tensor, { home, size }: Groups, attention: number): Tensor {
  const N0 = home.shape[1] as number
  const [B, m] = size.shape as [Dim, number]
  const P = block.prefix
  const bySize = scale(size, (1 - attention) / N0) // [B, m]
  if (attention === 0 || P === 0) return bySize
  const C = y.shape[2] as number
  const column = reshape(columns(size, P), [B, 1, P + m])
  const map = block.linear
    ? softmax(add(foldedLogits(block, slice(y, 1, 0, 1), y, { alpha: (C / block.heads) ** -0.5 }), column)) // [B, H, n]
    : classAttention(block, y, block.key(y), (logits) => add(logits, reshape(column, [B, 1, 1, P + m]))) // [B, H, n]
  return add(bySize, scale(slice(reduceMean(map, [1]), 1, P), attention)) // [B, m]
}

/** log(size) of every row, 0 for the prefix: `[B, 1, 1, P + m]`. */
function columns(size: Tensor, P: number): Tensor {
  const [B, m] = size.shape as [Dim, number]
  const all = P > 0 ? concat([ones(size, P), size], 1) : size // [B, P + m]
  return reshape(log(all), [B, 1, 1, P + m])
}

/**
 * Attention and MLP of the prefix rows and of one row for each group.
 *
 * @param r - `[B, n, C]`: prefix rows and means
 * @param bias - added to the logits of every key `[B, 1, 1, n]`
 * @param tokens - `[B, N, C]`: where given, the prefix rows look at every token instead
 * @returns `[B, n, C]`
 */
function compute(block: Block, r: Tensor, bias: Tensor | undefined, tokens: Tensor | undefined): Tensor {
  const P = block.prefix
  const [q, k, v] = block.queryKeyValue(block.norm1(r)) // [B, n, C] each
  if (!tokens || P === 0) return residual(block, r, block.attend(q, k, v, bias))
  const y = block.norm1(tokens) // [B, N, C]
  const first = readerAttention(block, slice(y, 1, 0, P), y) // [B, P, C]
  return residual(block, r, concat([first, block.attend(slice(q, 1, P), k, v, bias)], 1))
}

/** A block that computes one row for each group. */
function groupedBlock(block: Block, rows: Rows, groups: Groups, how: { masked: boolean; last: boolean }) {
  const { x } = rows
  const { home, size, mean } = groups
  const tokens = how.last ? x : undefined
  const homes = withPrefix(rows, home) // [B, N]
  if (how.masked) {
    // Every token computes its group's row: as many equal keys weigh as one with log(size).
    const r = gatherRows(mean, selectRows(homes, mean.shape[1] as number), true) // [B, N, C]
    const change = sub(compute(block, r, undefined, tokens), r) // [B, N, C]
    return { x: add(x, change), mean: add(mean, meanChange(change, groups, rows)) }
  }
  const moved = compute(block, mean, columns(size, rows.prefix), tokens) // [B, P + m, C]
  return { x: add(x, gatherRows(sub(moved, mean), selectRows(homes, mean.shape[1] as number), true)), mean: moved }
}

/** What a change of all tokens is for the prefix rows and for every group, whose tokens change alike. */
function meanChange(change: Tensor, { home, size }: Groups, { prefix }: Rows): Tensor {
  const [B, m] = size.shape as [Dim, number]
  const [N, C] = change.shape.slice(1) as [number, number]
  const none = scale(slice(change, 1, 0, m), 0) // [B, m, C]
  const sums = addRows(none, selectRows(home, m), slice(change, 1, prefix, N)) // [B, m, C]
  const means = div(sums, reshape(size, [B, m, 1])) // [B, m, C]
  return prefix > 0 ? concat([slice(change, 1, 0, prefix), means], 1) : reshape(means, [B, m, C])
}

/** Groups in every block of a request: at most all tokens. */
function plan(request: KeepRequest & GroupSettings, { depth, tokens }: ModelShape): KeepPlan {
  const { keepRatio = 1, keepRatios, keepTokens, groups } = request
  checkRequest({ keepRatio: request.keepRatio, keepRatios, keepTokens }, depth, tokens)
  const keep = keepTokens ?? (keepRatios && keptTokens(tokens, keepRatios)) ?? given(groups, depth, tokens)
  const counts = keep ?? falling(keepRatio, depth, tokens)
  return { keep: counts, ratios: counts.map((count) => count / tokens), warnings: [] }
}

/** What the option `groups` says, if anything. */
function given(groups: GroupSettings['groups'], depth: number, tokens: number): readonly number[] | undefined {
  if (groups === undefined) return undefined
  const list = typeof groups === 'number' ? constantGroups(groups, depth, tokens) : groups
  if (list.length !== depth) fail(`groups: wanted one number, or ${depth}, one for each block, found ${list.length}`)
  for (const count of list)
    if (count < 1 || count > tokens) fail(`groups: wanted counts from 1 to ${tokens}, found ${count}`)
  return list
}

const constantGroups = (groups: number, depth: number, tokens: number): number[] =>
  Array.from({ length: depth }, (_, l) => (l < firstIdleBlock(depth) ? tokens : groups))

/** No block has fewer groups than this, so that what is left can still be told apart. */
const LEAST = 8

/**
 * The default plan of a keep ratio K: as many groups, on average over the blocks before the last, as idling selects
 * tokens (1, K, K², K³ of all in four stages), but falling by the same number from block to block, down to {@link LEAST}.
 */
export function falling(keepRatio: number, depth: number, tokens: number): number[] {
  const least = Math.min(LEAST, tokens)
  const counts = (r: number) =>
    Array.from({ length: depth }, (_, l) => Math.max(least, Math.round(tokens - r * (l + 1))))
  if (keepRatio === 1) return counts(0)
  const body = (list: readonly number[]) => list.slice(0, Math.max(1, depth - 1)).reduce((x, y) => x + y, 0)
  const wanted = body(keptTokens(tokens, stageRatios(depth, keepRatio)))
  let [low, high] = [0, tokens]
  for (let step = 0; step < 40; step++) {
    const r = (low + high) / 2
    if (body(counts(r)) > wanted) low = r
    else high = r
  }
  return counts(high)
}

/** A number of at least 0 and at most 1. */
const share = {
  wanted: 'a number from 0 to 1',
  parse: (text: string) => {
    const value = real.parse(text)
    return value !== undefined && value >= 0 && value <= 1 ? value : undefined
  },
}

export const group: Method<GroupSettings> = {
  name: 'group',
  summary: 'puts tokens into groups that are computed as one row and move alike; all stay in place',
  keeps: 'on average as many groups as idle selects tokens, falling evenly from block to block',
  shrinks: false,
  settings: {
    groups: {
      describes: 'groups behind the first quarter of the blocks, or one number for each block',
      ...wholes,
      schedules: true,
    },
    attention: {
      describes: `share of class attention, beside size, in what joining groups costs (default: ${ATTENTION})`,
      ...share,
    },
    regroup: { describes: 'blocks that form groups anew from single tokens (default: none)', ...wholes },
  },
  plan: (request, shape) => ({ ...plan(request, shape), attention: request.attention ?? ATTENTION }),
  countings: {
    everyRow: { label: 'every row of the last block', plan: { official: true } },
  },
  open({ shape }, { keep, form, attention = ATTENTION, regroup = [] }) {
    const anew = typeof regroup === 'number' ? [regroup] : regroup
    return {
      start: () => undefined,
      block(block: Block, rows: Rows, before: Groups | undefined, reads: Reads): Step<Groups | undefined> {
        const count = Math.min(keep[block.index] as number, imageRows(rows) as number)
        // Who reads the prefix rows alone needs no groups: they look at every token where it stands.
        if (reads !== 'all') return { ...denseBlock(block, rows, reads), state: before }
        const fresh = !before || anew.includes(block.index) || count > groupsIn(before)
        const groups = joinUntil(block, fresh ? alone(rows) : before, count, attention)
        if (count === imageRows(rows)) return { ...denseBlock(block, rows, reads), state: undefined }
        const how = { masked: form === 'masked', last: block.index === shape.depth - 1 }
        const { x, mean } = groupedBlock(block, rows, groups, how)
        const isAlone = less(gatherLast(groups.size, groups.home), scalar(x.graph, 1.5)) // [B, N0]
        return {
          rows: { ...rows, x },
          state: { ...groups, mean },
          tokens: count,
          computed: cast(isAlone, 'float32'), // [B, N0]
          seen: { home: groups.home, size: groups.size },
        }
      },
    }
  },
}
