import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createRandom, shuffle } from '../random.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import { type Dim, evaluateShape, type Shape } from './dims.js'
import { gradients } from './gradients.js'
import { constant, createGraph, input, output, scalar, scoped, type Tensor } from './graph.js'
import { relu } from './ops/activations.js'
import { attend, attention } from './ops/attention.js'
import { expandBatch, expandLike, reduceSum } from './ops/broadcast.js'
import { choose } from './ops/choose.js'
import { convolve } from './ops/convolve.js'
import {
  add,
  cast,
  detach,
  div,
  equal,
  exp,
  gelu,
  less,
  log,
  mul,
  neg,
  scale,
  sigmoid,
  sqrt,
  sub,
  where,
} from './ops/elementwise.js'
import { linear, matmul } from './ops/linear.js'
import { layerNorm, logSoftmax, softmax } from './ops/normalise.js'
import { after } from './ops/order.js'
import { reduceMax, reduceMean } from './ops/reduce.js'
import {
  addLast,
  addRows,
  cumulate,
  gatherLast,
  gatherRows,
  reorderRows,
  rowMask,
  scatterRows,
  selectRows,
  topK,
} from './ops/rows.js'
import { concat, pad, reshape, slice, split, transpose } from './ops/shape.js'

/** Sizes that a property draws. `batch` is a symbol in the graph. */
type Sizes = Readonly<Record<'batch' | 'n' | 'm' | 'h' | 'd', number>>

interface Case {
  /** Shapes of the float inputs. */
  readonly inputs: (size: Sizes) => readonly Shape[]
  readonly build: (inputs: readonly Tensor[], size: Sizes) => Tensor
  /** Range of the values; default -1.5 … 1.5. */
  readonly range?: readonly [number, number]
}

const B = 'batch'
const last = (x: Tensor) => x.shape.length - 1
const binary = (op: (a: Tensor, b: Tensor) => Tensor): Case => ({
  inputs: ({ n, m }) => [
    [B, n, m],
    [n, 1],
  ],
  build: ([a, b]) => op(a as Tensor, b as Tensor),
})
const unary = (op: (x: Tensor) => Tensor): Case => ({
  inputs: ({ n, m }) => [[B, n, m]],
  build: ([x]) => op(x as Tensor),
})
const product = (transA: boolean, transB: boolean): Case => ({
  inputs: ({ n, m, d, h }) => [
    [B, h, ...(transA ? [d, n] : [n, d])],
    [h, ...(transB ? [m, d] : [d, m])],
  ],
  build: ([a, b]) => matmul(a as Tensor, b as Tensor, { transA, transB, alpha: 0.7 }),
})

/** Row 0 and the best of the others by their first entry, the selection of an idle block in small. */
const selection = (x: Tensor) => topK(reshape(slice(x, 2, 0, 1), x.shape.slice(0, 2)), 2).indices
const rows = (x: Tensor) => selectRows(selection(x), x.shape[1] as number)

/** int64 `[B, …shape]`, below `end`, some of them equal. */
function indices(like: Tensor, shape: readonly number[], end: Dim): Tensor {
  const count = shape.reduce((a, b) => a * b, 1)
  const values = BigInt64Array.from({ length: count }, (_, i) => BigInt((i * i) % (end as number)))
  return expandBatch(constant(like.graph, values, [1, ...shape]), like)
}

/** x, of which nothing knows how many rows it has until the graph runs. */
function unknownRows(x: Tensor): Tensor {
  const [, n] = x.shape as [Dim, number]
  const all = constant(x.graph, BigInt64Array.of(BigInt(n)), [1])
  const first = reshape(slice(x, 2, 0, 1), x.shape.slice(0, 2))
  return gatherRows(x, selectRows(topK(first, 'kept', all).indices, n))
}

