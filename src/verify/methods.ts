/** Replays reference files of EViT, Evo-ViT, ATS and ToMe: what each computed in evaluation. */

import type { Tensor } from '../graph/graph.js'
import { mul } from '../graph/ops/elementwise.js'
import { gatherLast } from '../graph/ops/rows.js'
import { reshape } from '../graph/ops/shape.js'
import { prefixTokens } from '../models/config.js'
import type { VitOutput } from '../models/vit.js'
import { homeOf, placesOf, type Rows } from '../reduction/rows.js'
import type { Values } from '../runtime/session.js'
import type { Actual, Replay } from './compare.js'
import { blockOf, field, need, run, sorted } from './model.js'
import { tensorsUnder, valuesOf, vitConfigOf } from './reference.js'

/** EViT, fused and unfused: logits, scores, kept rows and rows of the blocks that reduce. */
export const replayEvit: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const blocks = field<number[]>(reference, 'reducing_blocks')
  const keepRatios = field<number[]>(reference, 'keep_rate_per_block')
  const actual = new Map<string, Actual>()
  for (const [form, fuse] of [
    ['fused', true],
    ['unfused', false],
  ] as const) {
    const found = await run(reference, config, { method: 'evit', keepRatios, fuse }, (model) => ({
      [`${form}.logits`]: model.logits,
      ...Object.fromEntries(
        blocks.flatMap((l) => {
          const { step } = blockOf(model, l)
          return [
            [`${form}.block.${l}`, step.rows.x],
            [`${form}.score.${l}`, step.scores as Tensor],
            [`${form}.kept_in_score_order.${l}`, step.kept as Tensor],
          ]
        }),
      ),
    }))
    for (const [name, values] of found) actual.set(name, values)
    for (const l of blocks) actual.set(`${form}.kept.${l}`, sorted(need(found, `${form}.kept_in_score_order.${l}`)))
  }
  return actual
}

/** Evo-ViT, stage by stage and layer by layer, and both heads. */
export const replayEvoVit: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const keepRatios = field<number[]>(reference, 'prune_ratio')
  const stages = field<number[]>(reference, 'stage_blocks')
  const request = { method: 'evovit', keepRatios } as const
  const actual = new Map<string, Actual>()
  const found = await run(reference, config, request, (model) => ({
    logits: model.logits,
    'train.logits_avg': model.logits,
    'train.logits_cls': model.headLogits[1] as Tensor,
    pooled_after_norm: model.pooled as Tensor,
    ...Object.fromEntries(model.blocks.map(({ step }, l) => [`block.${l}`, step.rows.x])),
    ...Object.fromEntries(
      stages.flatMap((l) => {
        const { step } = blockOf(model, l)
        return [
          [`sort_scores.${l}`, gatherLast(step.scores as Tensor, step.seen?.order as Tensor)],
          [`sort_indices.${l}`, step.seen?.order as Tensor],
          [`places.${l}`, placesOf(step.rows)],
        ]
      }),
    ),
  }))
  for (const [name, values] of found) actual.set(name, values)
  for (const [i, l] of stages.entries()) {
    const { data, shape } = need(found, `places.${l}`)
    const [batch = 1, tokens = 0] = shape
    const count = field<number[]>(reference, 'K')[i] as number
    const kept = Array.from({ length: batch }, (_, b) => [...data.subarray(b * tokens, b * tokens + count)]).flat()
    actual.set(`kept_raster.${l}`, sorted({ data: BigInt64Array.from(kept as bigint[]), shape: [batch, count] }))
  }
  const logits = (model: VitOutput) => ({ logits: model.logits })
  const other = async (settings: { layerwise?: boolean; prunecls?: boolean }) =>
    need(await run(reference, config, { ...request, ...settings }, logits), 'logits')
  actual.set('layerwise.logits', await other({ layerwise: true }))
  actual.set('prunecls.logits', await other({ prunecls: true }))
  return actual
}

