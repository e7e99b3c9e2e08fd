/** Replays DVT reference files: three nets, what they pass on, exits, the official loss and gradients, thresholds. */

import { fail } from '../errors.js'
import { gradients } from '../graph/gradients.js'
import { createGraph, input, output, type Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, mul, scale } from '../graph/ops/elementwise.js'
import { logSoftmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { concat, slice } from '../graph/ops/shape.js'
import { cascadeParameters, netNames, netsOf } from '../models/cascade.js'
import { dvtNet, type NetOutput } from '../models/dvt.js'
import { confidencesOf, exitOf, exitShares, findThresholds } from '../models/exits.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import { inferCascade } from '../weights/cascade.js'
import { checkState } from '../weights/infer.js'
import type { StateDict } from '../weights/state.js'
import type { Actual, Replay } from './compare.js'
import { field } from './model.js'
import { type Reference, tensorOf, tensorsUnder, valuesOf } from './reference.js'

/** Of the maps of all blocks and heads, those that files hold where they do not hold all. */
const storedMaps: Readonly<Record<string, readonly number[]>> = { less_token: [0, 5], normal_token: [4] }

export const replayDvt: Replay = async (reference) => {
  const state = tensorsUnder(reference, 'state.') as StateDict
  const [heads, layerNormEps] = ['num_heads', 'ln_eps'].map((name) => field<number>(reference, name))
  const { config } = inferCascade(state, { heads, ...(layerNormEps && { layerNormEps }) })
  checkState(state, cascadeParameters(config))
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, config.imageSize, config.imageSize])
  const targets = input(graph, 'targets', ['batch', config.classes])
  // Weights are inputs, so that gradients may flow into them.
  const weights = new Map([...state].map(([name, { shape }]) => [name, input(graph, name, shape)]))
  const weight = (name: string) => weights.get(name) ?? fail(`${reference.file}: no state.${name}`)
  let received: NetOutput | undefined
  const losses: Tensor[] = []
  for (const net of netsOf(config)) {
    received = dvtNet(weight, pixels, net, config.cascade, { received, allRows: true })
    const parts = partsOf(received, config.heads)
    for (const [name, tensor] of Object.entries(parts)) {
      const path = `${net.name}.${name}`
      if (reference.tensors.has(`expect.${path}`)) output(path, portion(reference, path, tensor, config.heads))
    }
    const [own] = [received.logits].map((z) => reduceMean(reduceSum(mul(targets, logSoftmax(z)), [1]), [0]))
    losses.push(scale(own as Tensor, -1))
  }
  for (const [k, loss] of losses.entries()) output(`loss.${k}`, loss)
  const stored = [...weights].flatMap(([name, tensor]) => {
    const key = [name, `${name}.head`].map((each) => `grad.${each}`).find((each) => reference.tensors.has(each))
    return key === undefined ? [] : [{ key, tensor }]
  })
  const found = gradients(
    losses.reduce(add),
    stored.map(({ tensor }) => tensor),
  )
  for (const [i, { key }] of stored.entries()) output(key, corner(found[i] as Tensor, tensorOf(reference, key).shape))
  const session = await createSession(graph)
  try {
    const feeds = [...state].map(([name, { data, shape }]) => [name, { data: data as Float32Array, shape }] as const)
    const outputs = await session.run({
      pixel_values: valuesOf(reference, 'input'),
      targets: valuesOf(reference, 'targets'),
      ...Object.fromEntries(feeds),
    })
    const parts = losses.map((_, k) => Number(outputs[`loss.${k}`]?.data[0]))
    return new Map<string, Actual>([
      ...Object.entries(outputs),
      ['losses', { data: parts }],
      ['loss', { data: [parts.reduce((a, b) => a + b, 0)] }],
      ...exits(
        reference,
        netNames.map((name) => outputs[`${name}.logits`] as Values),
      ),
      ...budgets(reference),
    ])
  } finally {
    await session.close()
  }
}

/** What a net computes, by its name in the file. */
function partsOf({ logits, embedded, blocks, converted }: NetOutput, heads: number): Record<string, Tensor> {
  const parts: Record<string, Tensor> = { logits, embedded, ...(converted && { relation_conv: converted }) }
  for (const [l, { rows, relation, added, reused }] of blocks.entries()) {
    parts[`block.${l}`] = rows
    parts[`relation.${l}`] = relation
    for (let h = 0; h < heads; h++) parts[`relation.${l}.head${h}`] = slice(relation, 1, h, h + 1)
    if (added) parts[`relation_added.${l}`] = added
    if (!reused) continue
    parts[`feature_small.${l}`] = reused.small
    parts[`feature_resized.${l}`] = reused.resized
  }
  return parts
}

