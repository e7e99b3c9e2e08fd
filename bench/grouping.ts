/**
 * Forms of grouping that were tried before one became `--method group`: how near each comes to the dense model, and its
 * multiply-adds as executed.
 *
 *   npx tsx bench/grouping.ts --model deit_tiny.safetensors --data val.txt [--limit 400] [--forms cells,nearest,…]
 *
 * All of these select image tokens by class attention, as idling does, and put the idle ones into groups anew in every
 * block; `group` itself, idling and ToMe stand beside them.
 */

import { parseArgs } from 'node:util'
import type { Dim } from '../src/graph/dims.js'
import {
  constant,
  createGraph,
  type Graph,
  input,
  macsByScope,
  output,
  scalar,
  type Tensor,
} from '../src/graph/graph.js'
import { expandBatch, reduceSum } from '../src/graph/ops/broadcast.js'
import { add, div, log, mul, scale, sqrt, sub } from '../src/graph/ops/elementwise.js'
import { matmul } from '../src/graph/ops/linear.js'
import { softmax } from '../src/graph/ops/normalise.js'
import { reduceMean } from '../src/graph/ops/reduce.js'
import {
  addLast,
  addRows,
  gatherRows,
  rowMask,
  scatterLast,
  scatterRows,
  selectRows,
  topK,
} from '../src/graph/ops/rows.js'
import { concat, reshape, slice } from '../src/graph/ops/shape.js'
import { lower } from '../src/graph/passes/precision.js'
import { forward, shapeOf } from '../src/models/backbone.js'
import { buildGraph, constantWeights } from '../src/models/build.js'
import { createSession, imagenetPreprocess, loadBatches, loadModel, openDataset } from '../src/node.js'
import { type Block, residual } from '../src/reduction/block.js'
import { foldedLogits } from '../src/reduction/folded.js'
import { type Form, stateless } from '../src/reduction/method.js'
import { denseBlock } from '../src/reduction/none.js'
import { planReduction, type ReductionRequest } from '../src/reduction/registry.js'
import { numbers, pickRows, type Rows, withPrefix } from '../src/reduction/rows.js'
import { keptTokens, stageRatios } from '../src/reduction/schedule.js'

interface Flat {
  /** Image tokens that are selected, by block. */
  readonly selected: readonly number[]
  /** Representatives stand for c x c cells of the grid; 0: idle tokens join selected ones. */
  readonly cells: number
  /** Idle tokens go to their cell, or to the representative they are most like. */
  readonly join: 'cell' | 'nearest'
  /** What representatives are the mean of. */
  readonly pool: 'rows' | 'normalised'
  /** The last block's class token looks at every token where it stands instead of at representatives. */
  readonly whole: boolean
}

const filled = (like: Tensor, count: number, value: number) =>
  expandBatch(constant(like.graph, new Float32Array(count).fill(value), [1, count]), like)

const directions = (t: Tensor) => div(t, sqrt(add(reduceSum(mul(t, t), [2], true), scalar(t.graph, 1e-12))))

/** A group without tokens weighs so little that nobody sees it. */
const EMPTY = 1e-6

/** Sums of idle rows by group, `[B, g, C]`, and how many they are `[B, g]`. */
function pool(x: Tensor, idle: Tensor, home: Tensor, groups: number) {
  const [B, N0] = x.shape as [Dim, number]
  const size = addLast(filled(x, groups, EMPTY), home, idle) // [B, g]
  const masked = mul(x, reshape(idle, [B, N0, 1])) // [B, N0, C]
  const none = scale(slice(x, 1, 0, 1), EMPTY) // [B, 1, C]
  const start = concat(new Array<Tensor>(groups).fill(none), 1) // [B, g, C]
  return { size, mean: div(addRows(start, selectRows(home, groups), masked), reshape(size, [B, groups, 1])) }
}

