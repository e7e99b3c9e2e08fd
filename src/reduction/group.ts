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
import { scalar, type Tensor } from '../graph/graph.js'
import { add, cast, div, less, sub } from '../graph/ops/elementwise.js'
import { gatherLast } from '../graph/ops/rows.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import { type Block, residual } from './block.js'
import { readerAttention } from './folded.js'
import { alone, type Count, fewestInRounds, type Groups, joinUntil, known, rowsOf, sumRows } from './joins.js'
import type { Build, Method, ModelShape, Reads, Step } from './method.js'
import { denseBlock } from './none.js'
import { imageRows, int64, pickRows, type Rows } from './rows.js'
import {
  checkRequest,
  firstIdleBlock,
  KEEP_INPUT,
  type KeepPlan,
  type KeepRequest,
  keptSymbol,
  keptTokens,
  stageRatios,
} from './schedule.js'
import { share, whole, wholes } from './settings.js'

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
  /** In the plan of a keep ratio, groups join before every so many blocks; default {@link EVERY}. */
  readonly every?: number
}

/** The share of attention in a group's weight, by measurement (docs/notebook/grouping.md). */
export const ATTENTION = 0.8

/**
 * Joining before every second block: at equal work joining before each is more accurate, at equal time it is not, as
 * joining is many small operators (docs/notebook/grouping.md).
 */
const EVERY = 2

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

/** Groups, and the tokens when they last changed: since then every token has moved as its group has. */
interface Grouped extends Groups {
  /** `[B, N, C]` and `[B, P + m, C]`: tokens and means when these groups were made. */
  readonly since: { readonly x: Tensor; readonly mean: Tensor }
}

/** The tokens as they are now: `[B, N, C]`. */
const tokensOf = ({ mean, home, since }: Grouped): Tensor =>
  mean.shape[1] === home.shape[1] ? mean : add(since.x, pickRows(sub(mean, since.mean), home, true))

/**
 * Groups after a block that computes one row for each.
 *
 * @param tokens - `[B, N, C]`: where given, the prefix rows look at every token
 */
function groupedBlock(block: Block, groups: Grouped, tokens: Tensor | undefined, masked: boolean): Grouped {
  const { home, mean, column } = groups
  if (!masked) return { ...groups, mean: compute(block, mean, column, tokens) }
  // Every token computes its group's row: as many equal keys weigh as one with log(size).
  const r = pickRows(mean, home, true) // [B, N, C]
  const change = sub(compute(block, r, undefined, tokens), r) // [B, N, C]
  return { ...groups, mean: add(mean, meanChange(change, groups)) }
}

/** What a change of all rows `[B, N, C]` is for every group, whose tokens change alike: `[B, P + m, C]`. */
function meanChange(change: Tensor, { count, prefix, home, size }: Groups): Tensor {
  const [B, n] = size.shape as [Dim, Dim]
  return div(sumRows(change, home, rowsOf(count, prefix)), reshape(size, [B, n, 1])) // [B, P + m, C]
}

