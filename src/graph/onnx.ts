/**
 * Lowers a graph to an ONNX model: standard operators at opset 17, and ONNX Runtime's own where allowed.
 *
 * Format: onnx.ai, "Open Neural Network Exchange Intermediate Representation", IR version 8.
 */

import { type Shape, unitElements } from './dims.js'
import type { DType, Emitter, Graph, Node, OnnxAttribute, Tensor, TensorData, TensorType } from './graph.js'
import { liveNodes } from './graph.js'
import { encodeMessage, type Message } from './schema.js'

const OPSET = 17
const IR_VERSION = 8

/** TensorProto.DataType */
const onnxTypes: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
}

/** AttributeProto.AttributeType */
const attributeTypes = { float: 1, int: 2, string: 3, graph: 5, ints: 7 } as const

/** Constants of at least this many bytes stay outside the protobuf when `external` is asked for. */
const EXTERNAL_BYTES = 1024

/**
 * Results of at most so many elements a picture have their type declared.
 *
 * A runtime infers shapes, but not that 138 rows of every picture are 138·batch rows. Told so, it finds memory that has
 * become free for the next tensor of the same shape at once; else it looks through all that is free, and opening takes a
 * time that grows with the square of the nodes. Large tensors are better left to its allocator, which also fills the
 * place of one with several others.
 */
const DECLARED_ELEMENTS = 2 ** 14

export interface EncodeOptions {
  /** Use ONNX Runtime's `com.microsoft` operators. Default true. */
  readonly contrib?: boolean
  /** Hand large constants over beside the model instead of copying them into it. Default false. */
  readonly external?: boolean
  /** Key-value pairs stored with the model. */
  readonly metadata?: Readonly<Record<string, string>>
}

export interface OnnxModel {
  readonly bytes: Uint8Array
  /** Constants left outside, by the location named in the model. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array }[]
}

/** The bytes of a typed array; ONNX stores little-endian, as does every platform JavaScript runs on here. */
const bytesOf = (data: TensorData): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

function valueInfo(name: string, type: TensorType) {
  const dim = type.shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }))
  return { name, type: { tensorType: { elemType: onnxTypes[type.dtype], shape: { dim } } } }
}

function attributeProto(name: string, value: OnnxAttribute) {
  if (typeof value === 'number') return { name, i: value, type: attributeTypes.int }
  if (typeof value === 'string') return { name, s: new TextEncoder().encode(value), type: attributeTypes.string }
  if ('float' in value) return { name, f: value.float, type: attributeTypes.float }
  if ('graph' in value) return { name, g: value.graph, type: attributeTypes.graph }
  return { name, ints: value as readonly number[], type: attributeTypes.ints }
}

/**
 * Encodes the part of `graph` that its outputs need as an ONNX model.
 *
 * @throws Error when the graph has no outputs
 */
