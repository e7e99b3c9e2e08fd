/**
 * Groups of tokens, and which of them join: the pairs whose joining costs least, by Ward's criterion (J. H. Ward,
 * "Hierarchical Grouping to Optimize an Objective Function", 1963), weighted by attention. Pairs are found as in ToMe
 * (arXiv 2210.09461): every group of an even number looks for its cheapest partner among the odd ones.
 *
 * How many groups there are may be known only when the graph runs; then each number of rounds is a branch of it.
 */

import { addDims, type Dim, halfDim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { choose } from '../graph/ops/choose.js'
import { add, cast, div, equal, less, log, mul, scale, sqrt, sub, where } from '../graph/ops/elementwise.js'
import { matmul } from '../graph/ops/linear.js'
import { softmax } from '../graph/ops/normalise.js'
import { reduceMean, reduceSum } from '../graph/ops/reduce.js'
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
import { concat, everySecond, expandBatch, reshape, slice } from '../graph/ops/shape.js'
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

/** Tokens in groups. m groups; P prefix rows, which are in none. */
export interface Groups {
  /** m */
  readonly count: Count
  /** P */
  readonly prefix: number
  /** int64 `[B, N0]`: the group of every image token. */
  readonly home: Tensor
  /** `[B, m]`: how many tokens a group has. */
  readonly size: Tensor
  /** `[B, P + m, C]`: the prefix rows, then the mean of every group. */
  readonly mean: Tensor
}

/** Every image token in a group of its own. */
export function alone({ x, prefix }: Rows): Groups {
  const tokens = (x.shape[1] as number) - prefix
  return { count: known(tokens), prefix, home: numbers(x, tokens), size: ones(x, tokens), mean: x }
}

const ones = (like: Tensor, count: number): Tensor =>
  expandBatch(constant(like.graph, new Float32Array(count).fill(1), [1, count]), like)

/**
 * Joins pairs of groups until `count` are left, where there are more.
 *
 * @param attention - the share of class attention in a group's weight, from 0 to 1
 */
export function joinUntil(block: Block, groups: Groups, count: Count, attention: number): Groups {
  const m = groups.count
  const fixed = typeof m.dim === 'number' && typeof count.dim === 'number'
  if (fixed && (m.dim as number) <= (count.dim as number)) return groups
  const joined = () => numbersAfter(block, groups, count, attention) // [B, m]
  if (fixed) return joinBy(groups, joined(), count)
  const same = equal(asTensor(groups, m), asTensor(groups, count)) // [1]
  return joinBy(groups, choose(same, countOn(groups.size), joined()), count)
}

/** int64 `[B, m]`: the new number of every group when cheapest pairs have joined, round by round, until `count` are left. */
function numbersAfter(block: Block, groups: Groups, count: Count, attention: number): Tensor {
  const [half, odds] = [halfOf(groups.count, 'even'), halfOf(groups.count, 'odd')]
  const pairs = cheapestPairs(block, groups, attention)
  // A round of pairs halves the groups at most.
  const inOneRound = () => renumber(groups, pairs, odds, count) // [B, m]
  const inMore = () => {
    const halved = renumber(groups, pairs, odds, half) // [B, m]
    return gatherLast(numbersAfter(block, joinBy(groups, halved, half), count, attention), halved) // [B, m]
  }
  if (typeof half.dim === 'number' && typeof count.dim === 'number')
    return count.dim < half.dim ? inMore() : inOneRound()
  if (half.most === 1) return inOneRound()
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

/** Groups after each has got a new number, below `count`: those of one number are one group. */
function joinBy({ count: m, prefix: P, home, size, mean }: Groups, to: Tensor, count: Count): Groups {
  const [B] = mean.shape as [Dim]
  const weighted = mul(slice(mean, 1, P), reshape(size, [B, m.dim, 1])) // [B, m, C]
  const sizes = addLast(zeroRows(size, count.dim, count.value), to, size) // [B, m']
  const joined = div(sumByGroup(weighted, to, count), reshape(sizes, [B, count.dim, 1])) // [B, m', C]
  return {
    count,
    prefix: P,
    home: gatherLast(to, home), // [B, N0]
    size: sizes,
    mean: P > 0 ? concat([slice(mean, 1, 0, P), joined], 1) : joined, // [B, P + m', C]
  }
}

/** Sums of rows `[B, n, C]` by their group, int64 `[B, n]`: `[B, count, C]`. */
export function sumByGroup(rows: Tensor, group: Tensor, count: Count): Tensor {
  const none = zeroRows(rows, count.dim, count.value) // [B, count, C]
  return addRows(none, selectRows(group, typeof count.dim === 'number' ? count.dim : none), rows)
}

/** For every even group the odd one that is cheapest to join, and who would join first. */
interface Pairs {
  /** int64 `[B, a]`: odd groups, counted from 0 among the odd ones. */
  readonly partner: Tensor
  /** int64 `[B, a]`: 0 for the even group that joins at the least cost. */
  readonly rank: Tensor
}

/** Costs are w_i w_j / (w_i + w_j) · |u_i - u_j|², for weights w and directions u of normalised means. */
function cheapestPairs(block: Block, groups: Groups, attention: number): Pairs {
  const { graph } = groups.mean
  const y = block.norm1(groups.mean) // [B, P + m, C]
  const image = slice(y, 1, groups.prefix) // [B, m, C]
  const directions = div(image, sqrt(add(reduceSum(mul(image, image), [2], true), scalar(graph, TINY)))) // [B, m, C]
  const [even, odd] = [everySecond(directions, 1, 'even'), everySecond(directions, 1, 'odd')] // [B, a, C], [B, b, C]
  const likeness = sub(matmul(even, odd, { transB: true }), scalar(graph, 1)) // [B, a, b]: -½ |u_i - u_j|²
  const [B, a, b] = likeness.shape as [Dim, Dim, Dim]
  const weight = weights(block, y, groups, attention) // [B, m]
  const evenWeight = reshape(everySecond(weight, 1, 'even'), [B, a, 1]) // [B, a, 1]
  const oddWeight = reshape(everySecond(weight, 1, 'odd'), [B, 1, b]) // [B, 1, b]
  const both = add(add(evenWeight, oddWeight), scalar(graph, TINY)) // [B, a, b]
  const gain = mul(div(mul(evenWeight, oddWeight), both), likeness) // [B, a, b], at most 0
  const best = topK(gain, 1) // [B, a, 1]
  const gains = reshape(best.values, [B, a]) // [B, a]
  const order = topK(gains, a).indices // [B, a], cheapest first
  return {
    partner: reshape(best.indices, [B, a]), // [B, a]
    rank: scatterLast(order, order, countOn(order)), // [B, a]
  }
}

/** Keeps a length and a sum of weights that are 0 from dividing by 0. */
const TINY = 1e-9

/**
 * New numbers of all groups when the cheapest pairs have joined so that `count` are left: first the even ones that stay,
 * then the odd ones: int64 `[B, m]`.
 *
 * @param odds - how many groups have odd numbers; no more can join
 */
function renumber(groups: Groups, { partner, rank }: Pairs, odds: Count, count: Count): Tensor {
  const { graph } = rank
  const m = groups.count
  const last = sub(difference(groups, m, count), int64(graph, 1)) // [1]: the rank of the last to join
  const staying = difference(groups, count, odds) // [1]
  const stays = less(last, rank) // [B, a]
  const behind = sub(cumulate(cast(stays, 'int64')), int64(graph, 1)) // [B, a]: 0, 1, … for those that stay
  const evenTo = where(stays, behind, add(partner, staying)) // [B, a]
  const all = countOn(groups.size) // [B, m]
  const [even, odd] = [everySecond(all, 1, 'even'), everySecond(all, 1, 'odd')] // [B, a], [B, b]
  return scatterLast(scatterLast(all, even, evenTo), odd, add(countOn(odd), staying)) // [B, m]
}

/** 0, 1, 2, … for every picture, as many as a row `[B, m]` is long: int64 `[B, m]`. */
function countOn(like: Tensor): Tensor {
  const m = like.shape[1] as Dim
  return typeof m === 'number' ? numbers(like, m) : positions(like)
}

/**
 * How much it matters what becomes of a group, of 1 for all: its share of the tokens, and of the class token's attention.
 *
 * @param y - normalised prefix rows and means `[B, P + m, C]`
 * @returns `[B, m]`
 */
function weights(block: Block, y: Tensor, { count, prefix: P, home, size }: Groups, attention: number): Tensor {
  const N0 = home.shape[1] as number
  const [B, n, C] = y.shape as [Dim, Dim, number]
  const bySize = scale(size, (1 - attention) / N0) // [B, m]
  if (attention === 0 || P === 0) return bySize
  const column = columns({ count, prefix: P, size }) // [B, 1, 1, n]
  const map = block.linear
    ? softmax(
        add(
          foldedLogits(block, slice(y, 1, 0, 1), y, { alpha: (C / block.heads) ** -0.5 }),
          reshape(column, [B, 1, n]),
        ),
      ) // [B, H, n]
    : classAttention(block, y, block.key(y), (logits) => add(logits, column)) // [B, H, n]
  return add(bySize, scale(slice(reduceMean(map, [1]), 1, P), attention)) // [B, m]
}

/** log(size) of every row, 0 for the prefix: `[B, 1, 1, P + m]`. */
export function columns({ count, prefix: P, size }: Pick<Groups, 'count' | 'prefix' | 'size'>): Tensor {
  const B = size.shape[0] as Dim
  const all = P > 0 ? concat([ones(size, P), size], 1) : size // [B, P + m]
  return reshape(log(all), [B, 1, 1, addDims(count.dim, P)])
}
