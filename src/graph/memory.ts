/** How much memory a run takes: the tensors that are alive at the same time. */

import { type Bindings, evaluateDim } from './dims.js'
import { type DType, type Graph, liveNodes, type Tensor } from './graph.js'

const bytesPerElement: Record<DType, number> = {
  float32: 4,
  float16: 2,
  int64: 8,
  int32: 4,
  int8: 1,
  uint8: 1,
  bool: 1,
}

/**
 * Peak bytes of inputs and intermediate results, weights left out, when nodes run in order and a tensor is freed after
 * its last reader. The runtime's own buffers (packed matrices, its allocator's slack) come on top.
 */
export function peakMemory(graph: Graph, bindings: Bindings = { batch: 1 }): number {
  const nodes = liveNodes(graph)
  const size = ({ shape, dtype }: Tensor) =>
    shape.reduce<number>((product, dim) => product * evaluateDim(dim, bindings), bytesPerElement[dtype])
  const lastReader = new Map<Tensor, number>()
  for (const [i, node] of nodes.entries()) for (const tensor of node.inputs) lastReader.set(tensor, i)
  for (const tensor of graph.outputs.values()) lastReader.set(tensor, nodes.length)
  let alive = graph.inputs.reduce((sum, tensor) => sum + size(tensor), 0)
  let peak = alive
  for (const [i, node] of nodes.entries()) {
    for (const tensor of node.outputs) if (lastReader.has(tensor)) alive += size(tensor)
    peak = Math.max(peak, alive)
    for (const tensor of new Set(node.inputs)) if (!tensor.data && lastReader.get(tensor) === i) alive -= size(tensor)
  }
  return peak
}
