/**
 * AdaViT as its official code computes it: all rows, heads and sublayers, of which those that are left out are multiplied
 * by 0. It has the gradients of training.
 */

import type { Dim } from '../graph/dims.js'
import { constant, scalar, type Tensor } from '../graph/graph.js'
import { attend, mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { expandBatch } from '../graph/ops/broadcast.js'
import { add, less, mul, sub, where } from '../graph/ops/elementwise.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import type { Block } from './block.js'
import { type GateName, type Gates, gateLogits, isOpen, openByChance } from './gates.js'
import { type Build, type Form, type Step, stateless } from './method.js'
import { denseBlock } from './none.js'
import type { Rows } from './rows.js'

/** What a dropped head takes with it; see `AdavitSettings`. */
export type Dropped = 'inputs' | 'hidden' | 'identity'

export interface MaskedOptions {
  /** By block: 1 for blocks that leave nothing out. */
  readonly ratios: readonly number[]
  readonly dropped: Dropped
  /** Gates open by chance, as in training: noise comes from inputs `logistic.{gate}.{block}`. */
  readonly byChance: boolean
}

/** Less than any logit. */
const NEVER = -1e9

/** `[B, H]`, one for each head, as one for each of `width` channels: `[B, 1, width]`. */
function channels(heads: Tensor, width: number): Tensor {
  const [B, H] = heads.shape as [Dim, number]
  const ones = constant(heads.graph, new Float32Array(width / H).fill(1), [1, 1, width / H])
  return reshape(mul(reshape(heads, [B, H, 1]), ones), [B, 1, width])
}

/** Logits of pairs of rows of which both are kept, and of every row that is not with itself: `[B, H, N, N]`. */
function keptPairs(logits: Tensor, kept: Tensor): Tensor {
  const { graph } = logits
  const [B, N] = kept.shape as [Dim, number]
  const eye = constant(
    graph,
    Float32Array.from({ length: N * N }, (_, i) => (i % (N + 1) === 0 ? 0 : NEVER)),
    [N, N],
  )
  const pairs = mul(reshape(kept, [B, 1, N, 1]), reshape(kept, [B, 1, 1, N])) // [B, 1, N, N]
  return where(less(scalar(graph, 0.5), pairs), logits, eye)
}

/** A block under the decisions of its gates. */
function maskedBlock(block: Block, rows: Rows, y: Tensor, open: Gates, dropped: Dropped) {
  const { x, prefix } = rows
  const { graph } = x
  const [B, N, C] = x.shape as [Dim, number, number]
  const { heads, sublayers } = open
  const always = expandBatch(constant(graph, new Float32Array(prefix).fill(1), [1, prefix]), open.tokens) // [B, P]
  const tokens = concat([always, open.tokens], 1) // [B, N]
  const rowFactor = reshape(tokens, [B, N, 1])
  const sublayer = (i: number) => sublayers && reshape(slice(sublayers, 1, i, i + 1), [B, 1, 1])
  const gated = (branch: Tensor, i: number) => {
    const factor = sublayer(i) // [B, 1, 1]
    return factor ? mul(branch, factor) : branch
  }
  const wide = heads && dropped !== 'identity' ? channels(heads, C) : undefined // [B, 1, C]
  const through = (t: Tensor) => (wide ? mul(t, wide) : t) // [B, N, C]
  const [q, k, v] = block.queryKeyValue(y).map(through) as [Tensor, Tensor, Tensor] // [B, N, C] each
  const values = splitHeads(v, block.heads) // [B, H, N, d]
  const { mixed, map } = attend(keptPairs(block.logits(q, k), tokens), values) // [B, H, N, d], [B, H, N, N]
  const own = heads && dropped === 'identity' ? ownValues(mixed, values, heads) : mixed // [B, H, N, d]
  const attended = mul(block.project(through(mergeHeads(own))), rowFactor) // [B, N, C]
  const t = add(x, gated(attended, 0)) // [B, N, C]
  const within =
    !heads || !wide
      ? {}
      : dropped === 'inputs'
        ? { input: through }
        : { hidden: (u: Tensor) => mul(u, channels(heads, u.shape[2] as number)) } // unit j goes with channel ⌊j / R⌋
  const fed = block.feedForward(t, within) // [B, N, C]
  return { x: add(t, gated(mul(fed, rowFactor), 1)), tokens, attended, fed, map }
}

/** Values instead of what attention mixes, for heads that are dropped: `[B, H, N, d]`. */
export function ownValues(mixed: Tensor, values: Tensor, heads: Tensor): Tensor {
  const on = reshape(heads, [...heads.shape, 1, 1]) // [B, H, 1, 1]
  return add(mul(mixed, on), mul(values, sub(scalar(on.graph, 1), on)))
}

/** The masked form. */
export function masked(build: Build, { ratios, dropped, byChance }: MaskedOptions): Form<undefined> {
  const { tokens: N0, heads: H = 1 } = build.shape
  const widths = { tokens: N0, heads: H, sublayers: 2 }
  const decide = (block: Block, ratio: number, logits: Gates): Gates => {
    const entries = Object.entries(logits) as [GateName, Tensor][]
    const open = entries.map(([gate, value]) => {
      if (!byChance) return [gate, isOpen(gate, value, ratio)]
      const noise = build.input(`logistic.${gate}.${block.index}`, ['batch', widths[gate]])
      return [gate, openByChance(gate, value, noise, ratio)]
    })
    return Object.fromEntries(open) as Gates
  }
  return stateless((block, rows, reads) => {
    const ratio = ratios[block.index] as number
    if (ratio === 1) return denseBlock(block, rows, reads)
    const y = block.norm1(rows.x) // [B, N, C]
    const logits = gateLogits(build, block, rows, y)
    const open = decide(block, ratio, logits)
    const { x, ...others } = maskedBlock(block, rows, y, open, dropped)
    const told = (kind: string, gates: Gates) =>
      Object.fromEntries(Object.entries(gates).map(([gate, value]) => [`${kind}.${gate}`, value as Tensor]))
    return {
      rows: { ...rows, x },
      tokens: N0,
      computed: computedTokens(open),
      scores: logits.tokens,
      seen: { ...told('open', open), ...told('logits', logits), ...others },
    } satisfies Omit<Step<undefined>, 'state'>
  })
}

/** Tokens that go through at least one sublayer: `[B, N0]`, 1 or 0. */
export function computedTokens({ tokens, sublayers }: Gates): Tensor {
  if (!sublayers) return tokens
  const { graph } = tokens
  const off = (i: number) => sub(scalar(graph, 1), slice(sublayers, 1, i, i + 1)) // [B, 1]
  return mul(tokens, sub(scalar(graph, 1), mul(off(0), off(1))))
}
