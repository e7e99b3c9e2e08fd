import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { evaluate, floats, maxAbsDiff, randomPixels, randomWeights, tiny } from '../../../test/support/models.js'
import { toFloat16 } from '../../float16.js'
import { buildGraph } from '../../models/build.js'
import { createRandom } from '../../random.js'
import { createSession } from '../../runtime/node.js'
import {
  constant,
  createGraph,
  type Graph,
  input,
  liveNodes,
  type Node,
  output,
  type Tensor,
  totalMacs,
} from '../graph.js'
import { encodeOnnx } from '../onnx.js'
import { linear } from '../ops/linear.js'
import { takeParts } from '../ops/rows.js'
import { split } from '../ops/shape.js'
import { toHalf, withHalfWeights } from './half.js'
import { toInt8 } from './int8.js'
import { mergeRows } from './merge.js'
import { rewrite } from './rewrite.js'
import { separateProducts } from './separate.js'
import { shareKeys } from './share.js'

const weights = randomWeights(tiny, 3)
const pixels = randomPixels(tiny, 2, 4)
const keep = [16, 11, 7, 5]
const graph = () => buildGraph(tiny, weights, { keep, trace: true })

async function logits(graph: Graph, contrib = true): Promise<Float32Array> {
  const session = await createSession(graph, { contrib })
  const outputs = await session.run({ pixel_values: pixels }, ['logits'])
  await session.close()
  return outputs.logits?.data as Float32Array
}

const spread = (values: Float32Array) => Math.max(...values) - Math.min(...values)

describe('rewrite', () => {
  it('without a rule gives the same model', async () => {
    const [original, copy] = [graph(), rewrite(graph(), () => undefined)]
    const steps = (g: Graph) => liveNodes(g).map(({ op, scope, outputs }) => [op.name, scope, outputs[0]?.shape])
    assert.deepEqual(steps(copy), steps(original))
    assert.deepEqual(await logits(copy), await logits(original))
  })
})

describe('int8', () => {
  it('stays near float32 and counts the same MACs', async () => {
    const dense = () => buildGraph(tiny, weights, { method: 'none' }) // where rounding selects no other tokens
    const exact = await logits(dense())
    const close = await logits(toInt8(dense()))
    assert.ok(maxAbsDiff(close, exact) < 0.05 * spread(exact), `${maxAbsDiff(close, exact) / spread(exact)}`)
    assert.ok(maxAbsDiff(close, exact) > 0)
    assert.equal(totalMacs(toInt8(graph())), totalMacs(graph()))
  })

  it('gives the same with standard operators alone', async () => {
    const quantized = toInt8(buildGraph(tiny, weights, { method: 'none' }))
    const [fused, portable] = [await logits(quantized), await logits(quantized, false)]
    assert.ok(maxAbsDiff(fused, portable) < 1e-2 * spread(fused))
  })

  it('takes parts of weights as integers: of rows the same numbers as from those rows alone', async () => {
    const random = createRandom(3)
    const values = (count: number) => Float32Array.from({ length: count }, () => random.normal())
    const [weight, x] = [values(12 * 8), { data: values(5 * 8), shape: [5, 8] }]
    const product = async (of: (graph: Graph) => Tensor) => {
      const graph = createGraph()
      output('y', linear(input(graph, 'x', [5, 8]), of(graph)))
      const integers = toInt8(graph)
      assert.ok(liveNodes(integers).every(({ op }) => op.name !== 'linear'))
      return floats((await evaluate(integers, { x })).y)
    }
    const rows = await product((graph) => {
      const at = constant(graph, BigInt64Array.of(0n, 2n), [2], 'at', 'int64')
      return takeParts(constant(graph, weight, [12, 8]), at, 0, 3) // rows 0-3 and 8-11
    })
    const alone = await product((graph) =>
      constant(graph, Float32Array.from([...weight.subarray(0, 32), ...weight.subarray(64)]), [8, 8]),
    )
    assert.deepEqual(rows, alone)
  })

  it('takes parts of weights as integers: other columns are as those that read zeros', async () => {
    const random = createRandom(4)
    const weight = Float32Array.from({ length: 6 * 8 }, () => random.normal())
    const data = Float32Array.from({ length: 5 * 4 }, () => random.normal())
    const wide = Float32Array.from({ length: 5 * 8 }, (_, i) =>
      i % 8 >= 2 && i % 8 < 6 ? (data[4 * Math.floor(i / 8) + (i % 8) - 2] ?? 0) : 0,
    )
    const run = async (width: number, x: Float32Array, of: (weight: Tensor) => Tensor) => {
      const graph = createGraph()
      output('y', linear(input(graph, 'x', [5, width]), of(constant(graph, weight, [6, 8]))))
      return floats((await evaluate(toInt8(graph), { x: { data: x, shape: [5, width] } })).y)
    }
    const at = (graph: Graph) => constant(graph, BigInt64Array.of(1n, 2n), [2], 'at', 'int64')
    const taken = await run(4, data, (w) => takeParts(w, at(w.graph), 1, 4))
    const whole = await run(8, wide, (w) => w)
    assert.ok(maxAbsDiff(taken, whole) < 1e-6)
  })

  it('leaves no float32 matrix behind', () => {
    const { externalData } = encodeOnnx(toInt8(separateProducts(graph())), { external: true })
    const large = externalData.filter(({ data }) => data.length >= tiny.width ** 2)
    const floats = large.filter(({ path, data }) => !path.endsWith('.int8') && data.length >= 4 * tiny.width ** 2)
    assert.ok(large.length > 0)
    assert.deepEqual(floats, [])
  })
})

