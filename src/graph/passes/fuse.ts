/** Rewrites that change no number beyond rounding and save a pass over memory. */

import type { Graph, Node, Tensor } from '../graph.js'
import { attentionWithBias } from '../ops/attention.js'
import { linear } from '../ops/linear.js'
import { readers, rewrite } from './rewrite.js'

/**
 * Moves the bias of a packed query-key-value product into the attention that reads it.
 *
 * A Gemm writes its bias to the whole output first, on one thread; the attention operator adds it while it reorders
 * queries, keys and values, which it does anyway. Only for ONNX Runtime's own attention operator.
 */
export function fuseAttentionBias(graph: Graph): Graph {
  const read = readers(graph)
  const only = (tensor: Tensor, reader: Node) => read.get(tensor)?.every((node) => node === reader) ?? false
  const biases = new Map<Node, Tensor>() // attention → bias
  const stripped = new Set<Node>() // linear layers that lose theirs
  for (const node of graph.nodes) {
    const packed = node.op.name === 'attention' ? packedProduct(node) : undefined
    const bias = packed?.linear.inputs[2]
    if (!packed || !bias?.data) continue
    const { linear, split } = packed
    const alone = split.outputs.every((part) => only(part, node)) && only(linear.outputs[0] as Tensor, split)
    if (!alone || node.outputs.slice(1).some((saved) => read.has(saved))) continue
    biases.set(node, bias)
    stripped.add(linear)
  }
  const bias = new Map<Node, Tensor>()
  return rewrite(graph, (node, inputs) => {
    const [a, b, c] = inputs as [Tensor, Tensor, Tensor]
    if (stripped.has(node)) {
      bias.set(node, c)
      return [linear(a, b)]
    }
    const packed = biases.has(node) ? packedProduct(node) : undefined
    const moved = packed && bias.get(packed.linear)
    if (!moved) return undefined
    return [attentionWithBias(a, b, c, moved, (node.attrs as { heads: number }).heads)]
  })
}

/** The linear layer and its split whose three parts are the attention's query, key and value, if that is so. */
function packedProduct({ inputs }: Node): { readonly linear: Node; readonly split: Node } | undefined {
  const split = inputs[0]?.node
  const linear = split?.inputs[0]?.node
  if (split?.op.name !== 'split' || linear?.op.name !== 'linear' || split.outputs.length !== 3) return undefined
  return inputs.every((part, i) => part === split.outputs[i]) ? { linear, split } : undefined
}
