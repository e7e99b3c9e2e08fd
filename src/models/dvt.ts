/**
 * DVT (Wang et al., arXiv 2105.15075) in its DeiT form: a net of a cascade, which reads the rows and the attention logits of
 * the net before. After the official code, which this follows in what the paper leaves open: the logits that are passed on
 * contain those that were received, rows are passed without a final norm, and nothing is detached between nets.
 */

import type { Dim } from '../graph/dims.js'
import { scoped, type Tensor } from '../graph/graph.js'
import { attend, mergeHeads, splitHeads } from '../graph/ops/attention.js'
import { add, gelu } from '../graph/ops/elementwise.js'
import { linear, matmul } from '../graph/ops/linear.js'
import { type Matrix, mix } from '../graph/ops/mix.js'
import { concat, pad, reshape, slice } from '../graph/ops/shape.js'
import type { Net } from './cascade.js'
import type { Cascade } from './config.js'
import { embed, normOf, readout, vitBlock, type Weights } from './vit.js'

/** What a net passes on to the next, as far as that one reads it. */
export interface Passed {
  /** Rows behind its last block `[B, n, C]`. */
  readonly rows?: Tensor
  /** Attention logits of all blocks, block by block `[B, L·H, n, n]`, those it received included. */
  readonly relations?: Tensor
}

/** What a net of a cascade computes. */
export interface NetOutput extends Required<Passed> {
  /** `[B, classes]` */
  readonly logits: Tensor
  /** Rows that enter the first block `[B, N, C]`. */
  readonly embedded: Tensor
  readonly blocks: readonly NetBlock[]
  /** What the convolutions make of the received logits `[B, L·H, m, m]`. */
  readonly converted?: Tensor
}

/** What happened in a block. */
export interface NetBlock {
  /** Rows behind it. */
  readonly rows: Tensor
  /** Attention logits `[B, H, n, n]`. */
  readonly relation: Tensor
  /** What was added to them. */
  readonly added?: Tensor
  /** What was made of the received rows `[B, m, F]`, and on this net's grid, zeros for the class row `[B, n, F]`. */
  readonly reused?: Reused
}

interface Reused {
  readonly small: Tensor
  readonly resized: Tensor
}

/**
 * One net of a cascade.
 *
 * @param weights - weights by the names of the cascade
 * @param pixels - normalised pictures `[B, 3, S, S]`, S the side that all nets share
 * @param received - what the net before passed on; absent: this is the first
 * @param allRows - also compute what only a next net, or nobody, reads of the last block
 */
export function dvtNet(
  weights: Weights,
  pixels: Tensor,
  net: Net,
  cascade: Cascade,
  { received, allRows }: { readonly received?: Passed | undefined; readonly allRows: boolean },
): NetOutput {
  const { config, name, padding } = net
  const { graph } = pixels
  const { depth, heads } = config
  const own: Weights = (path) => weights(`${name}.${path}`)
  const padded = pad(pad(pixels, 2, padding, padding), 3, padding, padding) // [B, 3, P·G, P·G]
  const embedded = scoped(graph, 'embed', () => embed(own, padded, config)) // [B, N, C]
  const converted =
    received?.relations && cascade.relations
      ? scoped(graph, 'reuse', () => convert(own, received.relations as Tensor))
      : undefined
  let x = embedded
  const blocks: NetBlock[] = []
  for (let l = 0; l < depth; l++) {
    const part = converted && slice(converted, 1, l * heads, (l + 1) * heads) // [B, H, m, m]
    const classRow = l === depth - 1 && !allRows
    const block = scoped(graph, `blocks.${l}`, () => netBlock(own, x, l, net, { part, received, cascade, classRow }))
    blocks.push(block)
    x = block.rows // [B, n, C], or the class row
  }
  const { logits } = readout(own, { x: slice(x, 1, 0, 1), prefix: 1 }, config)
  const relations = concat(
    blocks.map(({ relation }) => relation),
    1,
  )
  return { logits, embedded, blocks, rows: x, relations, ...(converted && { converted }) }
}

interface BlockInputs {
  /** Received logits, as the convolutions give them to this block. */
  readonly part: Tensor | undefined
  readonly received: Passed | undefined
  readonly cascade: Cascade
  /** Nobody reads another row of this block. */
  readonly classRow: boolean
}