export function encodeOnnx(graph: Graph, options: EncodeOptions = {}): OnnxModel {
  if (graph.outputs.size === 0) throw new Error('graph has no outputs')
  const { contrib = true, external = false, metadata = {} } = options
  const live = liveNodes(graph)
  const read = new Set<Tensor>([...live.flatMap((node) => node.inputs), ...graph.outputs.values()])
  const main = emptyPart()
  const bodies = lazyBodies(graph, live)
  let part = main // where nodes are written
  const initializers: Message[] = []
  const externalData: { path: string; data: Uint8Array }[] = []
  const emitted = new Set<Tensor>()
  const shared = new Map<string, string>()
  let fresh = 0

  function initializer(name: string, data: TensorData, shape: readonly number[], dtype: DType) {
    const bytes = bytesOf(data)
    const tensor = { name, dims: shape, dataType: onnxTypes[dtype] }
    if (external && bytes.length >= EXTERNAL_BYTES) {
      externalData.push({ path: name, data: bytes })
      const entries = { location: name, offset: '0', length: String(bytes.length) }
      const externalEntries = Object.entries(entries).map(([key, value]) => ({ key, value }))
      initializers.push({ ...tensor, dataLocation: 1, externalData: externalEntries })
    } else {
      initializers.push({ ...tensor, rawData: bytes })
    }
  }

  function emitConstant(tensor: Tensor) {
    if (!tensor.data || emitted.has(tensor)) return
    const { data, dtype } = tensor
    const neighbours = graph.constants.get(data.buffer) ?? []
    const same = neighbours.find((other) => emitted.has(other) && other.data === data && other.dtype === dtype)
    emitted.add(tensor)
    const shape = tensor.shape as readonly number[]
    if (!same) initializer(tensor.name, data, shape, dtype)
    else onnx.node('Reshape', [same.name, onnx.constant(int64s(shape), [shape.length])], [tensor.name])
  }

  const isDeclared = (tensor: Tensor) => read.has(tensor) && unitElements(tensor.shape) <= DECLARED_ELEMENTS

  const onnx: Emitter = {
    contrib,
    node(type, inputs, outputs, attributes = {}, domain = '') {
      const names =
        typeof outputs === 'number' ? Array.from({ length: outputs }, () => `${type}#${fresh++}`) : [...outputs]
      const attribute = Object.entries(attributes).flatMap(([name, value]) =>
        value === undefined ? [] : [attributeProto(name, value)],
      )
      const name = `${names[0]}:${type}`
      part.nodes.push({ name, opType: type, input: [...inputs], output: names, attribute, domain })
      return names
    },
    constant(data, shape, dtype = data instanceof BigInt64Array ? 'int64' : 'float32') {
      const key = data.length <= 16 ? `${dtype}[${shape}]${Array.from<number | bigint>(data).join()}` : undefined
      const known = key === undefined ? undefined : shared.get(key)
      if (known !== undefined) return known
      const name = `constant#${fresh++}`
      initializer(name, data, shape, dtype)
      if (key !== undefined) shared.set(key, name)
      return name
    },
    used: (tensor) => read.has(tensor),
    body(reader, input) {
      const tensor = reader.inputs[input] as Tensor
      const name = `${tensor.name}#${fresh++}`
      const result = { name, opType: 'Identity', input: [tensor.name], output: [name] }
      const { nodes, values } = bodies.of(reader, input)
      return { graph: { name, node: [...nodes, result], valueInfo: values, output: [valueInfo(name, tensor)] } }
    },
  }

  for (const node of live) {
    part = main
    for (const tensor of node.inputs) emitConstant(tensor)
    part = bodies.around(node) ?? main
    node.op.emit(node, onnx)
    for (const tensor of node.outputs.filter(isDeclared)) part.values.push(valueInfo(tensor.name, tensor))
  }
  part = main
  const outputs = [...graph.outputs].map(([name, tensor]) => {
    emitConstant(tensor)
    onnx.node('Identity', [tensor.name], [name])
    return valueInfo(name, tensor)
  })

  const opsets = [{ domain: '', version: OPSET }]
  if (contrib) opsets.push({ domain: 'com.microsoft', version: 1 })
  const bytes = encodeMessage('ModelProto', {
    irVersion: IR_VERSION,
    producerName: 'idlevit',
    opsetImport: opsets,
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: 'idlevit',
      node: main.nodes,
      initializer: initializers,
      input: graph.inputs.map((tensor) => valueInfo(tensor.name, tensor)),
      output: outputs,
      valueInfo: main.values,
    },
  })
  return { bytes, externalData }
}

/** Nodes, and the types of some of what they make. */
interface GraphPart {
  readonly nodes: Message[]
  readonly values: Message[]
  /** The part whose node this is a body of; `undefined` for the graph itself and bodies of its nodes. */
  readonly outer?: GraphPart | undefined
}

const emptyPart = (outer?: GraphPart): GraphPart => ({ nodes: [], values: [], outer })

/** The parts of a graph that only a lazy input of some node needs. */
interface Bodies {
  /** The body that a node belongs to; `undefined` for the graph itself. */
  around(node: Node): GraphPart | undefined
  /** What a lazy input needs. */
  of(reader: Node, input: number): GraphPart
}

/** A body and those around it, the innermost first. */
const around = (part: GraphPart | undefined): GraphPart[] => (part ? [part, ...around(part.outer)] : [])

/**
 * Sorts nodes into bodies, from the last reader back: a node belongs to the innermost body that all its readers are in, or
 * in bodies of. Constants stay with the graph itself.
 */
function lazyBodies(graph: Graph, live: readonly Node[]): Bodies {
  const bodies = new Map<Node, Map<number, GraphPart>>() // by reader and input
  const homes = new Map<Node, GraphPart>()
  const readIn = new Map<Tensor, Set<GraphPart | undefined>>()
  const note = (tensor: Tensor, body: GraphPart | undefined) =>
    readIn.set(tensor, (readIn.get(tensor) ?? new Set()).add(body))
  for (const tensor of graph.outputs.values()) note(tensor, undefined)
  for (const node of [...live].reverse()) {
    const [first, ...others] = new Set(node.outputs.flatMap((tensor) => [...(readIn.get(tensor) ?? [])]))
    const home = around(first).find((part) => others.every((other) => around(other).includes(part)))
    if (home) homes.set(node, home)
    const lazy = new Map(node.op.lazy?.map((input) => [input, emptyPart(home)]))
    bodies.set(node, lazy)
    for (const [i, tensor] of node.inputs.entries()) note(tensor, lazy.get(i) ?? home)
  }
  return { around: (node) => homes.get(node), of: (reader, input) => bodies.get(reader)?.get(input) ?? emptyPart() }
}

/** An int64 constant from numbers. */
export const int64s = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt)

/** ONNX `Reshape` target: a symbolic dimension that stays in place is 0, one other may be -1. */
export function reshapeTarget(from: Shape, to: Shape): number[] {
  let inferred = 0
  const target = to.map((dim, i) => {
    if (typeof dim === 'number') return dim
    if (from[i] === dim) return 0
    inferred++
    return -1
  })
  if (inferred > 1) throw new Error(`reshape [${from}] to [${to}]: more than one unknown dimension moves`)
  return target
}
