/**
 * A block with some of its heads: rows and columns of its weights are taken when the graph runs, so that the others cost
 * nothing. Heads lie side by side in the C channels, d each; in an MLP of R·C units those of a head are R·d, in each half
 * of a gated one.
 */

import { fail } from '../errors.js'
import { type Dim, multiplyDims } from '../graph/dims.js'
import type { Tensor } from '../graph/graph.js'
import { attend } from '../graph/ops/attention.js'
import { add, mul } from '../graph/ops/elementwise.js'
import { linear, matmul } from '../graph/ops/linear.js'
import { take, takeParts } from '../graph/ops/rows.js'
import { reshape, split, transpose } from '../graph/ops/shape.js'
import type { HeadPieces, Heads, Projection } from '../reduction/block.js'

/** What the pieces are made of. */
export interface HeadParts {
  /** H. */
  readonly heads: number
  /** 0 query, 1 key, 2 value. */
  projection(i: 0 | 1 | 2): Projection
  weight(name: string): Tensor
  /** Queries or keys by head `[…, d]` as they enter the product. */
  normed(name: 'q_norm' | 'k_norm', t: Tensor): Tensor
  norm2(x: Tensor): Tensor
  activate(x: Tensor): Tensor
  /** The MLP's first layer has two halves, of which the first gates the second. */
  readonly gated?: true
  /** A branch as it is added to the residual. */
  scaled(name: 'ls1' | 'ls2', x: Tensor): Tensor
}

/** The pieces of these heads. */
export function headPieces({ at, on }: Heads, parts: HeadParts): HeadPieces {
  const { heads: H, weight, scaled } = parts
  const [batch, h] = on.shape as [Dim, Dim]
  /** Rows of a weight or a bias that are some heads': `[H·r, …]` → `[h·r, …]`. */
  const rowsOf = (t: Tensor): Tensor => takeParts(t, at, 0, H)
  /** Columns of a weight that are some heads': `[out, H·r]` → `[out, h·r]`. */
  const columnsOf = (t: Tensor): Tensor => takeParts(t, at, 1, H)
  /** `[B, n, h·d]` by head: `[B, n, h, d]`. */
  const byHead = (t: Tensor, d: number): Tensor => reshape(t, [...t.shape.slice(0, 2), h, d])
  const joined = (t: Tensor): Tensor => reshape(t, [...t.shape.slice(0, 2), multiplyDims(h, t.shape[3] as number)]) // [B, n, h·d]
  const project = (i: 0 | 1 | 2, y: Tensor): Tensor => {
    const { weight: all, bias } = parts.projection(i)
    return byHead(linear(y, rowsOf(all), bias && rowsOf(bias)), (y.shape[2] as number) / H) // [B, n, h, d]
  }

  return {
    attend(asking, y, bias) {
      const heads = (t: Tensor) => transpose(t, [0, 2, 1, 3]) // [B, h, n, d]
      const q = heads(parts.normed('q_norm', project(0, asking))) // [B, h, a, d]
      const k = heads(parts.normed('k_norm', project(1, y))) // [B, h, n, d]
      const logits = matmul(q, k, { transB: true, alpha: (q.shape[3] as number) ** -0.5 }) // [B, h, a, n]
      const { mixed } = attend(bias ? add(logits, bias) : logits, heads(project(2, y))) // [B, h, a, d]
      const o = joined(heads(mul(mixed, reshape(on, [batch, h, 1, 1])))) // [B, a, h·d]
      return scaled('ls1', linear(o, columnsOf(weight('attn.proj.weight')), weight('attn.proj.bias'))) // [B, a, C]
    },
    feedForward(x, channels) {
      const y = parts.norm2(x) // [B, n, C]
      const halves = (t: Tensor) => (parts.gated ? split(t, 0, 2) : [t])
      const [first, second] = [halves(weight('mlp.fc1.weight')), weight('mlp.fc2.weight')]
      const [bias, lastBias] = [halves(weight('mlp.fc1.bias')), weight('mlp.fc2.bias')]
      const factors = reshape(on, [batch, 1, h, 1])
      const units = (each: (weight: Tensor, bias: Tensor) => Tensor) => {
        const [u, v] = first.map((half, i) => each(half, bias[i] as Tensor)) as [Tensor, Tensor?]
        return v ? mul(parts.activate(u), v) : parts.activate(u)
      }
      if (channels === 'hidden') {
        const each = (second.shape[1] as number) / H // R·d
        if (!Number.isInteger(each))
          fail(
            `dropped hidden: wanted an MLP whose ${second.shape[1]} units divide into ${H} heads; inputs does without`,
          )
        const hidden = units((half, b) => joined(mul(byHead(linear(y, rowsOf(half), rowsOf(b)), each), factors))) // [B, n, h·R·d]
        return scaled('ls2', linear(hidden, columnsOf(second), lastBias)) // [B, n, C]
      }
      const [B, n, C] = y.shape as [Dim, Dim, number]
      const input = joined(mul(take(reshape(y, [B, n, H, C / H]), at, 2), factors)) // [B, n, h·d]
      const hidden = units((half, b) => linear(input, columnsOf(half), b)) // [B, n, R·C]
      return scaled('ls2', linear(hidden, second, lastBias)) // [B, n, C]
    },
  }
}