/** The pictures and the maps of a tensor that the file holds. */
function portion(reference: Reference, path: string, tensor: Tensor, heads: number): Tensor {
  const { shape } = tensorOf(reference, `expect.${path}`)
  if (shape.length !== 4) return tensor
  const pictures = slice(tensor, 0, 0, shape[0]) // [b, maps, n, n]
  if (shape[1] === tensor.shape[1]) return pictures
  const [net = '', , block] = path.split('.')
  const first = block === undefined ? 0 : Number(block) * heads
  const maps = (storedMaps[net] ?? [])
    .map((map) => map - first)
    .filter((map) => map >= 0 && map < (tensor.shape[1] as number))
  return concat(
    maps.map((map) => slice(pictures, 1, map, map + 1)),
    1,
  )
}

/** The leading entries of every axis. */
const corner = (tensor: Tensor, shape: readonly number[]): Tensor =>
  shape.reduce((part, size, axis) => (part.shape[axis] === size ? part : slice(part, axis, 0, size)), tensor)

/** Where pictures are answered under the file's thresholds. */
function exits(reference: Reference, logits: readonly Values[]): [string, Actual][] {
  const [batch = 0, classes = 0] = logits[0]?.shape ?? []
  const byNet = logits.map(({ data }) => confidencesOf(data as Float32Array, classes))
  const ofPicture = (b: number) => byNet.map((own) => own[b] as number)
  const thresholds = Array.from(tensorOf(reference, 'thresholds').data, Number)
  const exit = Array.from({ length: batch }, (_, b) => exitOf(ofPicture(b), thresholds))
  const answer = exit.flatMap((k, b) => Array.from(logits[k]?.data.slice(b * classes, (b + 1) * classes) ?? [], Number))
  const confidence = Array.from({ length: batch }, (_, b) => ofPicture(b)).flat()
  return [
    ['confidence', { data: confidence, shape: [batch, logits.length] }],
    ['exit', { data: exit, shape: [batch] }],
    ['exit_logits', { data: answer, shape: [batch, classes] }],
  ]
}

/** The official tables: thresholds found on one set of answers, used on another. */
function budgets(reference: Reference): [string, Actual][] {
  if (!reference.tensors.has('budget.train_probs')) return []
  const numbers = (name: string) => Array.from(tensorOf(reference, name).data, Number)
  const [nets = 0, pictures = 0, classes = 0] = tensorOf(reference, 'budget.test_probs').shape
  const rowsOf = (name: string) => {
    const all = numbers(name)
    const count = all.length / nets / classes
    const row = (k: number, i: number) => all.slice((k * count + i) * classes, (k * count + i + 1) * classes)
    return Array.from({ length: nets }, (_, k) => Array.from({ length: count }, (_, i) => row(k, i)))
  }
  const largest = (rows: readonly (readonly (readonly number[])[])[]) =>
    rows.map((own) => own.map((row) => Math.max(...row)))
  const train = largest(rowsOf('budget.train_probs'))
  const test = rowsOf('budget.test_probs')
  const confidences = largest(test)
  const [targets, flops] = [numbers('budget.test_targets'), numbers('budget.flops')]
  const wanted = numbers('expect.budget.probs')
  // The budgets are told by the shares of the first two nets, which are as 1 to p / 20.
  const tables = Array.from({ length: wanted.length / nets }, (_, row) => {
    const [one = 1, two = 1] = wanted.slice(row * nets)
    const shares = exitShares(Math.round((20 * two) / one), nets)
    const thresholds = findThresholds(train, shares)
    const exit = Array.from({ length: pictures }, (_, i) =>
      exitOf(
        confidences.map((own) => own[i] as number),
        thresholds,
      ),
    )
    const right = exit.filter((k, i) => {
      const answers = test[k]?.[i] ?? []
      return answers.indexOf(Math.max(...answers)) === targets[i]
    })
    const work = exit.reduce((sum, k) => sum + (flops[k] as number), 0)
    return { shares, thresholds, exit, accuracy: (100 * right.length) / pictures, work: work / pictures }
  })
  return [
    ['budget.probs', { data: tables.flatMap(({ shares }) => shares) }],
    ['budget.thresholds', { data: tables.flatMap(({ thresholds }) => thresholds) }],
    ['budget.accuracy', { data: tables.map(({ accuracy }) => accuracy) }],
    ['budget.flops', { data: tables.map(({ work }) => work) }],
    ['budget.exits', { data: tables.flatMap(({ exit }) => exit) }],
  ]
}
