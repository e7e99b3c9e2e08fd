/**
 * A model as a typed graph: tensors are edges with a shape and an element type, nodes apply operators.
 *
 * Operators live in `ops/`; each carries its shape rule, ONNX emission, cost and gradient side by side.
 */

import { type Bindings, evaluateShape, type Shape, sameShape } from './dims.js'

export type DType = 'float32' | 'float16' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool'

/** Values of a constant: one entry per element; float16 as its bits, bool as 0 or 1. */
export type TensorData = Float32Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array

export interface TensorType {
  readonly dtype: DType
  readonly shape: Shape
}

/** An edge of the graph. Constants hold data, results of operators hold their node, inputs hold neither. */
export interface Tensor extends TensorType {
  readonly graph: Graph
  readonly name: string
  readonly node?: Node
  readonly data?: TensorData
}

/** Names in the order of the tensors, as ONNX nodes list them. */
export const namesOf = (tensors: readonly Tensor[]): string[] => tensors.map((tensor) => tensor.name)

export type Attributes = Readonly<Record<string, unknown>>

/** An operator applied to tensors. `scope` says where in the model: `blocks.3/attn`. */
export interface Node<A = unknown> {
  readonly op: Op<A>
  readonly attrs: A
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly scope: string
}

/** What an ONNX node's attribute may hold: integers are plain, floats and graphs are tagged. */
export type OnnxAttribute =
  | number
  | readonly number[]
  | string
  | { readonly float: number }
  | { readonly graph: Readonly<Record<string, unknown>> }

/** Where an operator writes the ONNX nodes that compute it. */
export interface Emitter {
  /** Allow ONNX Runtime's `com.microsoft` operators; otherwise only standard ones. */
  readonly contrib: boolean
  /** Adds a node; returns the names of its `outputs` (fresh ones for a count). */
  node(
    type: string,
    inputs: readonly string[],
    outputs: readonly string[] | number,
    attributes?: Readonly<Record<string, OnnxAttribute | undefined>>,
    domain?: string,
  ): string[]
  /** Adds a constant; equal small constants are shared. */
  constant(data: TensorData, shape: readonly number[], dtype?: DType): string
  /** True when somebody reads this tensor. */
  used(tensor: Tensor): boolean
  /** What nobody but a lazy input of `reader` needs, as a graph of its own. */
  body(reader: Node, input: number): OnnxAttribute
}

/** An operator. A = its attributes. */
export interface Op<A = unknown> {
  readonly name: string
  /** Inputs that are computed only when the operator asks for them. */
  readonly lazy?: readonly number[]
  /** How much of a lazy input's work counts, from 0 to 1; absent: all. */
  share?(node: Node<A>, input: number, size: (shape: Shape) => number[]): number
  /** Shapes and element types of the outputs; throws on inputs that do not fit. */
  infer(inputs: readonly Tensor[], attrs: A): readonly TensorType[]
  /** Writes ONNX nodes. */
  emit(node: Node<A>, onnx: Emitter): void
  /** Multiply-adds of matrix products and convolutions (the field's GMACs); absent = none. */
  macs?(node: Node<A>, size: (shape: Shape) => number[]): number
  /**
   * Gradients of the inputs, given those of the outputs (`undefined` for an output that the loss does not read);
   * `undefined` where nothing flows. Gradients that nobody needs cost nothing: they are never emitted.
   */
  gradient?(node: Node<A>, outputGradients: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[]
}

export interface Graph {
  readonly nodes: Node[]
  readonly inputs: Tensor[]
  /** Constants by the memory that holds them. */
  readonly constants: Map<ArrayBufferLike, Tensor[]>
  readonly outputs: Map<string, Tensor>
  /** Current scope, see {@link scoped}. */
  scope: string
  /** Names given so far, and how often they were wanted again. */
  readonly names: Map<string, number>
}

export const createGraph = (): Graph => ({
  nodes: [],
  inputs: [],
  constants: new Map(),
  outputs: new Map(),
  scope: '',
  names: new Map(),
})

function uniqueName({ names }: Graph, wanted: string): string {
  let name = wanted
  let count = names.get(wanted) ?? 0
  for (; names.has(name); count++) name = `${wanted}_${count + 1}`
  names.set(wanted, count)
  if (name !== wanted) names.set(name, 0)
  return name
}

/** Adds a graph input, fed at every run. */
export function input(graph: Graph, name: string, shape: Shape, dtype: DType = 'float32'): Tensor {
  if (graph.names.has(name)) throw new Error(`input ${name} exists already`)
  graph.names.set(name, 0)
  const tensor: Tensor = { graph, name, dtype, shape }
  graph.inputs.push(tensor)
  return tensor
}

/**
 * Adds a constant (a weight, usually). The data is kept by reference. The same view of the same memory in the same shape is
 * one constant, and in other shapes the same array.
 */
export function constant(
  graph: Graph,
  data: TensorData,
  shape: readonly number[],
  name = 'constant',
  dtype: DType = dtypeOf(data),
): Tensor {
  const count = shape.reduce((a, b) => a * b, 1)
  if (data.length !== count)
    throw new Error(`constant ${name}: shape [${shape}] wants ${count} values, found ${data.length}`)
  const neighbours = graph.constants.get(data.buffer) ?? []
  const same = neighbours.filter((t) => t.dtype === dtype && sameView(t.data as TensorData, data))
  const known = same.find((t) => sameShape(t.shape, shape))
  if (known) return known
  const tensor: Tensor = { graph, name: uniqueName(graph, name), dtype, shape, data: same[0]?.data ?? data }
  neighbours.push(tensor)
  graph.constants.set(data.buffer, neighbours)
  return tensor
}

const sameView = (a: TensorData, b: TensorData): boolean =>
  a.byteOffset === b.byteOffset && a.byteLength === b.byteLength

/** A float32 scalar constant. */
export const scalar = (graph: Graph, value: number): Tensor =>
  constant(graph, Float32Array.of(value), [], `scalar_${value}`)

function dtypeOf(data: TensorData): DType {
  if (data instanceof Float32Array) return 'float32'
  if (data instanceof BigInt64Array) return 'int64'
  if (data instanceof Int32Array) return 'int32'
  if (data instanceof Int8Array) return 'int8'
  if (data instanceof Uint16Array) return 'float16'
  return 'uint8'
}

/** Names a tensor as an output of the graph. */
export function output(name: string, tensor: Tensor): void {
  tensor.graph.outputs.set(name, tensor)
}

/** Builds `body` inside a scope: `blocks.3`, within it `attn` gives `blocks.3/attn`. */
export function scoped<T>(graph: Graph, scope: string, body: () => T): T {
  const outer = graph.scope
  graph.scope = outer === '' ? scope : `${outer}/${scope}`
  try {
    return body()
  } finally {
    graph.scope = outer
  }
}

/** Applies an operator and returns all its outputs. */
export function applyAll<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): readonly Tensor[] {
  const graph = inputs[0]?.graph
  if (!graph) throw new Error(`${op.name}: no inputs`)
  let types: readonly TensorType[]
  try {
    types = op.infer(inputs, attrs)
  } catch (error) {
    const where = graph.scope === '' ? op.name : `${graph.scope}/${op.name}`
    throw new Error(`${where}: ${(error as Error).message}; inputs ${inputs.map((t) => `[${t.shape}]`).join(', ')}`)
  }
  const outputs: Tensor[] = []
  const node: Node<A> = { op, attrs, inputs, outputs, scope: graph.scope }
  const base = graph.scope === '' ? op.name : `${graph.scope}/${op.name}`
  for (const { dtype, shape } of types)
    outputs.push({ graph, name: uniqueName(graph, base), dtype, shape, node: node as Node })
  graph.nodes.push(node as Node)
  return outputs
}