/** ATS as officially in a batch, without packing, and every picture by itself. */
export const replayAts: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const blocks = field<number[]>(reference, 'ats_blocks')
  const samples = field<number>(reference, 'num_tokens') - prefixTokens(config)
  const request = { method: 'ats', from: blocks[0] as number, samples, sampling: 'batch' } as const
  const actual = new Map<string, Actual>()
  const found = await run(reference, config, request, (model) => ({
    logits: model.logits,
    ...Object.fromEntries(
      blocks.flatMap((l) => {
        const { step } = blockOf(model, l)
        return [
          [`block.${l}`, withoutPadding(step.rows)],
          [`kept_raster.${l}`, placesOf(step.rows)],
          [`sorted_significance.${l}`, step.seen?.significance as Tensor],
          [`pick.${l}`, step.seen?.hits as Tensor],
        ]
      }),
    ),
  }))
  for (const [name, values] of found) actual.set(name, values)
  const logits = (model: VitOutput) => ({ logits: model.logits })
  actual.set('nodrop.logits', need(await run(reference, config, { ...request, pack: false }, logits), 'logits'))
  const alone = { ...request, sampling: 'single' } as const
  actual.set('single_image.logits', need(await run(reference, config, alone, logits), 'logits'))
  const { data, shape } = valuesOf(reference, 'input')
  const [batch = 1, ...picture] = shape
  const length = data.length / batch
  for (let b = 0; b < batch; b++) {
    const input = { data: data.slice(b * length, (b + 1) * length), shape: [1, ...picture] }
    const places = (model: VitOutput) =>
      Object.fromEntries(blocks.map((l) => [`${l}`, placesOf(blockOf(model, l).step.rows)]))
    for (const [l, values] of await run(reference, config, alone, places, { input }))
      actual.set(`single_image.${b}.kept_raster.${l}`, { data: values.data })
  }
  return actual
}

/** Rows with padding set to 0, as the official code leaves them: `[B, n, C]`. */
function withoutPadding({ x, present }: Rows): Tensor {
  return present ? mul(x, reshape(present, [...present.shape, 1])) : x
}

/** ToMe: three schedules on DeiT and distilled DeiT, sizes, and where every row of the input went. */
export const replayTome: Replay = async (reference) => {
  const schedules = field<Record<string, { r: string; parsed: number[] }>>(reference, 'schedules')
  const actual = new Map<string, Actual>()
  for (const [name, { r }] of Object.entries(schedules)) {
    const distilled = name.startsWith('distilled')
    const config = { ...vitConfigOf(reference), distilled }
    const state = tensorsUnder(reference, distilled ? 'state_distilled.' : 'state.')
    const request = { method: 'tome', ...scheduleOf(r) } as const
    const found = await run(
      reference,
      config,
      request,
      ({ logits, rows }) => ({ logits, size: rows.size as Tensor, home: homeOf(rows) }),
      { state },
    )
    actual.set(`${name}.logits`, need(found, 'logits'))
    const size = need(found, 'size')
    actual.set(`${name}.size`, { ...size, shape: [...size.shape, 1] })
    actual.set(`${name}.source`, sourceMap(need(found, 'home'), size.shape[1] as number, prefixTokens(config)))
    const logits = (model: VitOutput) => ({ logits: model.logits })
    if (reference.tensors.has(`expect.${name}.logits_no_prop_attn`)) {
      const plain = await run(reference, config, { ...request, proportional: false }, logits, { state })
      actual.set(`${name}.logits_no_prop_attn`, need(plain, 'logits'))
    }
    const dense = await run(reference, config, { method: 'none' }, logits, { state })
    actual.set(`${name.replace(/\.r\d+$/, '')}.dense.logits`, need(dense, 'logits'))
  }
  return actual
}

/** A schedule as the official code prints it: `5`, `(4, -0.5)` or `[0, 8, 8]`. */
function scheduleOf(text: string): { readonly r: number | readonly number[]; readonly inflect?: number } {
  const numbers = text
    .replace(/[()[\]\s]/g, '')
    .split(',')
    .map(Number)
  if (text.startsWith('(')) return { r: numbers[0] as number, inflect: numbers[1] as number }
  return { r: text.startsWith('[') ? numbers : (numbers[0] as number) }
}

/** Which rows of the input every row stands for: `[B, n, N]` of 0 and 1. */
function sourceMap(home: Values, rows: number, prefix: number): Actual {
  const [batch = 1, tokens = 0] = home.shape
  const all = prefix + tokens
  const data = new Uint8Array(batch * rows * all)
  for (let b = 0; b < batch; b++)
    for (let j = 0; j < all; j++) {
      const row = j < prefix ? j : prefix + Number(home.data[b * tokens + j - prefix])
      data[(b * rows + row) * all + j] = 1
    }
  return { data, shape: [batch, rows, all] }
}