function flatBlock(block: Block, rows: Rows, form: Flat, K: number): Tensor {
  const { x } = rows
  const { graph } = x
  const [B, N, C] = x.shape as [Dim, number, number]
  const [P, N0] = [rows.prefix, N - rows.prefix]
  const y = block.norm1(x) // [B, N, C]
  const logits = foldedLogits(block, slice(y, 1, 0, 1), y, { alpha: (C / block.heads) ** -0.5 }) // [B, H, N]
  const kept = topK(slice(reduceMean(softmax(logits), [1]), 1, P), K).indices // [B, K]
  const idle = sub(scalar(graph, 1), rowMask(kept, N0)) // [B, N0]
  const image = slice(x, 1, P) // [B, N0, C]
  const yImage = slice(y, 1, P) // [B, N0, C]
  const chosen = withPrefix(rows, kept) // [B, P + K]
  const own = pickRows(x, chosen) // [B, P + K, C]
  const columns = (size: Tensor) => reshape(log(size), [B, 1, 1, size.shape[1] as number])
  if (form.cells === 0) {
    // Idle tokens join the selected token that they are most like, whose row becomes the mean of all.
    const likeness = matmul(directions(yImage), directions(pickRows(yImage, kept)), { transB: true }) // [B, N0, K]
    const near = reshape(topK(likeness, 1).indices, [B, N0])
    const home = scatterLast(near, kept, numbers(kept, K)) // [B, N0]: a selected token is its own
    const size = addLast(filled(x, K, 0), home, filled(x, N0, 1)) // [B, K]
    const sums = addRows(scale(pickRows(image, kept), 0), selectRows(home, K), image) // [B, K, C]
    const r = concat([slice(x, 1, 0, P), div(sums, reshape(size, [B, K, 1]))], 1) // [B, P + K, C]
    const [q, k, v] = block.queryKeyValue(block.norm1(r))
    const all = concat([filled(x, P, 1), size], 1)
    const change = sub(residual(block, r, block.attend(q, k, v, columns(all))), r) // [B, P + K, C]
    return add(x, gatherRows(change, selectRows(withPrefix(rows, home), P + K), true))
  }
  const g = form.cells ** 2
  const side = Math.round(Math.sqrt(N0))
  const cell = (i: number) => Math.floor((i * form.cells) / side)
  const cells = BigInt64Array.from({ length: N0 }, (_, j) =>
    BigInt(cell(Math.floor(j / side)) * form.cells + cell(j % side)),
  )
  const fixed = expandBatch(constant(graph, cells, [1, N0]), kept) // [B, N0]
  let home = fixed
  if (form.join === 'nearest') {
    const { mean } = pool(yImage, idle, fixed, g)
    home = reshape(topK(matmul(directions(yImage), directions(mean), { transB: true }), 1).indices, [B, N0]) // [B, N0]
  }
  const { size, mean } = pool(image, idle, home, g)
  const r = concat([own, mean], 1) // [B, P + K + g, C]
  const yMean = form.pool === 'rows' ? block.norm1(mean) : pool(yImage, idle, home, g).mean // [B, g, C]
  const [q, k, v] = block.queryKeyValue(concat([pickRows(y, chosen), yMean], 1))
  const all = concat([filled(x, P + K, 1), size], 1) // [B, P + K + g]
  const moved = residual(block, r, block.attend(q, k, v, columns(all))) // [B, P + K + g, C]
  const change = sub(slice(moved, 1, P + K), mean) // [B, g, C]
  const shared = add(image, gatherRows(change, selectRows(home, g), true)) // [B, N0, C]
  return scatterRows(concat([slice(x, 1, 0, P), shared], 1), selectRows(chosen, N), slice(moved, 1, 0, P + K))
}

/** A form in which groups are made anew in every block. */
const flat = (form: Flat): Form =>
  stateless((block, rows, reads) => {
    const K = form.selected[block.index] as number
    if (K >= (rows.x.shape[1] as number) - rows.prefix || (reads !== 'all' && form.whole))
      return denseBlock(block, rows, reads)
    const x = flatBlock(block, rows, form, K) // [B, N, C]
    return { rows: { ...rows, x: reads === 'all' ? x : slice(x, 1, 0, reads) }, tokens: K }
  })

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    limit: { type: 'string', default: '400' },
    forms: { type: 'string', default: '' },
  },
})
if (!values.model || !values.data) throw new Error('wanted --model and --data')
const model = await loadModel(values.model, {})
const { config, state } = model
const dataset = await openDataset(values.data, { classes: config.classes })
const limit = Math.min(Number(values.limit), dataset.samples.length)
const shape = shapeOf(config)
const selected = (k: number) => keptTokens(shape.tokens, stageRatios(shape.depth, k))