const cases: Record<string, Case> = {
  add: binary(add),
  sub: binary(sub),
  mul: binary(mul),
  div: { ...binary(div), range: [0.5, 2] },
  neg: unary(neg),
  exp: unary(exp),
  sqrt: { ...unary(sqrt), range: [0.5, 2] },
  sigmoid: unary(sigmoid),
  log: { ...unary(log), range: [0.5, 2] },
  where: binary((a, b) => {
    const [n, m] = a.shape.slice(1) as [number, number]
    const signs = Float32Array.from({ length: n * m }, (_, i) => (i % 3) - 1)
    return where(less(constant(a.graph, signs, [n, m]), scalar(a.graph, 0)), a, b)
  }),
  'gatherLast, some entries more than once': unary((x) =>
    gatherLast(x, indices(x, x.shape.slice(1) as number[], x.shape.at(-1) as Dim)),
  ),
  'addLast, to some entries more than once': {
    inputs: ({ n, m, d }) => [
      [B, n, m],
      [B, n, d],
    ],
    build: ([x, update], { n, m, d }) => addLast(x as Tensor, indices(x as Tensor, [n, d], m), update as Tensor),
  },
  cumulate: unary(cumulate),
  'addRows, to some rows more than once': {
    inputs: ({ n, m, d }) => [
      [B, n, m],
      [B, d, m],
    ],
    build: ([x, update], { n, d }) =>
      addRows(x as Tensor, selectRows(indices(x as Tensor, [d], n), n), update as Tensor),
  },
  scale: unary((x) => scale(x, -0.3)),
  cast: unary((x) => cast(x, 'float32')),
  gelu: { ...unary(gelu), range: [-4, 4] },
  relu: { ...unary((x) => relu(add(x, scalar(x.graph, 0.1)))), range: [-3, 3] },
  convolve: {
    inputs: ({ n, m, h, d }) => [[B, n, h + 3, d + 3], [m, n, 3, 2], [m]],
    build: ([x, w, b], { n }) => convolve(x as Tensor, w as Tensor, b as Tensor, { padding: n - 1 }),
  },
  'convolve in steps that leave pixels over': {
    inputs: ({ n, m, h, d }) => [
      [B, n, h + 4, d + 4],
      [m, n, 3, 3],
    ],
    build: ([x, w], { n }) => convolve(x as Tensor, w as Tensor, undefined, { stride: n + 1, padding: 1 }),
  },
  softmax: unary(softmax),
  logSoftmax: unary(logSoftmax),
  after: binary((a, b) => after(a, [b])),
  layerNorm: {
    inputs: ({ n, d }) => [[B, n, d + 2], [d + 2], [d + 2]],
    build: ([x, w, b]) => layerNorm(x as Tensor, w as Tensor, b as Tensor, 0.1),
  },
  linear: {
    inputs: ({ n, m, d }) => [[B, n, d], [m, d], [m]],
    build: ([x, w, b]) => linear(x as Tensor, w as Tensor, b as Tensor),
  },
  'linear of a matrix, no bias': {
    inputs: ({ m, d }) => [
      [B, d],
      [m, d],
    ],
    build: ([x, w]) => linear(x as Tensor, w as Tensor),
  },
  'matmul of matrices': {
    inputs: ({ n, m }) => [
      [n, m],
      [n, m],
    ],
    build: ([a, b]) => matmul(a as Tensor, b as Tensor, { transA: true }),
  },
  matmul: product(false, false),
  'matmul, A transposed': product(true, false),
  'matmul, B transposed': product(false, true),
  'matmul, both transposed': product(true, true),
  'reduceSum over the batch': unary((x) => reduceSum(x, [0, 2])),
  'reduceMean over the batch': unary((x) => reduceMean(x, [0], true)),
  'reduceMean over rows': unary((x) => reduceMean(x, [1])),
  reduceMax: { ...unary((x) => reduceMax(x, [last(x)])), range: [-3, 3] },
  expandLike: {
    inputs: ({ n, m }) => [
      [n, 1],
      [B, n, m],
    ],
    build: ([x, like]) => expandLike(x as Tensor, like as Tensor),
  },
  expandBatch: {
    inputs: ({ n, m }) => [
      [1, n],
      [B, m],
    ],
    build: ([x, like]) => expandBatch(x as Tensor, like as Tensor),
  },
  reshape: { inputs: ({ n, m }) => [[B, n, m]], build: ([x], { n, m }) => reshape(x as Tensor, [B, n * m]) },
  transpose: unary((x) => transpose(x, [2, 0, 1])),
  slice: { inputs: ({ n, m }) => [[B, n + 3, m]], build: ([x], { n }) => slice(x as Tensor, 1, 1, n + 1) },
  'slice to the end': { inputs: ({ n, m }) => [[B, n + 1, m]], build: ([x]) => slice(x as Tensor, 1, 1) },
  pad: unary((x) => pad(x, 1, 2, 1)),
  concat: {
    inputs: ({ n, m }) => [
      [B, n, m],
      [B, 2, m],
      [B, 1, m],
    ],
    build: (parts) => concat(parts, 1),
  },
  'split, one part unread': {
    inputs: ({ n, m }) => [[B, n, 3 * m]],
    build([x]) {
      const [a, , c] = split(x as Tensor, 2, 3) as [Tensor, Tensor, Tensor]
      return mul(a, c)
    },
  },
  gatherRows: {
    inputs: ({ n, m }) => [
      [B, n + 2, m],
      [B, n + 2, m],
    ],
    build: ([x, choice]) => gatherRows(x as Tensor, rows(choice as Tensor)),
  },
  'gatherRows, some rows more than once': unary((x) => {
    const [, n] = x.shape as [Dim, number, number]
    return gatherRows(x, selectRows(indices(x, [n + 1], n), n), true)
  }),
  reorderRows: unary((x) => {
    const n = x.shape[1] as number
    return reorderRows(
      x,
      [...Array(n).keys()].map((i) => (i + 1) % n),
    )
  }),
  'gatherRows of a number of rows that is known when the graph runs': unary((x) => {
    const some = unknownRows(x)
    return gatherRows(some, selectRows(indices(x, [1], 1), some))
  }),
  'slice that ends before an end that is known when the graph runs': {
    ...unary((x) => slice(unknownRows(x), 1, 0, 1)),
    range: [-3, 3],
  },
  scatterRows: {
    inputs: ({ n, m }) => [
      [B, n + 2, m],
      [B, 2, m],
      [B, n + 2, m],
    ],
    build: ([x, update, choice]) => scatterRows(x as Tensor, rows(choice as Tensor), update as Tensor),
    range: [-3, 3],
  },
  'rowMask gates': {
    inputs: ({ n, m }) => [
      [B, n + 2, m],
      [B, n + 2, m],
    ],
    build([x, choice], { n }) {
      const mask = rowMask(selection(choice as Tensor), n + 2)
      return mul(x as Tensor, reshape(mask, [B, n + 2, 1]))
    },
    range: [-3, 3],
  },
  'topK values': { inputs: ({ n }) => [[B, n + 2]], build: ([x]) => topK(x as Tensor, 2).values, range: [-3, 3] },
  'choose, either side': binary((a, b) => {
    const [yes, no] = [true, false].map((holds) => equal(scalar(a.graph, 0), scalar(a.graph, holds ? 0 : 1))) as [
      Tensor,
      Tensor,
    ]
    return choose(yes, choose(no, exp(a), mul(a, b)), add(a, b))
  }),
  attention: {
    inputs: ({ n, m, h, d }) => [
      [B, n, h * d],
      [B, m, h * d],
      [B, m, h * d],
    ],
    build: ([q, k, v], { h }) => attention(q as Tensor, k as Tensor, v as Tensor, h),
  },
  'attention with a bias of keys': {
    inputs: ({ n, m, h, d }) => [
      [B, n, h * d],
      [B, m, h * d],
      [B, m, h * d],
      [B, 1, 1, m],
    ],
    build: ([q, k, v, bias], { h }) => attention(q as Tensor, k as Tensor, v as Tensor, h, bias),
  },
  attend: {
    inputs: ({ n, m, h, d }) => [
      [B, h, n, m],
      [1, h, m, d],
    ],
    build: ([logits, values]) => attend(logits as Tensor, values as Tensor).mixed,
  },
}

