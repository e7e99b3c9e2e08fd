/** Replays reference files of DeiT and LV-ViT, dense and idled. */

import { output } from '../graph/graph.js'
import { type BuildOptions, buildGraph, constantWeights } from '../models/build.js'
import { prefixTokens, type VitConfig } from '../models/config.js'
import { vitBlock } from '../models/vit.js'
import { attentionLogits, attentionMap } from '../reduction/maps.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import type { Actual, Replay } from './compare.js'
import { replayCrossEntropy, replayCuts, replayLosses } from './losses.js'
import { type Reference, valuesOf, vitConfigOf, weightsUnder } from './reference.js'

const logitNames = { logits: 'logits', logits_cls: 'logits_cls', logits_dist: 'logits_dist' }

/** Dense DeiT, plain or distilled: logits, every block, block 0's attention map, the cross entropy. */
export const replayDeit: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const outputs = await run(reference, config, { method: 'none', blocks: true, trace: true }, (maps) => maps.map(0))
  const actual = new Map<string, Actual>()
  for (const [ours, theirs] of Object.entries(logitNames)) if (outputs[ours]) actual.set(theirs, outputs[ours])
  copyBlocks(outputs, config, actual)
  actual.set('attention.0.image0', firstPicture(outputs['map.0'] as Values))
  if (reference.tensors.has('targets'))
    for (const [name, value] of await replayCrossEntropy(reference, outputs.logits as Values)) actual.set(name, value)
  return actual
}

/** IdleViT on DeiT: both forms must give the same logits, selections, scores and blocks; then the losses. */
export const replayIdleDeit: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const kept = reference.config.K_per_idle_block as readonly number[]
  const idle = reference.config.idle_layers as readonly number[]
  const keep = Array.from({ length: config.depth }, (_, l) => {
    const position = idle.indexOf(l)
    return position < 0 ? (config.imageSize / config.patchSize) ** 2 : (kept[position] as number)
  })
  const options: BuildOptions = { keep, score: 'logits', blocks: true, trace: true }
  const first = idle[0] as number
  const gathered = await run(reference, config, options, (maps) => maps.logits(first))
  const masked = await run(reference, config, { ...options, form: 'masked' })

  const actual = new Map<string, Actual>()
  actual.set('logits', gathered.logits as Values)
  actual.set('train_logits', masked.logits as Values)
  copyBlocks(gathered, config, actual)
  actual.set(`rawlogits.${first}.image0`, firstPicture(gathered[`logits.${first}`] as Values))
  for (const l of idle) {
    actual.set(`score.${l}`, gathered[`score.${l}`] as Values)
    actual.set(`selected.${l}`, withPrefix(gathered[`selected.${l}`] as Values, prefixTokens(config)))
  }
  for (const [name, value] of await replayLosses(reference, keep, idle.length)) actual.set(name, value)
  for (const [name, value] of await replayCuts(reference, keep)) actual.set(name, value)
  return actual
}

/** Outputs of block maps to add, by block. */
interface Maps {
  map(block: number): void
  logits(block: number): void
}

async function run(
  reference: Reference,
  config: VitConfig,
  options: BuildOptions,
  addMaps: (maps: Maps) => void = () => {},
): Promise<Record<string, Values>> {
  const state = weightsUnder(reference, 'state.')
  const graph = buildGraph(config, state, options)
  const weights = constantWeights(graph, state)
  const entering = (l: number) => {
    const x = graph.outputs.get(l === 0 ? 'embedded' : `block.${l - 1}`)
    if (!x) throw new Error(`no rows before block ${l}`)
    return x
  }
  addMaps({
    map: (l) => output(`map.${l}`, attentionMap(vitBlock(weights, config, l), entering(l))),
    logits: (l) => output(`logits.${l}`, attentionLogits(vitBlock(weights, config, l), entering(l))),
  })
  const session = await createSession(graph)
  try {
    return await session.run({ pixel_values: valuesOf(reference, 'input') })
  } finally {
    await session.close()
  }
}

function copyBlocks(outputs: Record<string, Values>, config: VitConfig, actual: Map<string, Actual>): void {
  for (let l = 0; l < config.depth; l++) actual.set(`block.${l}`, outputs[`block.${l}`] as Values)
}

/** The first picture of a batch: `[B, …]` → `[…]`. */
function firstPicture({ data, shape }: Values): Actual {
  const [batch = 1, ...rest] = shape
  return { data: data.subarray(0, data.length / batch), shape: rest }
}

/** Selected image tokens `[B, K]` as rows, ascending, behind the prefix rows: `[B, K + prefix]`. */
function withPrefix({ data, shape }: Values, prefix: number): Actual {
  const [batch, count] = shape as [number, number]
  const rows = Array.from({ length: batch }, (_, b) => [
    ...Array.from({ length: prefix }, (_, row) => row),
    ...Array.from(
      data.subarray(b * count, (b + 1) * count) as ArrayLike<number | bigint>,
      (j) => Number(j) + prefix,
    ).sort((i, j) => i - j),
  ])
  return { data: rows.flat(), shape: [batch, count + prefix] }
}