/** Applies an operator that has one output. */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  return applyAll(op, inputs, attrs)[0] as Tensor
}

/** Nodes that the outputs need, in order. */
export function liveNodes(graph: Graph): Node[] {
  const needed = new Set<Tensor>(graph.outputs.values())
  const live: Node[] = []
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i] as Node
    if (!node.outputs.some((tensor) => needed.has(tensor))) continue
    live.push(node)
    for (const tensor of node.inputs) needed.add(tensor)
  }
  return live.reverse()
}

/** How much of every node counts: what only a lazy input needs, as much as that; all else in full. */
function sharesOf(graph: Graph, live: readonly Node[], size: (shape: Shape) => number[]): Map<Node, number> {
  const shares = new Map<Node, number>()
  const readIn = new Map<Tensor, Set<Branch>>()
  const whole: Branch = { share: 1 }
  const note = (tensor: Tensor, branch: Branch) =>
    readIn.set(tensor, (readIn.get(tensor) ?? new Set<Branch>()).add(branch))
  for (const tensor of graph.outputs.values()) note(tensor, whole)
  for (const node of [...live].reverse()) {
    const places = new Set(node.outputs.flatMap((tensor) => [...(readIn.get(tensor) ?? [])]))
    const [only = whole] = places.size === 1 ? places : []
    shares.set(node, only.share)
    for (const [i, tensor] of node.inputs.entries()) {
      const isLazy = node.op.lazy?.includes(i)
      note(tensor, isLazy ? { share: only.share * (node.op.share?.(node, i, size) ?? 1) } : only)
    }
  }
  return shares
}

/** A part of a graph that runs or does not, as a whole. */
interface Branch {
  readonly share: number
}

/** Multiply-adds by scope, of the nodes the outputs need. */
export function macsByScope(graph: Graph, bindings: Bindings = { batch: 1 }): Map<string, number> {
  const size = (shape: Shape) => evaluateShape(shape, bindings)
  const macs = new Map<string, number>()
  const live = liveNodes(graph)
  const shares = sharesOf(graph, live, size)
  for (const node of live) {
    const cost = (node.op.macs?.(node, size) ?? 0) * (shares.get(node) as number)
    if (cost > 0) macs.set(node.scope, (macs.get(node.scope) ?? 0) + cost)
  }
  return macs
}

/** Multiply-adds of one run, for one picture unless `bindings` say otherwise. */
export const totalMacs = (graph: Graph, bindings: Bindings = { batch: 1 }): number =>
  [...macsByScope(graph, bindings).values()].reduce((a, b) => a + b, 0)
