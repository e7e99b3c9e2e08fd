/**
 * Groups of tokens, and which of them join: the pairs whose joining costs least, by Ward's criterion (J. H. Ward,
 * "Hierarchical Grouping to Optimize an Objective Function", 1963), weighted by attention. Pairs are found as in ToMe
 * (arXiv 2210.09461): every group of an even number looks for its cheapest partner among the odd ones.
 *
 * How many groups there are may be known only when the graph runs; then each number of rounds is a branch of it.
 */

import { addDims, type Dim, halfDim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { expandBatch, reduceSum } from '../graph/ops/broadcast.js'
import { choose } from '../graph/ops/choose.js'
import { add, cast, div, equal, less, log, mul, scale, sqrt, sub, where } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { softmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import {
  addLast,
  addRows,
  cumulate,
  gatherLast,
  positions,
  scatterLast,
  selectRows,
  topK,
  zeroRows,
} from '../graph/ops/rows.js'
import { everySecond, reshape, slice } from '../graph/ops/shape.js'
import type { Block } from './block.js'
import { foldedLogits } from './folded.js'
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
  return joinBy(groups, choose(same, countOn(groups.size), joined()), count)
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
 * Costs are w_i w_j / (w_i + w_j) · |u_i - u_j|², for weights w and directions u = y / |y| of normalised means: what is
 * computed is (y_i · y_j / (|y_i| |y_j|) - 1) / (1 / w_i + 1 / w_j), at most 0 and best where it is most.
 */
function cheapestPairs(block: Block, groups: Groups, attention: number): Pairs {
  const { mean, prefix } = groups
  const { graph } = mean
  const [one, tiny] = [scalar(graph, 1), scalar(graph, TINY)]
  const y = block.norm1(mean) // [B, n, C]
  const even = (t: Tensor) => everySecond(t, 1, 'even', prefix) // [B, a, …]
  const odd = (t: Tensor) => everySecond(t, 1, 'odd', prefix) // [B, b, …]
  const products = matmul(even(y), odd(y), { transB: true }) // [B, a, b]
  const [B, a, b] = products.shape as [Dim, Dim, Dim]
  const column = (t: Tensor) => reshape(even(t), [B, a, 1]) // [B, a, 1]
  const row = (t: Tensor) => reshape(odd(t), [B, 1, b]) // [B, 1, b]
  const shorten = div(one, sqrt(add(reduceSum(mul(y, y), [2]), tiny))) // [B, n]
  const likeness = sub(mul(mul(products, column(shorten)), row(shorten)), one) // [B, a, b]: -½ |u_i - u_j|²
  const inverse = div(one, add(weights(block, y, groups, attention), tiny)) // [B, n]
  const best = topK(div(likeness, add(column(inverse), row(inverse))), 1) // [B, a, 1]
  const gains = reshape(best.values, [B, a]) // [B, a]
  const order = topK(gains, a).indices // [B, a], cheapest first
  return {
    partner: reshape(best.indices, [B, a]), // [B, a]
    rank: scatterLast(order, order, countOn(order)), // [B, a]
  }
}

/** Keeps a length or a weight that is 0 from dividing by 0. */
const TINY = 1e-9

/**
 * New numbers of all rows when the cheapest pairs have joined so that `count` groups are left: behind the prefix first
 * the even ones that stay, then the odd ones: int64 `[B, n]`.
 *
 * @param odds - how many groups have odd numbers; no more can join
 */
function renumber(groups: Groups, { partner, rank }: Pairs, odds: Count, count: Count): Tensor {
  const { graph } = rank
  const { prefix, size } = groups
  const last = sub(difference(groups, groups.count, count), int64(graph, 1)) // [1]: the rank of the last to join
  const firstOdd = difference(groups, rowsOf(count, prefix), odds) // [1]
  const stays = less(last, rank) // [B, a]
  const behind = add(cumulate(cast(stays, 'int64')), int64(graph, prefix - 1)) // [B, a]: P, P + 1, … for those that stay
  const evenTo = where(stays, behind, add(partner, firstOdd)) // [B, a]
  const all = countOn(size) // [B, n]: the prefix rows keep their numbers
  const [even, odd] = [everySecond(all, 1, 'even', prefix), everySecond(all, 1, 'odd', prefix)] // [B, a], [B, b]
  return scatterLast(scatterLast(all, even, evenTo), odd, add(countOn(odd), firstOdd)) // [B, n]
}

/** 0, 1, 2, … for every picture, as many as a row `[B, n]` is long: int64 `[B, n]`. */
function countOn(like: Tensor): Tensor {
  const n = like.shape[1] as Dim
  return typeof n === 'number' ? numbers(like, n) : positions(like)
}

/**
 * How much it matters what becomes of a group, of 1 for all: its share of the tokens, and of the class token's attention.
 *
 * @param y - normalised means `[B, n, C]`
 * @returns `[B, n]`; what it says of the prefix means nothing
 */
function weights(block: Block, y: Tensor, { prefix, home, size, column }: Groups, attention: number): Tensor {
  const N0 = (home.shape[1] as number) - prefix
  const [B, n, C] = y.shape as [Dim, Dim, number]
  const bySize = scale(size, (1 - attention) / N0) // [B, n]
  if (attention === 0 || prefix === 0) return bySize
  const folded = () => {
    const logits = foldedLogits(block, slice(y, 1, 0, 1), y, { alpha: (C / block.heads) ** -0.5 }) // [B, H, n]
    return softmax(column ? add(logits, reshape(column, [B, 1, n])) : logits) // [B, H, n]
  }
  const map = block.linear
    ? folded()
    : classAttention(block, y, block.key(y), (logits) => (column ? add(logits, column) : logits)) // [B, H, n]
  return add(bySize, scale(reduceMean(map, [1]), attention)) // [B, n]
}