const size = fc.integer({ min: 1, max: 3 })
const sizes = fc.record({ batch: size, n: size, m: size, h: size, d: size })

/** Evenly spaced values in random order: apart from each other, so that no difference step changes a ranking. */
const fill = (shape: Shape, bindings: Sizes, [low, high]: readonly [number, number], seed: number): Values => {
  const known = evaluateShape(shape, bindings)
  const count = known.reduce((a, b) => a * b, 1)
  const values = Array.from({ length: count }, (_, i) => low + ((high - low) * (i + 0.5)) / count)
  return { data: Float32Array.from(shuffle(values, createRandom(seed))), shape: known }
}

/** Gradients from the graph and from fourth-order central differences of Σ weight · output, for every input. */
async function compare(testCase: Case, bindings: Sizes, seed: number, contrib: boolean): Promise<void> {
  const graph = createGraph()
  const { range = [-1.5, 1.5] } = testCase
  const inputs = testCase.inputs(bindings).map((shape, i) => input(graph, `x${i}`, shape))
  const y = testCase.build(inputs, bindings)
  const weight = input(graph, 'weight', y.shape)
  const loss = reduceSum(
    mul(y, weight),
    y.shape.map((_, i) => i),
  )
  output('y', y)
  for (const [i, gradient] of gradients(loss, inputs).entries()) output(`d${i}`, gradient)
  const session = await createSession(graph, { threads: 1, contrib })
  const feeds: Record<string, Values> = { weight: fill(y.shape, bindings, [-1, 1], seed + 1) }
  for (const [i, tensor] of inputs.entries()) feeds[`x${i}`] = fill(tensor.shape, bindings, range, seed + 2 + i)
  const analytic = await session.run(feeds)
  const value = async () => {
    const { y } = (await session.run(feeds, ['y'])) as { y: Values }
    return (y.data as Float32Array).reduce((sum, v, i) => sum + v * Number(feeds.weight?.data[i]), 0)
  }
  const h = 2 ** -6
  for (const i of inputs.keys()) {
    const data = feeds[`x${i}`]?.data as Float32Array
    const gradient = analytic[`d${i}`] as Values
    assert.deepEqual(gradient.shape, feeds[`x${i}`]?.shape, `shape of d${i}`)
    for (const [j, x] of data.entries()) {
      const at = async (step: number) => {
        data[j] = x + step
        return value()
      }
      const near = (await at(h)) - (await at(-h))
      const far = (await at(2 * h)) - (await at(-2 * h))
      data[j] = x
      const numeric = (8 * near - far) / (12 * h)
      const found = Number(gradient.data[j])
      assert.ok(
        Math.abs(found - numeric) < 1e-3 * (1 + Math.abs(numeric)),
        `d${i}[${j}]: ${found}, differences ${numeric}`,
      )
    }
  }
  await session.close()
}

