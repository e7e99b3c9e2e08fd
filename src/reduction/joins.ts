/**
 * Groups of tokens, and which of them join: the pairs whose joining costs least, much as by Ward's criterion (J. H. Ward,
 * "Hierarchical Grouping to Optimize an Objective Function", 1963), weighted by attention. Pairs are found as in ToMe
 * (arXiv 2210.09461): every group of an even number looks for its cheapest partner among the odd ones.
 *
 * How many groups there are may be known only when the graph runs; then each number of rounds is a branch of it.
 */

import { addDims, type Dim, halfDim } from '../graph/dims.js'
import { constant, type Tensor } from '../graph/graph.js'
import { expandBatch } from '../graph/ops/broadcast.js'
import { choose } from '../graph/ops/choose.js'
import { add, div, equal, less, log, mul, scale, sqrt, sub, where } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { layerNorm, softmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { addLast, addRows, gatherLast, positions, scatterLast, selectRows, topK, zeroRows } from '../graph/ops/rows.js'
import { concat, everySecond, reshape, slice } from '../graph/ops/shape.js'
import type { Block } from './block.js'
import { foldedQueries } from './folded.js'
import { int64, numbers, type Rows } from './rows.js'
import { classAttention } from './scores.js'

/** A number of groups: known, or a symbol whose value is known when the graph runs. */
export interface Count {
  readonly dim: Dim
  /** int64 `[1]`, where `dim` is a symbol. */
  readonly value?: Tensor
  /** No more than so many. */
  readonly most: number
}

export const known = (count: number): Count => ({ dim: count, most: count })

/** Tokens in m groups, and P prefix rows before them, which stay alone: n = P + m rows, N of the model. */
export interface Groups {
  /** m */
  readonly count: Count
  /** P */
  readonly prefix: number
  /** int64 `[B, N]`: the row that every one of the model's is part of. */
  readonly home: Tensor
  /** `[B, n]`: of how many a row is the mean. */
  readonly size: Tensor
  /** `[B, n, C]` */
  readonly mean: Tensor
  /** log(size) for the logits of every key `[B, 1, 1, n]`; absent: every row is alone. */
  readonly column?: Tensor
}

/** Every image token in a group of its own. */
export function alone({ x, prefix }: Rows): Groups {
  const N = x.shape[1] as number
  const ones = constant(x.graph, new Float32Array(N).fill(1), [1, N])
  return { count: known(N - prefix), prefix, home: numbers(x, N), size: expandBatch(ones, x), mean: x }
}

/**
 * Joins pairs of groups until `count` are left, where there are more.
 *
 * @param attention - the share of class attention in a group's weight, from 0 to 1
 */
export function joinUntil(block: Block, groups: Groups, count: Count, attention: number): Groups {
  const m = groups.count
  const fixed = typeof m.dim === 'number' && typeof count.dim === 'number'
  if (fixed && (m.dim as number) <= (count.dim as number)) return groups
  const joined = () => numbersAfter(block, groups, count, attention) // [B, n]
  if (fixed) return joinBy(groups, joined(), count)
  const same = equal(asTensor(groups, m), asTensor(groups, count)) // [1]
  return joinBy(groups, choose(same, forEach(countOn(groups.size), groups.size), joined()), count)
}

/** Rounds of pairs in a block whose counts are known when the graph runs: each is a branch, and takes time to open. */
const ROUNDS = 3

/** The fewest that so many groups can become in a block whose counts are known when the graph runs. */
export const fewestInRounds = (count: number): number =>
  Array.from({ length: ROUNDS }).reduce<number>((left) => Math.ceil(left / 2), count)

/** int64 `[B, n]`: the new number of every row when cheapest pairs have joined, round by round, until `count` are left. */
function numbersAfter(block: Block, groups: Groups, count: Count, attention: number, rounds = ROUNDS): Tensor {
  const [half, odds] = [halfOf(groups.count, 'even'), halfOf(groups.count, 'odd')]
  const pairs = cheapestPairs(block, groups, attention)
  // A round of pairs halves the groups at most.
  const inOneRound = () => renumber(groups, pairs, odds, count) // [B, n]
  const inMore = () => {
    const halved = renumber(groups, pairs, odds, half) // [B, n]
    return gatherLast(numbersAfter(block, joinBy(groups, halved, half), count, attention, rounds - 1), halved) // [B, n]
  }
  if (typeof half.dim === 'number' && typeof count.dim === 'number')
    return count.dim < half.dim ? inMore() : inOneRound()
  if (half.most === 1 || rounds === 1) return inOneRound()
  return choose(less(asTensor(groups, count), asTensor(groups, half)), inMore(), inOneRound())
}

/** How many of so many groups have even numbers, or odd ones. */
function halfOf({ dim, value, most }: Count, which: 'even' | 'odd'): Count {
  const half = (x: Tensor) => div(which === 'even' ? add(x, int64(x.graph, 1)) : x, int64(x.graph, 2)) // [1]
  return { dim: halfDim(dim, which), ...(value && { value: half(value) }), most: Math.ceil(most / 2) }
}

/** int64 `[1]` */
const asTensor = ({ size: { graph } }: Groups, { dim, value }: Count): Tensor =>
  value ?? constant(graph, BigInt64Array.of(BigInt(dim)), [1])

/** a - b: int64 `[1]`. */
const difference = (groups: Groups, a: Count, b: Count): Tensor =>
  typeof a.dim === 'number' && typeof b.dim === 'number'
    ? constant(groups.size.graph, BigInt64Array.of(BigInt(a.dim - b.dim)), [1])
    : sub(asTensor(groups, a), asTensor(groups, b))

/** Groups after every row has got a new number: those of one number are one group. */
function joinBy({ prefix, home, size, mean }: Groups, to: Tensor, count: Count): Groups {
  const [B, n] = size.shape as [Dim, Dim]
  const left = rowsOf(count, prefix) // n'
  const weighted = mul(mean, reshape(size, [B, n, 1])) // [B, n, C]
  const sizes = addLast(zeroRows(size, left.dim, left.value), to, size) // [B, n']
  return {
    count,
    prefix,
    home: gatherLast(to, home), // [B, N]
    size: sizes,
    mean: div(sumRows(weighted, to, left), reshape(sizes, [B, left.dim, 1])), // [B, n', C]
    column: reshape(log(sizes), [B, 1, 1, left.dim]),
  }
}

/** How many rows groups are, with the prefix. */
export const rowsOf = ({ dim, value, most }: Count, prefix: number): Count => ({
  dim: addDims(dim, prefix),
  ...(value && { value: add(value, int64(value.graph, prefix)) }),
  most: most + prefix,
})

/** Rows `[B, n, C]` summed by the number of each, int64 `[B, n]`: `[B, count, C]`. */
export function sumRows(rows: Tensor, to: Tensor, { dim, value }: Count): Tensor {
  const none = zeroRows(rows, dim, value) // [B, count, C]
  return addRows(none, selectRows(to, typeof dim === 'number' ? dim : none), rows)
}

/** For every even group the odd one that is cheapest to join, and who would join first. */
interface Pairs {
  /** int64 `[B, a]`: odd groups, counted from 0 among the odd ones. */
  readonly partner: Tensor
  /** int64 `[B, a]`: 0 for the even group that joins at the least cost. */
  readonly rank: Tensor
}

/**
 * Costs are √(w_i w_j) · ½|u_i - u_j|², for weights w and directions u of means less their own average (Ward has
 * w_i w_j / (w_i + w_j), which is no product and joins no better): what is computed is √w_i u_i · √w_j u_j - √w_i √w_j, at most 0 and best where it is most, as one product of rows that end in √w.
 */
function cheapestPairs(block: Block, groups: Groups, attention: number): Pairs {
  const { mean, prefix } = groups
  const { graph } = mean
  const [B, n, C] = mean.shape as [Dim, Dim, number]
  const strength = reshape(sqrt(weights(block, groups, attention)), [B, n, 1]) // [B, n, 1]
  const filled = (value: number, count: number) => new Float32Array(count).fill(value)
  const ones = constant(graph, filled(C ** -0.5, C), [C])
  const directions = layerNorm(mean, ones, constant(graph, filled(0, C), [C]), TINY) // [B, n, C], of length 1
  const rows = concat([mul(directions, strength), strength], 2) // [B, n, C + 1]
  const signs = constant(graph, Float32Array.from([...filled(1, C), -1]), [C + 1])
  const [even, odd] = [everySecond(rows, 1, 'even', prefix), everySecond(rows, 1, 'odd', prefix)] // [B, a | b, C + 1]
  const best = topK(matmul(even, mul(odd, signs), { transB: true }), 1) // [B, a, 1] of [B, a, b]
  const a = even.shape[1] as Dim
  const gains = reshape(best.values, [B, a]) // [B, a]
  const order = topK(gains, a).indices // [B, a], cheapest first
  return {
    partner: reshape(best.indices, [B, a]), // [B, a]
    rank: scatterLast(order, order, forEach(countOn(order), order)), // [B, a]
  }
}

/** Keeps rows that are all alike from dividing by 0. */
const TINY = 1e-9

/**
 * New numbers of all rows when the cheapest pairs have joined so that `count` groups are left: behind the prefix first
 * the even ones that stay, those that would join next first, then the odd ones: int64 `[B, n]`.
 *
 * @param odds - how many groups have odd numbers; no more can join
 */
function renumber(groups: Groups, { partner, rank }: Pairs, odds: Count, count: Count): Tensor {
  const { prefix, size } = groups
  const { graph } = rank
  const joining = difference(groups, groups.count, count) // [1]: how many even groups join
  const firstOdd = difference(groups, rowsOf(count, prefix), odds) // [1]
  const stays = less(sub(joining, int64(graph, 1)), rank) // [B, a]
  const behind = sub(rank, sub(joining, int64(graph, prefix))) // [B, a]: P, P + 1, … for those that stay
  const evenTo = where(stays, behind, add(partner, firstOdd)) // [B, a]
  const all = countOn(size) // [1 or B, n]
  const inOdd = add(div(sub(all, int64(graph, prefix)), int64(graph, 2)), firstOdd) // [1 or B, n]
  const oddTo = where(less(all, int64(graph, prefix)), all, inOdd) // [1 or B, n]: the prefix rows keep their numbers
  return scatterLast(forEach(oddTo, size), forEach(everySecond(all, 1, 'even', prefix), size), evenTo) // [B, n]
}

/** 0, 1, 2, …, as many as a row `[B, n]` is long: int64 `[1, n]`, or `[B, n]` where n is known when the graph runs. */
function countOn(like: Tensor): Tensor {
  const n = like.shape[1] as Dim
  if (typeof n !== 'number') return positions(like)
  return constant(
    like.graph,
    BigInt64Array.from({ length: n }, (_, i) => BigInt(i)),
    [1, n],
  )
}

/** What is the same for all pictures, for each picture of `like`: `[1 or B, n]` → `[B, n]`. */
const forEach = (x: Tensor, like: Tensor): Tensor => (x.shape[0] === like.shape[0] ? x : expandBatch(x, like))

/**
 * How much it matters what becomes of a group, of 1 for all: its share of the tokens, and of the class token's attention.
 *
 * @returns `[B, n]`, above 0; what it says of the prefix means nothing
 */
function weights(block: Block, { mean, prefix, home, size, column }: Groups, attention: number): Tensor {
  const [B, n, C] = mean.shape as [Dim, Dim, number]
  const bySize = scale(size, (1 - attention) / ((home.shape[1] as number) - prefix)) // [B, n]
  if (attention === 0 || prefix === 0) return bySize
  const y = block.norm1(mean) // [B, n, C]
  const folded = () => {
    const alpha = (C / block.heads) ** -0.5
    const logits = matmul(foldedQueries(block, slice(y, 1, 0, 1)), y, { transB: true, alpha }) // [B, H, n]
    return softmax(column ? add(logits, reshape(column, [B, 1, n])) : logits) // [B, H, n]
  }
  const map = block.linear
    ? folded()
    : classAttention(block, y, block.key(y), (logits) => (column ? add(logits, column) : logits)) // [B, H, n]
  return add(bySize, scale(reduceMean(map, [1]), attention)) // [B, n]
}
