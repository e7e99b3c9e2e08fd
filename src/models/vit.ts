/**
 * The vision transformer and its family, read top to bottom: ViT, DeiT (plain, distilled, III), LV-ViT, MAE, CLIP's and
 * SigLIP's image towers, DINOv2 and DINOv3. What differs between them is an option of `VitConfig`, which cites where it is from.
 *
 * Weight names are timm's, layouts PyTorch's.
 */

import type { Dim } from '../graph/dims.js'
import { constant, scalar, scoped, type Tensor } from '../graph/graph.js'
import { geluTanh, quickGelu, silu } from '../graph/ops/activations.js'
import { attention, splitHeads } from '../graph/ops/attention.js'
import { expandBatch, reduceSum } from '../graph/ops/broadcast.js'
import { add, detach, div, gelu, log, mul, scale, sub } from '../graph/ops/elementwise.js'
import { linear, matmul } from '../graph/ops/linear.js'
import { layerNorm } from '../graph/ops/normalise.js'
import { reduceMax, reduceMean } from '../graph/ops/reduce.js'
import { concat, reshape, slice, split } from '../graph/ops/shape.js'
import type { Block, Projection, Within } from '../reduction/block.js'
import { type Form, type ModelShape, type Step, stateless } from '../reduction/method.js'
import { denseBlock } from '../reduction/none.js'
import type { Rows } from '../reduction/rows.js'
import {
  type Activation,
  activationOf,
  finalNorm,
  gridSize,
  imageTokens,
  prefixTokens,
  type VitConfig,
} from './config.js'
import { headPieces } from './heads.js'
import { lazy } from './lazy.js'
import { patchTokens } from './patches.js'
import { attentionPooling, type Pooling, poolingLogits } from './pooling.js'
import { rotation, type Turn } from './rotary.js'

/** Gives a weight by its name; a constant for inference, an input for training. */
export type Weights = (name: string) => Tensor

export interface VitOptions {
  /** The token reduction at work; default none. */
  readonly form?: Form<unknown>
  /** Pieces of a block in place of the model's, such as ones whose branches are dropped at random. */
  readonly wrap?: (block: Block) => Block
  /** Compute all token rows of the last block, not only those the head reads. Default false. */
  readonly allTokens?: boolean
}

export interface VitOutput {
  /**
   * `[B, classes]`; of a distilled model the mean of both heads; of LV-ViT the class token's and half of the largest of
   * any row; of one without a head what was pooled.
   */
  readonly logits: Tensor
  /** Each head's logits: class token, then distillation token; or mean of the image rows, then class token. */
  readonly headLogits: readonly Tensor[]
  /** What LV-ViT's second head says of every image row: `[B, m, classes]`. */
  readonly rowLogits?: Tensor
  /** What the head reads: `[B, C]`, after CLIP's projection where there is one. */
  readonly pooled: Tensor
  /** Rows after the final LayerNorm, where rows have one: `[B, n, C]`, or the rows that are read without `allTokens`. */
  readonly features: Tensor
  /** Rows that enter the first block. */
  readonly embedded: Tensor
  /** What every block got and did. */
  readonly blocks: readonly BlockRecord[]
  /** The rows that are read out, before the final LayerNorm. */
  readonly rows: Rows
  /** Of a pyramid the rows `[B, N, C]` that leave every stage, merged for the next one. */
  readonly stages?: readonly Tensor[]
}

/** A block, the rows that entered it, and what the method made of them. */
export interface BlockRecord {
  readonly block: Block
  readonly before: Rows
  readonly step: Step<unknown>
}

/** Sizes of a ViT as methods see them. */
export const vitShape = (config: VitConfig): ModelShape => ({
  depth: config.depth,
  tokens: imageTokens(config),
  prefix: prefixTokens(config),
  width: config.width,
  heads: config.heads,
  ...(config.classToken === false && { classToken: false }),
  ...(config.pool === 'attention' && { poolingQuery: true }),
  ...(config.rotary && { turned: true }),
})

/** Rows of the last block that are read: of a model that reads the class token that one, and its distilled sibling. */
const readRows = ({ pool = 'class', distilled, auxHead = false }: VitConfig): number | 'all' =>
  pool === 'class' && !auxHead ? (distilled ? 2 : 1) : 'all'

/**
 * The forward pass.
 *
 * @param weights - weights by timm name
 * @param pixels - normalised pictures `[B, 3, height, width]`
 */
