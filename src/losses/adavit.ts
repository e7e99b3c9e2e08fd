/**
 * What AdaViT (arXiv 2111.15668, equation 10) learns beside the classes: to use so much of its tokens, heads and sublayers;
 * and the terms that its official code can add, all of them off there unless asked for.
 */

import { scalar, type Tensor } from '../graph/graph.js'
import { relu } from '../graph/ops/activations.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, cast, div, less, log, mul, neg, scale, sigmoid, sub, where } from '../graph/ops/elementwise.js'
import { countOf, reduceMean } from '../graph/ops/reduce.js'

/** What a block's gates decided: 1 or 0, with the gradient of their chance. */
export interface Decisions {
  /** `[B, N0]` */
  readonly tokens: Tensor
  /** `[B, H]` */
  readonly heads?: Tensor | undefined
  /** `[B, 2]` */
  readonly sublayers?: Tensor | undefined
}

const sumOf = (tensors: readonly Tensor[]): Tensor => tensors.reduce(add)

const total = (tensors: readonly Tensor[]): Tensor => sumOf(tensors.map((t) => reduceSum(t, [0, 1]))) // []

/** Of the mean over pictures, blocks and what each decides. */
const mean = (tensors: readonly Tensor[]): Tensor => div(total(tensors), sumOf(tensors.map((t) => countOf(t, [0, 1])))) // []

const distance = (value: Tensor, target: number): Tensor => {
  const error = sub(value, scalar(value.graph, target))
  return where(less(error, scalar(value.graph, 0)), neg(error), error)
}

/** The mean distance of shares, of whatever shape: []. */
const meanDistance = (shares: readonly Tensor[], target: number): Tensor =>
  mean(shares.map((share) => distance(share, target)))

/** How far shares fall below a floor, in all: []. */
const below = (floor: number, shares: readonly Tensor[]): Tensor =>
  total(shares.map((share) => relu(sub(scalar(share.graph, floor), share))))

/** Keeps a share of nothing from dividing by 0. */
const TINY = 1e-6

/** By block with gates of heads: `[B, H]` of pictures that compute one of its sublayers at least, and `[B, 1]` which do. */
const headUse = (decisions: readonly Decisions[]): { readonly on: Tensor; readonly runs: Tensor }[] =>
  decisions.flatMap(({ heads, sublayers }) => {
    if (!heads || !sublayers) return []
    const runs = cast(less(scalar(heads.graph, 0.5), reduceSum(sublayers, [1], true)), 'float32') // [B, 1]
    return [{ on: mul(heads, runs), runs }]
  })

const share = (used: Tensor, all: Tensor): Tensor => div(used, add(all, scalar(all.graph, TINY)))

/** |share of heads - target|, over the blocks of each picture that compute at least one sublayer. */
export function headShare(decisions: readonly Decisions[], target: number): Tensor | undefined {
  const use = headUse(decisions)
  if (use.length === 0) return undefined
  const all = use.map(({ on, runs }) => scale(reduceSum(runs, [0, 1]), on.shape[1] as number))
  return distance(share(total(use.map(({ on }) => on)), sumOf(all)), target)
}

/** Of every head of every block the share of pictures that use it, of those that compute the block: `[1, H]` by block. */
const singleHeads = (decisions: readonly Decisions[]): Tensor[] =>
  headUse(decisions).map(({ on, runs }) => share(reduceSum(on, [0], true), reduceSum(runs, [0], true)))

/** Mean |share of a head - target| over single heads. */
export function headSpread(decisions: readonly Decisions[], target: number): Tensor | undefined {
  const heads = singleHeads(decisions)
  return heads.length === 0 ? undefined : meanDistance(heads, target)
}

/** How far single heads are used less than a floor, in all. */
export function headFloor(decisions: readonly Decisions[], floor: number): Tensor | undefined {
  const heads = singleHeads(decisions)
  return heads.length === 0 ? undefined : below(floor, heads)
}

const sublayersOf = (decisions: readonly Decisions[]): Tensor[] => decisions.flatMap(({ sublayers }) => sublayers ?? [])

/** |share of sublayers - target|. */
export function sublayerShare(decisions: readonly Decisions[], target: number): Tensor | undefined {
  const gated = sublayersOf(decisions)
  return gated.length === 0 ? undefined : distance(mean(gated), target)
}

/** Mean |share of a block's sublayers - target| over blocks. */
export function sublayerSpread(decisions: readonly Decisions[], target: number): Tensor | undefined {
  const gated = sublayersOf(decisions)
  return gated.length === 0
    ? undefined
    : meanDistance(
        gated.map((each) => reduceMean(each, [0, 1], true)),
        target,
      )
}

/** How far single sublayers are used less than a floor, in all. */
export function sublayerFloor(decisions: readonly Decisions[], floor: number): Tensor | undefined {
  const gated = sublayersOf(decisions)
  return gated.length === 0
    ? undefined
    : below(
        floor,
        gated.map((each) => reduceMean(each, [0], true)),
      )
}

/** Of the rows of a picture, prefix rows among them, the share that gates leave: of a mean over image tokens. */
function withPrefixRows(image: Tensor, N0: number, prefix: number): Tensor {
  return scale(add(scale(image, N0), scalar(image.graph, prefix)), 1 / (N0 + prefix))
}

/** (share of rows - target)²; the prefix rows of every block count as kept. */
export function tokenShare(decisions: readonly Decisions[], target: number, prefix: number): Tensor | undefined {
  const tokens = decisions.map((each) => each.tokens)
  const [first] = tokens
  if (!first) return undefined
  const error = sub(withPrefixRows(mean(tokens), first.shape[1] as number, prefix), scalar(first.graph, target)) // []
  return mul(error, error)
}

/** How far single pictures keep fewer of a block's rows than a floor, in all. */
export function tokenFloor(decisions: readonly Decisions[], floor: number, prefix: number): Tensor | undefined {
  const shares = decisions.map(({ tokens }) =>
    withPrefixRows(reduceMean(tokens, [1], true), tokens.shape[1] as number, prefix),
  ) // [B, 1] each
  return shares.length === 0 ? undefined : below(floor, shares)
}

/** Keeps a chance of 0 from having an infinite logarithm. */
const LEAST_CHANCE = 1e-7

/**
 * How sure gates are: minus the mean entropy of their chances, in nats. To make it small keeps them in doubt.
 *
 * @param logits - what gates say, `[B, w]` each
 */
export function certainty(logits: readonly Tensor[]): Tensor | undefined {
  const [first] = logits
  if (!first) return undefined
  const least = scalar(first.graph, LEAST_CHANCE)
  const term = (p: Tensor) => mul(p, log(where(less(p, least), least, p)))
  return mean(logits.map((z) => add(term(sigmoid(z)), term(sigmoid(neg(z))))))
}