/** Groups in every block of a request: at most all tokens. */
function plan(request: KeepRequest & GroupSettings, { depth, tokens }: ModelShape): KeepPlan {
  const { keepRatio = 1, keepRatios, keepTokens, groups, every = EVERY } = request
  checkRequest({ keepRatio: request.keepRatio, keepRatios, keepTokens }, depth, tokens)
  const keep = keepTokens ?? (keepRatios && keptTokens(tokens, keepRatios)) ?? given(groups, depth, tokens)
  const counts = keep ?? falling(keepRatio, depth, tokens, every)
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

/**
 * No block has fewer groups than this share of the tokens, so that what is left can still be told apart; by measurement
 * (docs/notebook/grouping.md).
 */
const LEAST = 1 / 8

/**
 * The default plan of a keep ratio K: as many groups, on average over the blocks before the last, as idling selects
 * tokens (1, K, K², K³ of all in four stages), but falling by the same number before every so many blocks, down to
 * {@link LEAST} of the tokens, and by no more than an elastic graph can follow. In classification the last block's groups
 * are nobody's, so none join before it.
 */
export function falling(keepRatio: number, depth: number, tokens: number, every = EVERY): number[] {
  const least = Math.max(1, Math.floor(tokens * LEAST))
  const last = Math.max(1, depth - 1)
  const first = Math.min(1, last - 1) // rows of the first block have seen no others yet
  const step = Math.min(every, last)
  const counts = (r: number) => {
    let count = tokens
    return Array.from({ length: depth }, (_, l) => {
      if (l >= first && l < last && (l + 1) % step === 0) {
        // These blocks have what would fall evenly between them.
        const blocks = Math.min(step, last - l)
        const wanted = Math.round(tokens - r * (l + (1 + blocks) / 2))
        count = Math.min(count, Math.max(least, fewestInRounds(count), wanted))
      }
      return count
    })
  }
  if (keepRatio === 1) return counts(0)
  const body = (list: readonly number[]) => list.slice(0, Math.max(1, depth - 1)).reduce((x, y) => x + y, 0)
  const wanted = body(keptTokens(tokens, stageRatios(depth, keepRatio)))
  let [low, high] = [0, tokens]
  for (let halving = 0; halving < 40; halving++) {
    const r = (low + high) / 2
    if (body(counts(r)) > wanted) low = r
    else high = r
  }
  return counts(high)
}

export const group: Method<GroupSettings> = {
  name: 'group',
  summary: 'puts tokens into groups that are computed as one row and move alike; all stay in place',
  keeps: 'on average as many groups as idle selects tokens, falling evenly with the blocks',
  shrinks: false,
  elastic: {
    from: () => 0,
    objection({ keep, regroup = [] }, { tokens }) {
      const anew = typeof regroup === 'number' ? [regroup] : regroup
      const before = keep.map((_, l) => (l === 0 || anew.includes(l) ? tokens : (keep[l - 1] as number)))
      const l = keep.findIndex(
        (count, i) => count > (before[i] as number) || count < fewestInRounds(before[i] as number),
      )
      if (l < 0) return undefined
      const [count, from] = [keep[l] as number, before[l] as number]
      return count > from
        ? `groups of an elastic model become no more unless regroup says so, but block ${l} has ${count} after ${from}`
        : `block ${l} of an elastic model can make at least ${fewestInRounds(from)} groups of ${from}, found ${count}`
    },
  },
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
    every: { describes: `groups join before every so many blocks (default: ${EVERY})`, ...whole(1) },
  },
  plan: (request, shape) => ({ ...plan(request, shape), attention: request.attention ?? ATTENTION }),
  // No token cut loss: it quiets attention to what is left out, and here nothing is. Groups weigh in by log(size).
  learning: { forms: ['gathered', 'masked'] },
  countings: {
    everyRow: { label: 'every row of the last block', plan: { official: true } },
  },
  open(build, { keep, form, attention = ATTENTION, regroup = [] }) {
    const { depth } = build.shape
    const anew = typeof regroup === 'number' ? [regroup] : regroup
    return {
      start: () => undefined,
      block(block: Block, rows: Rows, before: Grouped | undefined, reads: Reads): Step<Grouped | undefined> {
        // Who reads the prefix rows alone needs no groups: they look at every token where it stands.
        if (reads !== 'all') return { ...denseBlock(block, rows, reads), state: before }
        const tokens = imageRows(rows) as number
        const count = countOf(build, keep[block.index], block.index, tokens)
        const rises = before && typeof count.dim === 'number' && count.dim > (before.count.dim as number)
        const fresh = !before || rises || anew.includes(block.index)
        const present = fresh ? alone(rows) : before
        const joined = joinUntil(block, present, count, attention)
        const groups = joined === before ? before : { ...joined, since: { x: rows.x, mean: joined.mean } }
        const reader = block.index === depth - 1 && count.dim !== tokens ? rows.x : undefined
        const state = groupedBlock(block, groups, reader, form === 'masked' && count.dim !== tokens)
        const { home, size } = state
        const x = tokensOf(state) // [B, N, C]
        if (count.dim === tokens) return { rows: { ...rows, x }, state, tokens }
        const isAlone = less(slice(gatherLast(size, home), 1, rows.prefix), scalar(x.graph, 1.5)) // [B, N0]
        return {
          rows: { ...rows, x },
          state,
          tokens: count.dim,
          computed: cast(isAlone, 'float32'), // [B, N0]
          seen: {
            home: sub(slice(home, 1, rows.prefix), int64(x.graph, rows.prefix)), // [B, N0]
            size: slice(size, 1, rows.prefix),
          },
        }
      },
    }
  },
}

/** How many groups block l has: as planned, or as the graph is told when it runs. */
function countOf(build: Build, kept: number | 'fed' | undefined, l: number, tokens: number): Count {
  if (kept !== 'fed') return known(Math.min(kept as number, tokens))
  const value = slice(build.input(KEEP_INPUT, [build.shape.depth], 'int64'), 0, l, l + 1) // [1]
  return { dim: keptSymbol(l), value, most: tokens }
}