export function vit(weights: Weights, pixels: Tensor, config: VitConfig, options: VitOptions = {}): VitOutput {
  const { form = stateless(denseBlock), allTokens = false, wrap = (block) => block } = options
  const { graph } = pixels
  const embedded = scoped(graph, 'embed', () => embed(weights, pixels, config)) // [B, N, C]
  const turn = turnOf(embedded, config)
  let rows: Rows = { x: embedded, prefix: prefixTokens(config) }
  let state = form.start(rows)
  const blocks: BlockRecord[] = []
  for (let l = 0; l < config.depth; l++) {
    const reads = l === config.depth - 1 && !allTokens ? readRows(config) : 'all'
    const block = wrap(vitBlock(weights, config, l, turn))
    const step = scoped(graph, `blocks.${l}`, () => form.block(block, rows, state, reads))
    blocks.push({ block, before: rows, step })
    rows = step.rows // [B, n, C]
    state = step.state
  }
  rows = form.end?.(rows, state) ?? rows
  const seen = { embedded, blocks, rows }
  if (config.classHead) return { ...evoReadout(weights, rows, config), ...seen }
  return { ...readout(weights, rows, config), ...seen }
}

/** What is read out of the rows behind the last block. */
export type Readout = Pick<VitOutput, 'features' | 'pooled' | 'logits' | 'headLogits' | 'rowLogits'>

/** Reads the answer out of the rows behind the last block, or of those of them that the head reads. */
export function readout(weights: Weights, rows: Rows, config: VitConfig): Readout {
  const { x, prefix } = rows
  const { pool = 'class', projection, normAfterPool = false, width: C } = config
  const [B] = x.shape
  const norm = (t: Tensor) => normOf(weights, config, finalNorm(config), t)
  const features = normAfterPool ? x : norm(x) // [B, n, C]
  const row = (i: number) => reshape(slice(features, 1, i, i + 1), [B ?? 1, C]) // [B, C]
  const pools = {
    class: () => row(0),
    mean: () => imageMean(features, rows),
    'class-mean': () => concat([row(0), imageMean(features, rows)], 1), // [B, 2C]
    attention: () => attentionPooling(poolingOf(weights, config), features, countBias(rows)),
  }
  return scoped(x.graph, 'head', () => {
    const normed = (t: Tensor) => (normAfterPool ? norm(t) : t)
    const read = config.distilled ? [row(0), row(1)].map(normed) : [normed(pools[pool]())] // [B, C] each
    const [first] = read as [Tensor]
    const pooled = projection === undefined ? first : linear(first, weights('projection.weight')) // [B, C]
    if (config.classes === 0) return { features, pooled, logits: pooled, headLogits: [] }
    const headLogits = read.map((t, i) => headOf(weights, i === 0 ? 'head' : 'head_dist', t)) // [B, classes] each
    const logits = mean(headLogits)
    if (!config.auxHead) return { features, pooled, logits, headLogits }
    const rowLogits = headOf(weights, 'aux_head', slice(features, 1, prefix)) // [B, m, classes]
    const largest = reduceMax(ofPresent(rowLogits, rows), [1]) // [B, classes]
    return { features, pooled, logits: add(logits, scale(largest, 0.5)), headLogits, rowLogits }
  })
}

/** The mean of the image rows that are there, each as often as it stands for a token: `[B, n, C]` → `[B, C]`. */
function imageMean(features: Tensor, { present, size, prefix }: Rows): Tensor {
  const image = slice(features, 1, prefix) // [B, m, C]
  const counts = present && size ? mul(present, size) : (present ?? size) // [B, n]
  if (!counts) return reduceMean(image, [1])
  const weight = slice(counts, 1, prefix) // [B, m]
  const sum = reduceSum(mul(image, reshape(weight, [...weight.shape, 1])), [1]) // [B, C]
  return div(sum, reduceSum(weight, [1], true))
}

/** Less than any logit of a row that is there; float16 holds it. */
const ABSENT = -1e4

/** What makes a softmax see every row as often as it counts, and never one that is not there: `[B, n]`. */
function countBias({ present, size }: Rows): Tensor | undefined {
  const absent = present && scale(sub(scalar(present.graph, 1), detach(present)), ABSENT)
  const counts = size && log(size)
  return absent && counts ? add(absent, counts) : (absent ?? counts)
}

/** Logits of image rows `[B, m, classes]` of which padding, and what a policy dropped, is never the largest. */
function ofPresent(rowLogits: Tensor, { present, prefix }: Rows): Tensor {
  if (!present) return rowLogits
  const there = slice(detach(present), 1, prefix) // [B, m]
  const lowered = scale(sub(scalar(there.graph, 1), there), ABSENT) // [B, m]
  return add(rowLogits, reshape(lowered, [...lowered.shape, 1])) // [B, m, classes]
}

