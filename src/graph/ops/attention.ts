/** Scaled dot-product attention as one operator, for passes that need no map. */

import { type Dim, multiplyDims } from '../dims.js'
import { apply, type Op, type Tensor } from '../graph.js'
import { int64s } from '../onnx.js'

const attentionOp: Op<{ heads: number }> = {
  name: 'attention',
  infer([q, k, v], { heads }) {
    const [query, key, value] = [q, k, v] as [Tensor, Tensor, Tensor]
    const width = query.shape[2] as number
    if (width % heads !== 0) throw new Error(`width ${width} is not a multiple of ${heads} heads`)
    if (key.shape[1] !== value.shape[1]) throw new Error('keys and values differ in number')
    return [{ dtype: query.dtype, shape: query.shape }]
  },
  emit({ inputs, outputs: [y], attrs: { heads } }, onnx) {
    const [q, k, v] = inputs as [Tensor, Tensor, Tensor]
    const result = (y as Tensor).name
    const width = q.shape[2] as number
    const headDim = width / heads
    const scale = headDim ** -0.5
    if (onnx.contrib) {
      const attributes = { num_heads: heads, scale: { float: scale } }
      onnx.node('MultiHeadAttention', [q.name, k.name, v.name], [result], attributes, 'com.microsoft')
      return
    }
    const splitHeads = (x: Tensor, perm: readonly number[]) => {
      const shape = onnx.constant(int64s([0, 0, heads, headDim]), [4])
      const [parts] = onnx.node('Reshape', [x.name, shape], 1) as [string]
      return onnx.node('Transpose', [parts], 1, { perm })[0] as string
    }
    const scaled = onnx.node('Mul', [splitHeads(q, [0, 2, 1, 3]), onnx.constant(Float32Array.of(scale), [])], 1)
    const [logits] = onnx.node('MatMul', [...scaled, splitHeads(k, [0, 2, 3, 1])], 1) as [string]
    const [map] = onnx.node('Softmax', [logits], 1, { axis: -1 }) as [string]
    const [mixed] = onnx.node('MatMul', [map, splitHeads(v, [0, 2, 1, 3])], 1) as [string]
    const [rows] = onnx.node('Transpose', [mixed], 1, { perm: [0, 2, 1, 3] }) as [string]
    onnx.node('Reshape', [rows, onnx.constant(int64s([0, 0, width]), [3])], [result])
  },
  macs({ inputs: [q, k] }, size) {
    const [batch, queries, width] = (q as Tensor).shape as [Dim, Dim, Dim]
    const pairs = multiplyDims(queries, (k as Tensor).shape[1] as Dim)
    const [b, p, w] = size([batch, pairs, width]) as [number, number, number]
    return 2 * b * p * w
  },
}

/**
 * softmax(q kᵀ / √d) v for every head (Vaswani et al., arXiv 1706.03762).
 *
 * @param q - `[B, n, C]`, heads side by side in C
 * @param k - `[B, m, C]`
 * @param v - `[B, m, C]`
 * @returns `[B, n, C]`
 */
export const attention = (q: Tensor, k: Tensor, v: Tensor, heads: number): Tensor =>
  apply(attentionOp, [q, k, v], { heads })