describe('float16', () => {
  it('rounds to the nearest, ties to even', () => {
    // IEEE 754: 1, -2, largest, overflow, smallest normal, smallest subnormal, half of it, a tie up and a tie down
    const values = [1, -2, 65504, 65520, 2 ** -14, 2 ** -24, 2 ** -25, 1 + 3 * 2 ** -11, 1 + 2 ** -11, -0, Infinity]
    const bits = [0x3c00, 0xc000, 0x7bff, 0x7c00, 0x0400, 0x0001, 0, 0x3c02, 0x3c00, 0x8000, 0x7c00]
    assert.deepEqual([...toFloat16(Float32Array.from(values))], bits)
    assert.equal((toFloat16(Float32Array.of(Number.NaN))[0] as number) > 0x7c00, true)
  })

  it('as weights or throughout stays near float32', async () => {
    const exact = await logits(graph())
    for (const pass of [withHalfWeights, toHalf]) {
      const close = await logits(pass(graph()))
      assert.ok(close instanceof Float32Array)
      assert.ok(maxAbsDiff(close, exact) < 5e-3 * spread(exact), pass.name)
    }
  })

  it('halves the weights', () => {
    const bytes = (g: Graph) =>
      encodeOnnx(g, { external: true }).externalData.reduce((sum, { data }) => sum + data.length, 0)
    const dense = buildGraph(tiny, weights, { method: 'none' })
    assert.ok(bytes(withHalfWeights(dense)) < 0.52 * bytes(dense))
  })
})

describe('separated products', () => {
  it('give the same numbers, selections included', async () => {
    const feeds = { pixel_values: pixels }
    const [packed, separate] = [await evaluate(graph(), feeds), await evaluate(separateProducts(graph()), feeds)]
    assert.ok(maxAbsDiff(floats(packed.logits), floats(separate.logits)) < 1e-5)
    for (const l of [1, 2, 3]) assert.deepEqual(separate[`selected.${l}`], packed[`selected.${l}`])
  })

  it('leave no Split behind, and no weight twice', () => {
    const separate = separateProducts(graph())
    assert.ok(liveNodes(graph()).some(({ op }) => op.name === 'split'))
    assert.ok(!liveNodes(separate).some(({ op }) => op.name === 'split'))
    assert.equal(totalMacs(separate), totalMacs(graph()))
    for (const lowered of [separate, withHalfWeights(separate), toInt8(separate)]) {
      const { externalData } = encodeOnnx(lowered, { external: true })
      const contents = externalData.map(({ data }) => Buffer.from(data).toString('base64'))
      assert.equal(new Set(contents).size, contents.length)
    }
  })

  it('share what they read in integers', () => {
    const nodes = liveNodes(toInt8(separateProducts(graph())))
    const read = nodes.filter(({ op }) => op.name === 'quantize').map(({ inputs: [x] }) => x)
    const products = nodes.filter(({ op }) => op.name.endsWith('Product'))
    const matrixOf = ({ inputs }: Node) => inputs.find(({ dtype }) => dtype === 'int8')?.data
    const matrices = new Set(products.map(matrixOf))
    assert.equal(new Set(read).size, read.length)
    // patches, head; in a block query, key, value, projection, two of the MLP; the class token's query shares the
    // matrix of the others, and in the three idle blocks is folded with the keys' by head; the last one reads keys and
    // values by head only
    assert.equal(matrices.size, 2 + 6 * tiny.depth + 3 - 1)
    for (const matrix of matrices) {
      const readers = products.filter((node) => matrixOf(node) === matrix)
      assert.equal(new Set(readers.map(({ op }) => op.name)).size, 1, 'a matrix is rearranged for one kind of operator')
    }
    const quantised = products.filter(({ op }) => op.name === 'dynamicProduct').map(({ inputs: [x] }) => x)
    assert.equal(new Set([...read, ...quantised]).size, read.length + quantised.length, 'nothing is quantised twice')
  })

  it('leave trained weights packed', () => {
    const g = createGraph()
    const x = input(g, 'x', ['batch', 5, 4])
    const [first] = split(linear(x, input(g, 'w', [6, 4])), 2, 3) as [Tensor]
    output('y', first)
    assert.deepEqual(
      liveNodes(separateProducts(g)).map(({ op }) => op.name),
      ['linear', 'split'],
    )
  })
})