/** Evo-ViT reads the mean of the image rows through the final norm, and in training the class token through another. */
function evoReadout(weights: Weights, { x, prefix }: Rows, config: VitConfig): Readout {
  const norm = (name: string, t: Tensor) => normOf(weights, config, name, t)
  const features = norm('norm', x) // [B, N, C]
  return scoped(x.graph, 'head', () => {
    const pooled = norm('norm', reduceMean(slice(x, 1, prefix), [1])) // [B, C]
    const token = reshape(slice(x, 1, 0, 1), [x.shape[0] ?? 1, config.width]) // [B, C]
    const logits = headOf(weights, 'head', pooled) // [B, classes]
    return { features, pooled, logits, headLogits: [logits, headOf(weights, 'head_cls', norm('norm_cls', token))] }
  })
}

const headOf = (weights: Weights, name: string, x: Tensor): Tensor =>
  linear(x, weights(`${name}.weight`), weights(`${name}.bias`))

export const normOf = (weights: Weights, { layerNormEps }: VitConfig, name: string, x: Tensor): Tensor =>
  layerNorm(x, weights(`${name}.weight`), weights(`${name}.bias`), layerNormEps)

/** The pieces of attention pooling. */
function poolingOf(weights: Weights, config: VitConfig): Pooling {
  const weight = (name: string) => weights(`attn_pool.${name}`)
  return {
    heads: config.heads,
    weight,
    norm: (x) => normOf(weight, config, 'norm', x),
    feedForward: (x) => mlp(weight, config, x),
  }
}

/** How queries and keys are turned, if they are. */
function turnOf(embedded: Tensor, config: VitConfig): Turn | undefined {
  const { rotary, heads, width } = config
  return rotary && rotation(embedded.graph, rotary, gridSize(config), prefixTokens(config), heads, width)
}

/** Patches as tokens behind the prefix rows, with positions: `[B, 3, height, width]` → `[B, N, C]`. */
export function embed(weights: Weights, pixels: Tensor, config: VitConfig): Tensor {
  const { positions = 'all' } = config
  const tokens = patchTokens(weights, pixels, config) // [B, N0, C]
  const named = [
    ...(config.classToken === false ? [] : ['cls_token']),
    ...(config.distilled ? ['dist_token'] : []),
    ...(config.registers ? ['reg_token'] : []),
  ]
  const expanded = (name: string) => expandBatch(weights(name), tokens) // [B, 1 or registers, C]
  const positioned = () => {
    if (positions === 'none' || positions === 'all') {
      const all = concat([...named.map(expanded), tokens], 1) // [B, N, C]
      return positions === 'all' ? add(all, weights('pos_embed')) : all
    }
    // Rows without a position are put between those that have one.
    const led = positions === 'class' ? named.filter((name) => name !== 'reg_token') : []
    const position = weights('pos_embed') // [1, led + N0, C]
    const image = add(tokens, slice(position, 1, led.length)) // [B, N0, C]
    const lead = led.map((name, i) => expandBatch(add(weights(name), slice(position, 1, i, i + 1)), tokens)) // [B, 1, C]
    return concat([...lead, ...named.slice(led.length).map(expanded), image], 1) // [B, N, C]
  }
  const x = positioned() // [B, N, C]
  return config.preNorm ? normOf(weights, config, 'norm_pre', x) : x
}

const activations: Readonly<Record<Activation, (x: Tensor) => Tensor>> = {
  gelu,
  'gelu-tanh': geluTanh,
  'quick-gelu': quickGelu,
  silu,
}

/** Two linear layers with an activation between; of a gated MLP the activation of one half times the other. */
function mlp(w: Weights, config: VitConfig, y: Tensor, within: Within = {}): Tensor {
  const { input = same, hidden = same } = within
  const activate = activations[activationOf(config)]
  const first = linear(input(y), w('mlp.fc1.weight'), w('mlp.fc1.bias')) // [B, n, R·C] or [B, n, 2R·C]
  const [u, v] = (config.gated ? split(first, 2, 2) : [first]).map(hidden) as [Tensor, Tensor?] // [B, n, R·C]
  const units = v ? mul(activate(u), v) : activate(u) // [B, n, R·C]
  return linear(units, w('mlp.fc2.weight'), w('mlp.fc2.bias')) // [B, n, C]
}

const same = (x: Tensor): Tensor => x

/**
 * The pieces of block l: attention and MLP with pre-norm and residual.
 *
 * @param turn - how queries and keys are turned by their place, in models that do so
 */