function netBlock(weights: Weights, x: Tensor, l: number, net: Net, inputs: BlockInputs): NetBlock {
  const { part, received, cascade, classRow } = inputs
  const block = vitBlock(weights, net.config, l)
  const lead = (t: Tensor) => (classRow ? slice(t, 1, 0, 1) : t)
  const y = block.norm1(x) // [B, n, C]
  const [q, k, v] = classRow
    ? ([block.query(lead(y)), block.key(y), block.value(y)] as const)
    : (block.queryKeyValue(y) as readonly [Tensor, Tensor, Tensor])
  const logits = block.logits(q, k) // [B, H, n, n]
  const added = part && resizeRelation(classRow ? slice(part, 2, 0, 1) : part, net) // [B, H, n, n]
  const relation = added ? add(logits, added) : logits
  const { mixed } = attend(relation, splitHeads(v, net.config.heads)) // [B, H, n, d]
  const attended = add(lead(x), block.project(mergeHeads(mixed))) // [B, n, C]
  const step = { relation, ...(added && { added }) }
  if (!received?.rows || !cascade.features) return { rows: add(attended, block.feedForward(attended)), ...step }
  const reused = reuse(weights, received.rows, l, net)
  // The class row receives zeros.
  const wide = classRow ? pad(attended, 2, 0, cascade.features.width) : concat([attended, reused.resized], 2) // [B, n, C + F]
  return { rows: add(attended, block.feedForward(wide)), ...step, reused }
}

/** What block l reads of the received rows: LayerNorm, an MLP, and the image rows on this net's grid. */
function reuse(weights: Weights, rows: Tensor, l: number, net: Net): Reused {
  const w = (name: string) => weights(`blocks.${l}.feature_resuse_mlp.${name}`)
  const y = normOf(w, net.config, '0', rows) // [B, m, C]
  const small = linear(gelu(linear(y, w('1.fc1.weight'), w('1.fc1.bias'))), w('1.fc2.weight'), w('1.fc2.bias')) // [B, m, F]
  return { small, resized: pad(resizeGrid(slice(small, 1, 1), 1, net), 1, 1, 0) } // [B, n, F]
}

/** Two 1 x 1 convolutions over the maps of all blocks and heads: `[B, L·H, m, m]` → `[B, L·H, m, m]`. */
function convert(weights: Weights, relations: Tensor): Tensor {
  const [B, maps, m] = relations.shape as [Dim, number, number]
  const convolve = (x: Tensor, name: string) => {
    const weight = weights(`relation_reuse_conv.${name}.weight`)
    const bias = weights(`relation_reuse_conv.${name}.bias`)
    const [out, inner] = weight.shape as [number, number]
    return add(matmul(reshape(weight, [out, inner]), x), reshape(bias, [out, 1])) // [B, out, m²]
  }
  const flat = reshape(relations, [B, maps, m * m]) // [B, L·H, m²]
  return reshape(convolve(gelu(convolve(flat, '0')), '2'), [B, maps, m, m])
}

/** Attention logits of the net before on this net's grid, keys first; class row and column stay: `[B, H, m, m]` → `[B, H, n, n]`. */
function resizeRelation(map: Tensor, net: Net): Tensor {
  const keys = concat([slice(map, 3, 0, 1), resizeGrid(slice(map, 3, 1), 3, net)], 3) // [B, H, m, n]
  if (keys.shape[2] === 1) return keys
  return concat([slice(keys, 2, 0, 1), resizeGrid(slice(keys, 2, 1), 2, net)], 2) // [B, H, n, n]
}

/** Image tokens along an axis, from the grid of the net before to this net's: every entry twice in both directions, then averaged. */
function resizeGrid(x: Tensor, axis: number, { before: from = 0, grid: to }: Net): Tensor {
  const matrix = resizeMatrix(from, to)
  const lead = x.shape.slice(0, axis)
  const tail = x.shape.slice(axis + 1) as number[]
  const rest = tail.reduce((a, b) => a * b, 1)
  const rows = mix(reshape(x, [...lead, from, from * rest]), 'before last', matrix) // […, G, g·rest]
  const columns =
    tail.length === 0
      ? mix(rows, 'last', matrix) // […, G, G]
      : mix(reshape(rows, [...lead, to, from, rest]), 'before last', matrix) // […, G, G, rest]
  return reshape(columns, [...lead, to * to, ...tail])
}

/** Along one side of a grid: nearest to twice the size, then adaptive averages. */
export function resizeMatrix(from: number, to: number): Matrix {
  const data = new Float32Array(to * from)
  for (let i = 0; i < to; i++) {
    const start = Math.floor((i * 2 * from) / to)
    const end = Math.ceil(((i + 1) * 2 * from) / to)
    for (let j = start; j < end; j++) {
      const at = i * from + Math.floor(j / 2)
      data[at] = (data[at] as number) + 1 / (end - start)
    }
  }
  return { rows: to, columns: from, data }
}
