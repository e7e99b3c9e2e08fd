/** Scaled dot-product attention: one operator for passes that need no map, and its parts for those that do. */

import { type Dim, multiplyDims, sameShape } from '../dims.js'
import { applyAll, type Emitter, type Op, type Tensor } from '../graph.js'
import { int64s } from '../onnx.js'
import { reduceSum, sumTo } from './broadcast.js'
import { mul, sub } from './elementwise.js'
import { matmul } from './linear.js'
import { reshape, transpose } from './shape.js'

/** Rows of `[B, n, C]` or, by head, `[B, H, n, d]`. */
const rowsOf = (x: Tensor): Dim => x.shape.at(-2) as Dim

const isByHead = (x: Tensor): boolean => x.shape.length === 4

/** Outputs the result and, for the backward pass, the map `[B, H, n, m]` and the inputs split into heads. */
const attentionOp: Op<{ heads: number }> = {
  name: 'attention',
  infer([q, k, v, bias], { heads }) {
    const [query, key, value] = [q, k, v] as [Tensor, Tensor, Tensor]
    const { dtype, shape } = query
    const width = shape[2] as number
    if (width % heads !== 0) throw new Error(`width ${width} is not a multiple of ${heads} heads`)
    if (rowsOf(key) !== rowsOf(value)) throw new Error('keys and values differ in number')
    if (isByHead(key) !== isByHead(value)) throw new Error('of keys and values one is split into heads')
    if (bias && !sameShape(bias.shape, [shape[0] as Dim, 1, 1, rowsOf(key)]))
      throw new Error(`a bias of keys is [${shape[0]}, 1, 1, ${rowsOf(key)}], found [${bias.shape}]`)
    const split = (x: Tensor) => ({ dtype, shape: [shape[0] as Dim, heads, rowsOf(x), width / heads] })
    const map = { dtype, shape: [shape[0] as Dim, heads, rowsOf(query), rowsOf(key)] }
    return [{ dtype, shape }, map, split(query), split(key), split(value)]
  },
  emit({ inputs, outputs, attrs: { heads } }, onnx) {
    const [q, k, v, bias] = inputs as [Tensor, Tensor, Tensor, Tensor?]
    const [result, map, ...parts] = outputs.map((t) => t.name) as [string, string, string, string, string]
    const width = q.shape[2] as number
    const scale = (width / heads) ** -0.5
    const saved = outputs.slice(1).some((tensor) => onnx.used(tensor))
    if (onnx.contrib && !saved) {
      const attributes = { num_heads: heads, scale: { float: scale } }
      const more = bias ? ['', '', biasOfPairs(bias, q, onnx)] : [] // no bias of projections, no padding of keys
      onnx.node('MultiHeadAttention', [q.name, k.name, v.name, ...more], [result], attributes, 'com.microsoft')
      return
    }
    const intoHeads = (x: Tensor, name: string) => {
      if (isByHead(x)) return x.name
      const shape = onnx.constant(int64s([0, 0, heads, width / heads]), [4])
      return onnx.node('Transpose', onnx.node('Reshape', [x.name, shape], 1), [name], {
        perm: [0, 2, 1, 3],
      })[0] as string
    }
    const [qh, kh, vh] = [intoHeads(q, parts[0]), intoHeads(k, parts[1]), intoHeads(v, parts[2])]
    const [logits] = onnx.contrib
      ? onnx.node('FusedMatMul', [qh, kh], 1, { transB: 1, alpha: { float: scale } }, 'com.microsoft')
      : portableLogits(qh, kh, scale, onnx)
    const [biased] = bias ? onnx.node('Add', [logits as string, bias.name], 1) : [logits]
    onnx.node('Softmax', [biased as string], [map], { axis: -1 })
    const rows = onnx.node('Transpose', onnx.node('MatMul', [map, vh], 1), 1, { perm: [0, 2, 1, 3] })
    onnx.node('Reshape', [...rows, onnx.constant(int64s([0, 0, width]), [3])], [result])
  },
  macs({ inputs: [q, k] }, size) {
    const [batch, queries, width] = (q as Tensor).shape as [Dim, Dim, Dim]
    const pairs = multiplyDims(queries, rowsOf(k as Tensor))
    const [b, p, w] = size([batch, pairs, width]) as [number, number, number]
    return 2 * b * p * w
  },
  gradient({ inputs: [, keys, , bias], outputs, attrs: { heads } }, [g]) {
    if (isByHead(keys as Tensor)) throw new Error('attention: no gradient for keys by head')
    const [o, map, q, k, v] = outputs as [Tensor, Tensor, Tensor, Tensor, Tensor]
    const alpha = (q.shape[3] as number) ** -0.5
    const { dLogits, dValues } = attendGradients(map, v, splitHeads(o, heads), splitHeads(g as Tensor, heads))
    const dq = matmul(dLogits, k, { alpha }) // [B, H, n, d]
    const dk = matmul(dLogits, q, { transA: true, alpha }) // [B, H, m, d]
    return [mergeHeads(dq), mergeHeads(dk), mergeHeads(dValues), bias && sumTo(dLogits, bias.shape)]
  },
}