export function vitBlock(weights: Weights, config: VitConfig, l: number, turn?: Turn): Block {
  const { heads, qkvBias = 'all', qkNorm = false, layerScale = false, branchScale = 1 } = config
  const w = (name: string) => weights(`blocks.${l}.${name}`)
  const norm = (name: string, x: Tensor) => normOf(w, config, name, x)
  const scaled = (name: string, x: Tensor) => scale(layerScale ? mul(x, w(`${name}.gamma`)) : x, branchScale)
  /** The packed projection in parts: 0 query, 1 key, 2 value. */
  const parts = lazy(() => {
    const biases = biasParts(w, qkvBias) // [C] each
    return split(w('attn.qkv.weight'), 0, 3).map((weight, i) => ({ weight, bias: biases[i] })) // [C, C] each
  })
  const part = (i: 0 | 1 | 2) => parts()[i] as Projection
  const projection = (i: 0 | 1 | 2) => (y: Tensor) => linear(y, part(i).weight, part(i).bias)
  /** Queries or keys as they enter the product: normed by head and turned, where the model does so. */
  const finished = (name: 'q_norm' | 'k_norm', t: Tensor, at?: Tensor) => {
    const normed = qkNorm ? byHead(t, heads, (each) => norm(`attn.${name}`, each)) : t // [B, n, C]
    return turn ? turn(normed, at) : normed
  }
  const packed = (y: Tensor) => {
    if (qkvBias === 'qv') return ([0, 1, 2] as const).map((i) => projection(i)(y))
    return split(linear(y, w('attn.qkv.weight'), qkvBias === 'all' ? w('attn.qkv.bias') : undefined), 2, 3)
  }
  return {
    index: l,
    heads,
    prefix: prefixTokens(config),
    norm1: (x) => norm('norm1', x),
    query: (y, at) => finished('q_norm', projection(0)(y), at),
    key: (y, at) => finished('k_norm', projection(1)(y), at),
    value: projection(2),
    queryKeyValue: (y, at) => {
      const [q, k, v] = packed(y) as [Tensor, Tensor, Tensor]
      return [finished('q_norm', q, at), finished('k_norm', k, at), v]
    },
    // Keys that are normed or turned are not linear in the row.
    ...(!qkNorm &&
      !turn && {
        linear: {
          get key() {
            return part(1)
          },
          get value() {
            return part(2)
          },
        },
      }),
    logits: (q, k) =>
      matmul(splitHeads(q, heads), splitHeads(k, heads), { transB: true, alpha: (config.width / heads) ** -0.5 }),
    attend: (q, k, v, bias) => attention(q, k, v, heads, bias),
    project: (o) => scaled('ls1', linear(o, w('attn.proj.weight'), w('attn.proj.bias'))),
    feedForward: (x, within) => scaled('ls2', mlp(w, config, norm('norm2', x), within)), // [B, n, C]
    someHeads: (which) =>
      headPieces(which, {
        heads,
        projection: part,
        weight: w,
        normed: (name, t) => (qkNorm ? norm(`attn.${name}`, t) : t),
        norm2: (x) => norm('norm2', x),
        activate: activations[activationOf(config)],
        ...(config.gated && { gated: true }),
        scaled,
      }),
    ...(config.pool === 'attention' && {
      poolingLogits: (x: Tensor) =>
        poolingLogits(poolingOf(weights, config), normOf(weights, config, finalNorm(config), x)),
    }),
  }
}

/** Biases of query, key and value, `[C]` each, where they have one. */
function biasParts(w: Weights, which: NonNullable<VitConfig['qkvBias']>): (Tensor | undefined)[] {
  if (which === 'all') return [...split(w('attn.qkv.bias'), 0, 3)]
  return which === 'qv' ? [w('attn.q_bias'), undefined, w('attn.v_bias')] : []
}

/** Something done to every head by itself: `[B, n, C]` → `[B, n, C]`. */
function byHead(t: Tensor, heads: number, body: (each: Tensor) => Tensor): Tensor {
  const [B, n, C] = t.shape as [Dim, Dim, number]
  return reshape(body(reshape(t, [B, n, heads, C / heads])), [B, n, C])
}

/** The row that stands for the picture: the class token's, or in a model without one what was pooled: `[B, 1, C]`. */
export function leadingRow({ features, pooled }: VitOutput, { classToken = true }: VitConfig): Tensor {
  if (classToken) return slice(features, 1, 0, 1)
  const [B, C] = pooled.shape as [Dim, number]
  return reshape(pooled, [B, 1, C])
}

function mean(tensors: readonly Tensor[]): Tensor {
  const [first, ...rest] = tensors as [Tensor, ...Tensor[]]
  if (rest.length === 0) return first
  return mul(rest.reduce(add, first), constant(first.graph, Float32Array.of(1 / tensors.length), []))
}
