import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import protobuf from 'protobufjs'
import { evaluate, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { type BuildOptions, buildGraph } from '../models/build.js'
import { keptSymbol } from '../reduction/schedule.js'
import { evaluateShape } from './dims.js'
import { createGraph, type Graph, input, liveNodes, output } from './graph.js'
import { encodeOnnx } from './onnx.js'
import { choose } from './ops/choose.js'
import { neg, scale } from './ops/elementwise.js'
import { slice } from './ops/shape.js'
import { lower } from './passes/precision.js'

const weights = randomWeights(tiny, 1)
const keep = [16, 11, 7, 5]
const batch = 2
const counts = { keep_tokens: { data: BigInt64Array.from(keep, BigInt), shape: [keep.length] } }
const plans: readonly BuildOptions[] = [{ keep }, { elastic: true }, { keep, form: 'masked' }, { method: 'none' }]

/** Whatever nodes make, `If` bodies left out: their values go nowhere else. */
const madeBy = (graph: Graph) => liveNodes(graph).flatMap(({ op, outputs }) => (op.lazy ? [] : outputs))

describe('an encoded graph', () => {
  for (const plan of plans)
    for (const precision of ['fp32', 'int8'] as const)
      it(`declares the shapes that run: ${JSON.stringify(plan)}, ${precision}`, async () => {
        const graph = lower(buildGraph(tiny, weights, plan), { precision })
        const bindings = { batch, ...Object.fromEntries(keep.map((n, l) => [keptSymbol(l), n])) }
        const values = madeBy(graph).filter(({ dtype }) => dtype !== 'bool')
        // operators have outputs that only a gradient asks for
        for (const tensor of values.filter((t) => graph.nodes.some(({ inputs }) => inputs.includes(t))))
          output(`value ${tensor.name}`, tensor)
        const feeds = { pixel_values: randomPixels(tiny, batch, 2), ...(plan.elastic && counts) }
        const results = await evaluate(graph, feeds, { rewrite: false })
        for (const [name, tensor] of graph.outputs)
          assert.deepEqual(results[name]?.shape, evaluateShape(tensor.shape, bindings), name)
      })

  it('declares what is small, in the graph or the branch that makes it', () => {
    const graph = createGraph()
    const large = neg(input(graph, 'x', ['batch', 256, 65])) // more than 2^14 values a picture
    const [first, last] = [slice(large, 1, 0, 2), slice(large, 1, 254, 256)]
    output('y', scale(choose(input(graph, 'flag', [1], 'bool'), first, neg(last)), 2))
    const declared = ({ node, valueInfo }: DecodedGraph): unknown => [
      valueInfo.map(({ name }) => name),
      ...node.flatMap(({ attribute }) => attribute.flatMap(({ g }) => (g ? [declared(g)] : []))),
    ]
    assert.deepEqual(declared(decode(encodeOnnx(graph).bytes)), [
      ['choose', 'mul'],
      [['slice']],
      [['slice_1', 'neg_1']],
    ])
  })

  it('declares nothing that no node makes', () => {
    const { node, valueInfo } = decode(encodeOnnx(lower(buildGraph(tiny, weights, { keep }))).bytes)
    const made = new Set(node.flatMap(({ output }) => output))
    assert.ok(valueInfo.length > 0)
    for (const { name } of valueInfo) assert.ok(made.has(name), name)
  })
})

interface DecodedGraph {
  readonly node: readonly {
    readonly output: readonly string[]
    readonly attribute: readonly { readonly g?: DecodedGraph }[]
  }[]
  readonly valueInfo: readonly { readonly name: string }[]
}

/** The fields of onnx.proto3 that are looked at. */
const { root } = protobuf.parse(`syntax = "proto3";
  message Model { Graph graph = 7; }
  message Graph { repeated Node node = 1; repeated Value value_info = 13; }
  message Node { repeated string output = 2; repeated Attribute attribute = 5; }
  message Attribute { Graph g = 6; }
  message Value { string name = 1; }`)

const decode = (bytes: Uint8Array) =>
  (root.lookupType('Model').decode(bytes) as unknown as { graph: DecodedGraph }).graph
