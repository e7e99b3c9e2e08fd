/**
 * Reverse-mode differentiation: the gradients of a scalar as tensors of the same graph (Griewank and Walther,
 * "Evaluating Derivatives", SIAM 2008, chapters 3 and 12).
 *
 * Every operator brings its own rule; here they are chained. Forward and backward then run as one ONNX graph, in which
 * the runtime frees each tensor after its last reader.
 */

import { applyAll, type Graph, type Node, scalar, scoped, type Tensor } from './graph.js'
import { add } from './ops/elementwise.js'
import { after } from './ops/order.js'
import { zerosLike } from './ops/shape.js'

export interface GradientOptions {
  /**
   * Names the segment that a scope belongs to. What lies inside a segment is not kept for the backward pass but
   * computed again there (Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174).
   */
  readonly recompute?: (scope: string) => string | undefined
}

/**
 * d loss / d parameter for every parameter.
 *
 * @param loss - a float scalar
 * @param parameters - inputs or any other tensors of the loss's graph
 * @returns tensors in the parameters' shapes; zeros where the loss does not depend on a parameter
 * @throws Error when an operator between a parameter and the loss has no gradient rule
 */
export function gradients(loss: Tensor, parameters: readonly Tensor[], options: GradientOptions = {}): Tensor[] {
  const { graph } = loss
  if (loss.shape.length > 0) throw new Error(`gradients want a scalar, found [${loss.shape}]`)
  const { recompute = () => undefined } = options
  const path = nodesBetween(graph, parameters, loss)
  const weights = weightsOnly(graph, parameters)
  const collected = new Map<Tensor, Tensor>([[loss, scalar(graph, 1)]])

  /** Passes the gradients of a node's outputs on to its inputs; the rule reads the values of `stand`. */
  function backward(node: Node, stand: Node): void {
    const arrived = node.outputs.map((tensor) => collected.get(tensor))
    if (arrived.every((gradient) => gradient === undefined)) return
    const { name, gradient } = node.op
    if (!gradient) throw new Error(`${node.scope}: ${name} has no gradient`)
    scoped(graph, `backward/${node.scope}`, () => {
      const passed = gradient(stand, arrived)
      const leaves = passed.filter((g, i): g is Tensor => g !== undefined && weights.has(node.inputs[i] as Tensor))
      for (const [i, tensor] of node.inputs.entries()) {
        const g = passed[i]
        if (!g || tensor.dtype !== 'float32') continue
        // Weights first: the runtime would leave them to the end, and keep all that they are computed from until then.
        const ordered = weights.has(tensor) || leaves.length === 0 ? g : after(g, leaves)
        const known = collected.get(tensor)
        collected.set(tensor, known ? add(known, ordered) : ordered)
      }
    })
  }

  for (const segment of segmentsOf(path, recompute).reverse()) {
    const stands = segment.name === undefined ? new Map<Node, Node>() : computeAgain(graph, segment, collected)
    for (const node of segment.nodes.reverse()) backward(node, stands.get(node) ?? node)
  }
  return parameters.map((parameter) => collected.get(parameter) ?? zerosLike(parameter))
}

/** The parameters and what is computed from nothing else, such as their slices. */
function weightsOnly(graph: Graph, parameters: readonly Tensor[]): Set<Tensor> {
  const weights = new Set<Tensor>(parameters)
  for (const node of graph.nodes)
    if (node.inputs.every((tensor) => weights.has(tensor))) for (const tensor of node.outputs) weights.add(tensor)
  return weights
}

/** The nodes through which `loss` depends on `parameters`, in order. Indices and masks end a path. */
function nodesBetween(graph: Graph, parameters: readonly Tensor[], loss: Tensor): Node[] {
  const dependent = new Set<Tensor>(parameters)
  const reached = graph.nodes.filter((node) => {
    if (!node.inputs.some((tensor) => dependent.has(tensor))) return false
    for (const tensor of node.outputs) if (tensor.dtype === 'float32') dependent.add(tensor)
    return true
  })
  const needed = new Set<Tensor>([loss])
  return reached
    .reverse()
    .filter((node) => {
      if (!node.outputs.some((tensor) => needed.has(tensor))) return false
      for (const tensor of node.inputs) needed.add(tensor)
      return true
    })
    .reverse()
}

interface Segment {
  /** Absent for a node on its own, whose values are kept. */
  readonly name: string | undefined
  readonly nodes: Node[]
}

/** Nodes by segment: each segment in one piece, at the place of its first node. */
function segmentsOf(nodes: readonly Node[], nameOf: (scope: string) => string | undefined): Segment[] {
  const segments: Segment[] = []
  const named = new Map<string, Segment>()
  for (const node of nodes) {
    const name = nameOf(node.scope)
    const known = name === undefined ? undefined : named.get(name)
    if (known) {
      known.nodes.push(node)
      continue
    }
    const segment = { name, nodes: [node] }
    segments.push(segment)
    if (name !== undefined) named.set(name, segment)
  }
  return segments
}

/** Copies of a segment's nodes that compute the same values, but only when the backward pass has come this far. */
function computeAgain(graph: Graph, { nodes }: Segment, collected: ReadonlyMap<Tensor, Tensor>): Map<Node, Node> {
  const position = new Map(graph.nodes.map((node, i) => [node, i]))
  const age = (tensor: Tensor) => (tensor.node ? (position.get(tensor.node) ?? 0) : -1)
  const arrived = nodes.flatMap((node) => node.outputs.flatMap((tensor) => collected.get(tensor) ?? []))
  const latest = arrived.reduce((a, b) => (age(b) > age(a) ? b : a))
  const inside = new Set(nodes.flatMap((node) => node.outputs))
  const copies = new Map<Tensor, Tensor>()
  const copyOf = (tensor: Tensor): Tensor => {
    const known = copies.get(tensor)
    if (known) return known
    // Rows that enter the segment wait; weights, constants and selections are at hand anyway.
    const waits = tensor.node !== undefined && tensor.dtype === 'float32' && !inside.has(tensor)
    const copy = waits ? after(tensor, [latest]) : tensor
    copies.set(tensor, copy)
    return copy
  }
  return new Map(
    nodes.map((node) =>
      scoped(graph, `again/${node.scope}`, () => {
        const outputs = applyAll(node.op, node.inputs.map(copyOf), node.attrs)
        for (const [i, tensor] of node.outputs.entries()) copies.set(tensor, outputs[i] as Tensor)
        return [node, (outputs[0] as Tensor).node as Node]
      }),
    ),
  )
}
