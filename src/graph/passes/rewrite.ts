/** Graph to graph: the frame that every pass fills with a rule. */

import {
  applyAll,
  constant,
  createGraph,
  type Graph,
  input,
  liveNodes,
  type Node,
  output,
  scoped,
  type Tensor,
} from '../graph.js'

/**
 * What becomes of a node: tensors of the new graph in place of its outputs, or `undefined` to copy it.
 *
 * @param inputs - the node's inputs, already in the new graph
 * @param graph - the new graph
 */
export type Rule = (node: Node, inputs: readonly Tensor[], graph: Graph) => readonly Tensor[] | undefined

/** How the edges that no node makes are carried over; by default as they are. */
export interface Edges {
  readonly input?: (tensor: Tensor) => Tensor
  /** `undefined` copies the constant. */
  readonly constant?: (tensor: Tensor, graph: Graph) => Tensor | undefined
  readonly output?: (tensor: Tensor) => Tensor
}

/** Rewrites the part of `graph` that its outputs need. Constants keep their data without a copy. */
export function rewrite(graph: Graph, rule: Rule, edges: Edges = {}): Graph {
  const result = createGraph()
  const images = new Map<Tensor, Tensor>()
  for (const tensor of graph.inputs) {
    const same = input(result, tensor.name, tensor.shape, tensor.dtype)
    images.set(tensor, edges.input?.(same) ?? same)
  }
  const image = (tensor: Tensor): Tensor => {
    const known = images.get(tensor)
    if (known) return known
    if (!tensor.data) throw new Error(`${tensor.name} is read before it is made`)
    const made = edges.constant?.(tensor, result) ?? copyConstant(tensor, result)
    images.set(tensor, made)
    return made
  }
  for (const node of liveNodes(graph)) {
    const outputs = scoped(result, node.scope, () => {
      const inputs = node.inputs.map(image)
      return rule(node, inputs, result) ?? applyAll(node.op, inputs, node.attrs)
    })
    for (const [i, tensor] of node.outputs.entries()) {
      const made = outputs[i]
      if (made) images.set(tensor, made)
    }
  }
  for (const [name, tensor] of graph.outputs) output(name, edges.output?.(image(tensor)) ?? image(tensor))
  return result
}

const copyConstant = (tensor: Tensor, graph: Graph): Tensor =>
  constant(
    graph,
    tensor.data as NonNullable<Tensor['data']>,
    tensor.shape as readonly number[],
    tensor.name,
    tensor.dtype,
  )