describe('gradients equal central differences', () => {
  for (const [name, testCase] of Object.entries(cases)) {
    test(name, async () => {
      const seed = fc.integer({ min: 0, max: 1e6 })
      await fc.assert(
        fc.asyncProperty(sizes, seed, fc.boolean(), (bindings, s, contrib) => compare(testCase, bindings, s, contrib)),
        { numRuns: 6, seed: 4 },
      )
    })
  }
})

test('no gradient flows through what is detached', async () => {
  const graph = createGraph()
  const x = input(graph, 'x', [2])
  const [dx] = gradients(reduceSum(mul(detach(x), x), [0]), [x])
  output('dx', dx as Tensor)
  const session = await createSession(graph)
  const result = await session.run({ x: { data: Float32Array.of(3, -2), shape: [2] } })
  assert.deepEqual(result.dx?.data, Float32Array.of(3, -2))
})

const smallBlock = (x: Tensor, w: Tensor) => {
  let y = x
  for (const l of [0, 1, 2]) y = scoped(x.graph, `blocks.${l}`, () => add(y, gelu(linear(y, w))))
  return y
}

test('recomputed segments give the same bits', async () => {
  const results = await Promise.all(
    [false, true].map(async (again) => {
      const graph = createGraph()
      const x = input(graph, 'x', [B, 4])
      const w = input(graph, 'w', [4, 4])
      const loss = reduceMean(smallBlock(x, w), [0, 1])
      const recompute = (scope: string) => /^blocks\.\d+/.exec(scope)?.[0]
      const [dw, dx] = gradients(loss, [w, x], again ? { recompute } : {}) as [Tensor, Tensor]
      output('dw', dw)
      output('dx', dx)
      assert.equal(
        graph.nodes.some((node) => node.scope.startsWith('again/')),
        again,
      )
      const session = await createSession(graph, { threads: 1 })
      const bindings = { batch: 3, n: 1, m: 1, h: 1, d: 1 }
      return session.run({ x: fill([B, 4], bindings, [-1, 1], 1), w: fill([4, 4], bindings, [-1, 1], 2) })
    }),
  )
  assert.deepEqual(results[0], results[1])
})

test('nothing inside a recomputed segment is kept for the backward pass', () => {
  const graph = createGraph()
  const w = input(graph, 'w', [4, 4])
  const loss = reduceMean(smallBlock(input(graph, 'x', [B, 4]), w), [0, 1])
  gradients(loss, [w], { recompute: (scope) => /^blocks\.\d+/.exec(scope)?.[0] })
  const copies = graph.nodes.filter(({ scope }) => scope.startsWith('again/'))
  assert.ok(copies.some(({ op }) => op.name === 'gelu'))
  const forward = (tensor: Tensor) => tensor.node?.scope.startsWith('blocks.') ?? false
  for (const { op, scope, inputs } of graph.nodes) {
    if (scope.startsWith('again/') && op.name !== 'after') assert.ok(!inputs.some(forward), `${scope} ${op.name}`)
    if (scope.startsWith('backward/blocks.')) assert.ok(!inputs.some(forward), `${scope} ${op.name}`)
  }
})

test('a parameter that the loss does not read has a gradient of zeros', async () => {
  const graph = createGraph()
  const [x, unread] = [input(graph, 'x', [3]), input(graph, 'unread', [2])]
  const [, zeros] = gradients(reduceSum(x, [0]), [x, unread])
  output('zeros', zeros as Tensor)
  const session = await createSession(graph)
  const data = Float32Array.of(1, 2, 3)
  const result = await session.run({ x: { data, shape: [3] }, unread: { data: data.subarray(1), shape: [2] } })
  assert.deepEqual(result.zeros, { data: Float32Array.of(0, 0), shape: [2] })
})

test('a loss that is no scalar is refused', () => {
  const x = input(createGraph(), 'x', [3])
  assert.throws(() => gradients(x, [x]), /want a scalar, found \[3\]/)
})