/** The bias of every key repeated for every query, as the fused operator wants it: `[B, 1, n, m]`. */
function biasOfPairs(bias: Tensor, q: Tensor, onnx: Emitter): string {
  const n = rowsOf(q)
  const one = onnx.constant(int64s([1]), [1])
  const [target] =
    typeof n === 'number'
      ? [onnx.constant(int64s([1, 1, n, 1]), [4])]
      : onnx.node('Concat', [one, one, ...onnx.node('Shape', [q.name], 1, { start: 1, end: 2 }), one], 1, { axis: 0 })
  return onnx.node('Expand', [bias.name, target as string], 1)[0] as string
}

/** α q kᵀ without operators of ONNX Runtime's own. */
function portableLogits(q: string, k: string, scale: number, onnx: Emitter): string[] {
  const scaled = onnx.node('Mul', [q, onnx.constant(Float32Array.of(scale), [])], 1)
  return onnx.node('MatMul', [...scaled, ...onnx.node('Transpose', [k], 1, { perm: [0, 1, 3, 2] })], 1)
}

/**
 * softmax(q kᵀ / √d) v for every head (Vaswani et al., arXiv 1706.03762).
 *
 * @param q - `[B, n, C]`, heads side by side in C
 * @param k - `[B, m, C]`, or like the values by head `[B, H, m, d]` for passes without a gradient
 * @param v - `[B, m, C]`
 * @param bias - `[B, 1, 1, m]`, added to the logits of every key
 * @returns `[B, n, C]`
 */
export const attention = (q: Tensor, k: Tensor, v: Tensor, heads: number, bias?: Tensor): Tensor =>
  applyAll(attentionOp, bias ? [q, k, v, bias] : [q, k, v], { heads })[0] as Tensor

/** `[B, n, C]` → `[B, H, n, C/H]`; of a single row a view. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [B, n, C] = x.shape as [Dim, Dim, number]
  if (n === 1) return reshape(x, [B, heads, 1, C / heads])
  return transpose(reshape(x, [B, n, heads, C / heads]), [0, 2, 1, 3])
}

/** `[B, H, n, d]` → `[B, n, H·d]`; of a single row a view. */
export function mergeHeads(x: Tensor): Tensor {
  const [B, H, n, d] = x.shape as [Dim, number, Dim, number]
  if (n === 1) return reshape(x, [B, 1, H * d])
  return reshape(transpose(x, [0, 2, 1, 3]), [B, n, H * d])
}

const attendOp: Op<null> = {
  name: 'attend',
  infer([logits, values]) {
    const [e, v] = [logits as Tensor, values as Tensor]
    if (e.shape.at(-1) !== v.shape.at(-2)) throw new Error('as many logits as values are wanted')
    return [{ dtype: v.dtype, shape: [...e.shape.slice(0, -1), v.shape.at(-1) as Dim] }, e]
  },
  emit({ inputs: [logits, values], outputs: [mixed, map] }, onnx) {
    const { name } = map as Tensor
    onnx.node('Softmax', [(logits as Tensor).name], [name], { axis: -1 })
    onnx.node('MatMul', [name, (values as Tensor).name], [(mixed as Tensor).name])
  },
  macs({ inputs: [logits, values] }, size) {
    const pairs = size((logits as Tensor).shape).reduce((a, b) => a * b, 1)
    return pairs * (size([(values as Tensor).shape.at(-1) as Dim])[0] as number)
  },
  gradient({ inputs: [, values], outputs: [mixed, map] }, [dO, dMap]) {
    if (dMap) throw new Error('attend: the map is for reading only')
    const v = values as Tensor
    const { dLogits, dValues } = attendGradients(map as Tensor, v, mixed as Tensor, dO as Tensor)
    return [dLogits, sumTo(dValues, v.shape)]
  },
}

/**
 * Softmax of the logits, then the values averaged by it.
 *
 * @param logits - `[…, n, m]`
 * @param values - `[…, m, d]`
 * @returns mixed `[…, n, d]` and the map `[…, n, m]`, which no gradient may flow into
 */
export function attend(logits: Tensor, values: Tensor): { readonly mixed: Tensor; readonly map: Tensor } {
  const [mixed, map] = applyAll(attendOp, [logits, values], null) as [Tensor, Tensor]
  return { mixed, map }
}

/**
 * dE = P ∘ (dP - Σ_j P dP), where the row sum equals Σ_d O dO and so needs no pass over the map
 * (FlashAttention, arXiv 2205.14135, algorithm 4).
 */
function attendGradients(map: Tensor, v: Tensor, mixed: Tensor, dO: Tensor) {
  const rowSums = reduceSum(mul(mixed, dO), [dO.shape.length - 1], true) // […, n, 1]
  const dLogits = mul(map, sub(matmul(dO, v, { transB: true }), rowSums)) // […, n, m]
  return { dLogits, dValues: matmul(map, dO, { transA: true }) } // […, m, d]
}