/** How every matrix of weights is read: its memory, and the shapes. */
function readings(graph: Graph): Map<unknown, Set<string>> {
  const shapes = new Map<unknown, Set<string>>()
  for (const { data, shape } of liveNodes(graph).flatMap((node) => node.inputs)) {
    if (!data || data.length < tiny.width ** 2) continue
    shapes.set(data, (shapes.get(data) ?? new Set()).add(String(shape)))
  }
  return shapes
}

describe('shared keys', () => {
  const separate = () => separateProducts(graph())

  it('give the same numbers, selections included', async () => {
    const feeds = { pixel_values: pixels }
    const [apart, shared] = [await evaluate(separate(), feeds), await evaluate(shareKeys(separate()), feeds)]
    assert.ok(maxAbsDiff(floats(apart.logits), floats(shared.logits)) < 1e-5)
    for (const l of [1, 2, 3]) assert.deepEqual(shared[`selected.${l}`], apart[`selected.${l}`])
    assert.ok(maxAbsDiff(await logits(shareKeys(separate()), false), floats(apart.logits)) < 1e-5)
  })

  it('leave no weight that is read in two shapes', () => {
    const twice = (g: Graph) => [...readings(g).values()].filter((shapes) => shapes.size > 1).length
    assert.equal(twice(separate()), 2) // the idle blocks 1 and 2; block 3, the last, projects no keys
    assert.equal(twice(shareKeys(separate())), 0)
    assert.equal(totalMacs(shareKeys(separate())), totalMacs(separate()))
  })

  it('leave dense blocks alone', () => {
    const dense = separateProducts(buildGraph(tiny, weights, { method: 'none' }))
    const steps = (g: Graph) => liveNodes(g).map(({ op }) => op.name)
    assert.deepEqual(steps(shareKeys(dense)), steps(dense))
  })
})

describe('merged rows', () => {
  const plans = [{ keep }, { keep, elastic: true }, { method: 'none' as const }]

  it('give the same bits', async () => {
    for (const plan of plans) {
      const g = separateProducts(buildGraph(tiny, weights, { ...plan, trace: true }))
      const feeds = {
        pixel_values: pixels,
        ...('elastic' in plan && { keep_tokens: { data: BigInt64Array.from(keep, BigInt), shape: [4] } }),
      }
      const result = (graph: Graph) => evaluate(graph, feeds, { rewrite: false }) // as lowered graphs are opened
      assert.deepEqual(await result(mergeRows(g)), await result(g))
    }
  })

  it('leave no view around a linear layer, and never more views', () => {
    const views = (g: Graph) => {
      const { bytes } = encodeOnnx(g, { external: true })
      return Buffer.from(bytes).toString('latin1').split('Reshape').length
    }
    for (const plan of plans) {
      const g = separateProducts(buildGraph(tiny, weights, plan))
      const merged = mergeRows(g)
      assert.ok(views(merged) < views(g), `${views(merged)} of ${views(g)}`)
      if ('elastic' in plan) continue // the number of its rows is a symbol
      for (const { op, inputs } of liveNodes(merged)) if (op.name === 'linear') assert.equal(inputs[0]?.shape.length, 2)
    }
  })
})
