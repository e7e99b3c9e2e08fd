/** What AdaViT (arXiv 2111.15668, equation 10) learns beside the classes: to use so much of its tokens, heads and sublayers. */

import { scalar, type Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, cast, div, less, mul, neg, scale, sub, where } from '../graph/ops/elementwise.js'
import { countOf } from '../graph/ops/reduce.js'

/** What a block's gates decided: 1 or 0, with the gradient of their chance. */
export interface Decisions {
  /** `[B, N0]` */
  readonly tokens: Tensor
  /** `[B, H]` */
  readonly heads?: Tensor | undefined
  /** `[B, 2]` */
  readonly sublayers?: Tensor | undefined
}

const total = (tensors: readonly Tensor[]): Tensor => tensors.map((t) => reduceSum(t, [0, 1])).reduce(add) // []

/** Of the mean over pictures, blocks and what each decides. */
const mean = (tensors: readonly Tensor[]): Tensor =>
  div(total(tensors), tensors.map((t) => countOf(t, [0, 1])).reduce(add)) // []

const distance = (value: Tensor, target: number): Tensor => {
  const error = sub(value, scalar(value.graph, target)) // []
  return where(less(error, scalar(value.graph, 0)), neg(error), error)
}

/** |share of heads - target|, over the blocks of each picture that compute at least one sublayer. */
export function headShare(decisions: readonly Decisions[], target: number): Tensor | undefined {
  const gated = decisions.flatMap(({ heads, sublayers }) => (heads && sublayers ? [{ heads, sublayers }] : []))
  if (gated.length === 0) return undefined
  const runs = gated.map(({ heads, sublayers }) => {
    const some = cast(less(scalar(heads.graph, 0.5), reduceSum(sublayers, [1], true)), 'float32') // [B, 1]
    return { on: mul(heads, some), all: scale(reduceSum(some, [0, 1]), heads.shape[1] as number) }
  })
  const all = runs.map((run) => run.all).reduce(add)
  const share = div(total(runs.map(({ on }) => on)), add(all, scalar(all.graph, TINY))) // []
  return distance(share, target)
}

/** Keeps a share of nothing from dividing by 0. */
const TINY = 1e-6

/** |share of sublayers - target|. */
export function sublayerShare(decisions: readonly Decisions[], target: number): Tensor | undefined {
  const gated = decisions.flatMap(({ sublayers }) => sublayers ?? [])
  return gated.length === 0 ? undefined : distance(mean(gated), target)
}

/** (share of rows - target)²; the prefix rows of every block count as kept. */
export function tokenShare(decisions: readonly Decisions[], target: number, prefix: number): Tensor | undefined {
  const tokens = decisions.map((each) => each.tokens)
  const [first] = tokens
  if (!first) return undefined
  const N0 = first.shape[1] as number
  const share = scale(add(scale(mean(tokens), N0), scalar(first.graph, prefix)), 1 / (N0 + prefix)) // []
  const error = sub(share, scalar(first.graph, target)) // []
  return mul(error, error)
}