function graphOf(form: Form): Graph {
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, config.imageSize, config.imageSize])
  output('logits', forward(constantWeights(graph, state), pixels, config, { form }).logits)
  return graph
}
const planned = (request: ReductionRequest) => buildGraph(config, state, planReduction(request, shape))
const base = { cells: 5, join: 'cell', pool: 'rows', whole: true } as const

const forms: Readonly<Record<string, () => Graph>> = {
  'idle k=0.7': () => planned({ method: 'idle', keepRatio: 0.7 }),
  'tome r=12': () => planned({ method: 'tome', r: 12 }),
  'tome r=16': () => planned({ method: 'tome', r: 16 }),
  'cells 5, k=0.5, last block by representatives': () =>
    graphOf(flat({ ...base, selected: selected(0.5), whole: false })),
  'cells 5, k=0.5': () => graphOf(flat({ ...base, selected: selected(0.5) })),
  'cells 5, k=0.5, pooled behind LN1': () => graphOf(flat({ ...base, selected: selected(0.5), pool: 'normalised' })),
  'cells 5 by likeness, k=0.5': () => graphOf(flat({ ...base, selected: selected(0.5), join: 'nearest' })),
  'cells 3 by likeness, k=0.5': () => graphOf(flat({ ...base, selected: selected(0.5), cells: 3, join: 'nearest' })),
  'cells 7 by likeness, k=0.4': () => graphOf(flat({ ...base, selected: selected(0.4), cells: 7, join: 'nearest' })),
  'attached to selected, k=0.7': () => graphOf(flat({ ...base, selected: selected(0.7), cells: 0 })),
  'attached to selected, k=0.5': () => graphOf(flat({ ...base, selected: selected(0.5), cells: 0 })),
  'group K=0.7': () => planned({ method: 'group', keepRatio: 0.7 }),
  'group K=0.7, size alone': () => planned({ method: 'group', keepRatio: 0.7, attention: 0 }),
  'group K=0.54': () => planned({ method: 'group', keepRatio: 0.54 }),
  'group K=0.54, size alone': () => planned({ method: 'group', keepRatio: 0.54, attention: 0 }),
  'group K=0.54, anew at 6': () => planned({ method: 'group', keepRatio: 0.54, regroup: 6 }),
}
const preprocess = model.preprocess ?? imagenetPreprocess(config.imageSize)
const wanted = values.forms.split(',').filter(Boolean)
for (const [name, build] of Object.entries(forms)) {
  if (wanted.length > 0 && !wanted.some((part) => name.startsWith(part))) continue
  const graph = build()
  const gmacs = [...macsByScope(graph, { batch: 1 }).values()].reduce((a, b) => a + b, 0) / 1e9
  const session = await createSession(lower(graph))
  let [right, loss] = [0, 0]
  const order = Array.from({ length: limit }, (_, i) => i)
  for await (const { pixels, labels } of loadBatches(dataset, { preprocess, batch: 16, order })) {
    const B = labels.length
    const { logits } = await session.run({
      pixel_values: { data: pixels, shape: [B, 3, config.imageSize, config.imageSize] },
    })
    const z = logits?.data as Float32Array
    for (let b = 0; b < B; b++) {
      const row = z.subarray(b * config.classes, (b + 1) * config.classes)
      const label = labels[b] as number
      const top = row.reduce((x, y) => Math.max(x, y), -Infinity)
      if (row[label] === top) right++
      loss += top + Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0)) - (row[label] as number)
    }
  }
  await session.close()
  console.log(`${name.padEnd(48)} ${gmacs.toFixed(3)}  ${right} of ${limit}  loss ${(loss / limit).toFixed(4)}`)
}
await dataset.close()
