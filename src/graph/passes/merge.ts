/** Pictures and rows as one axis, for operators that treat every row alike: fewer views between them. */

import { type Dim, multiplyDims, type Shape, sameShape } from '../dims.js'
import { applyAll, type Graph, liveNodes, type Tensor } from '../graph.js'
import { reshape } from '../ops/shape.js'
import { memoize } from './memoize.js'
import { rewrite } from './rewrite.js'

/** Inputs `[B, n, …]` that may as well come as `[B·n, …]`, by operator; what is made of them then does, too. */
const rowInputs: Readonly<Record<string, readonly number[]>> = {
  add: [0, 1],
  addRows: [0, 1, 2],
  gatherRows: [0, 1],
  gelu: [0],
  layerNorm: [0],
  linear: [0],
  scatterRows: [0, 1, 2],
}

/**
 * Merges the two leading axes wherever nothing looks across the rows of a picture.
 *
 * A view costs nothing when a graph runs, but when a runtime opens it, its planning grows with the square of the nodes.
 */
export function mergeRows(graph: Graph): Graph {
  const merged = memoize((x: Tensor) => view(x, mergedShape(x.shape))) // [B, n, …] → [B·n, …]
  const read = new Set<Tensor>([...liveNodes(graph).flatMap((node) => node.inputs), ...graph.outputs.values()])
  return rewrite(graph, ({ op, attrs, outputs }, inputs) => {
    if (op.name === 'reshape') return [view(inputs[0] as Tensor, (attrs as { shape: Shape }).shape)]
    const rows = rowInputs[op.name]?.filter((i) => isMergeable(inputs[i] as Tensor)) ?? []
    if (rows.length === 0 || !outputs.every(comesBack) || (op.name === 'add' && !areAlike(inputs))) return undefined
    const made = applyAll(
      op,
      inputs.map((x, i) => (rows.includes(i) ? merged(x) : x)),
      attrs,
    )
    return outputs.map((y, i) => (read.has(y) ? view(made[i] as Tensor, y.shape) : (made[i] as Tensor)))
  })
}

const mergedShape = ([B, n, ...rest]: Shape): Shape => [multiplyDims(B as Dim, n as Dim), ...rest]

/** Rows `[B, n, C]` or row numbers `[B, n]`, n and C known. */
const isMergeable = (x: Tensor): boolean => x.shape.length === (x.dtype === 'int64' ? 2 : 3) && comesBack(x)

/** Whether B alone is a symbol: from a product of two there is no way back. */
const comesBack = ({ shape: [, ...rest] }: Tensor): boolean => rest.every((size) => typeof size === 'number')

const areAlike = ([a, b]: readonly Tensor[]): boolean => sameShape(a?.shape as Shape, b?.shape as Shape)

/** x in another shape, of a view the tensor behind it. */
function view(x: Tensor, shape: Shape): Tensor {
  const base = x.node?.op.name === 'reshape' && symbols(shape) < 2 ? (x.node.inputs[0] as Tensor) : x
  return sameShape(base.shape, shape) ? base : reshape(base, shape)
}

const symbols = (shape: Shape): number => shape.filter((dim) => typeof dim === 'string').length
