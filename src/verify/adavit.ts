/** Replays AdaViT reference files: evaluation gathered and masked, its two variants, training with its losses, and FLOPs. */

import { fail } from '../errors.js'
import type { Tensor } from '../graph/graph.js'
import type { LossWeights } from '../losses/total.js'
import { shapeOf } from '../models/backbone.js'
import type { VitConfig } from '../models/config.js'
import type { VitOutput } from '../models/vit.js'
import type { GateName } from '../reduction/gates.js'
import { type MethodSettings, planReduction, type ReductionRequest } from '../reduction/registry.js'
import type { Values } from '../runtime/session.js'
import { presetOf } from '../training/options.js'
import { createParameters, viewsOf } from '../training/parameters.js'
import { createStep } from '../training/step.js'
import { adaVit } from '../weights/layouts.js'
import { fromTimmNames, toTimmNames } from '../weights/names.js'
import type { StateDict } from '../weights/state.js'
import type { Actual, Replay } from './compare.js'
import { blockOf, field, need, type RunOptions, run } from './model.js'
import { type Reference, tensorsUnder, valuesOf, vitConfigOf } from './reference.js'

/** What the gates are called in the file, and the first block that has them. */
const gates: readonly (readonly [file: string, gate: GateName, from: number])[] = [
  ['head', 'heads', 1],
  ['layer', 'sublayers', 1],
  ['token', 'tokens', 0],
]

/** AdaViT in all that its file holds. */
export const replayAdavit: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const noise = noiseOf(reference, config)
  const parts = [
    await evaluation(reference, config, '', {}),
    await evaluation(reference, config, 'head_attn.', { dropped: 'identity' }),
    await evaluation(reference, config, 'head_v2.', { dropped: 'hidden' }),
    await masked(reference, config, 'train.', {}, { build: { form: 'masked' }, feeds: noise }),
    await officialStep(reference, config, noise),
    await fullStep(reference, config, noise),
  ]
  const all = new Map<string, Actual>(parts.flatMap((part) => [...part]))
  return all.set('flops', { data: officialFlops(reference) })
}

/** Rows and logits of the gathered form; decisions and what is inside of a block from the masked one. */
async function evaluation(reference: Reference, config: VitConfig, prefix: string, settings: ReductionRequest) {
  const found = await run(reference, config, { method: 'adavit', ...settings }, (model) => ({
    logits: model.logits,
    ...blockRows(model),
  }))
  const inside = await masked(reference, config, prefix, settings, { build: { official: true } })
  return new Map<string, Actual>([...inside, ...[...found].map(([name, values]) => [prefix + name, values] as const)])
}

const blockRows = (model: VitOutput): Record<string, Tensor> =>
  Object.fromEntries(model.blocks.map(({ step }, l) => [`block.${l}`, step.rows.x]))

/** The masked form, and what its gates said and decided. */
async function masked(
  reference: Reference,
  config: VitConfig,
  prefix: string,
  settings: ReductionRequest,
  options: RunOptions,
): Promise<Map<string, Actual>> {
  const inside = 2 // the block whose inside the file holds
  const found = await run(
    reference,
    config,
    { method: 'adavit', ...settings },
    (model) => {
      const told = model.blocks.flatMap(({ step }, l) =>
        gates.flatMap(([, gate, from]) =>
          l < from
            ? []
            : [
                [`logits.${gate}.${l}`, step.seen?.[`logits.${gate}`] as Tensor],
                [`open.${gate}.${l}`, step.seen?.[gate === 'tokens' ? 'tokens' : `open.${gate}`] as Tensor],
              ],
        ),
      )
      const { attended, fed, map } = blockOf(model, inside).step.seen as Record<string, Tensor>
      return {
        logits: model.logits,
        embedded: model.embedded,
        [`attn_out.${inside}`]: attended as Tensor,
        [`mlp_out.${inside}`]: fed as Tensor,
        [`attn_prob.${inside}`]: map as Tensor,
        ...blockRows(model),
        ...Object.fromEntries(told),
      }
    },
    options,
  )
  const all = new Map<string, Actual>(found)
  for (const [name, gate, from] of gates) {
    all.set(`${name}_logits`, byPicture(found, `logits.${gate}`, from, config.depth))
    all.set(`${name}_policy`, byPicture(found, `open.${gate}`, from, config.depth))
  }
  return new Map([...all].map(([name, values]) => [prefix + name, values] as const))
}

/** `[B, w]` of every block from the first that has it: `[B, blocks, w]`. */
function byPicture(found: ReadonlyMap<string, Values>, name: string, from: number, depth: number): Actual {
  const blocks = Array.from({ length: depth - from }, (_, i) => need(found, `${name}.${from + i}`))
  const [batch = 1, width = 1] = blocks[0]?.shape ?? []
  const data = Array.from({ length: batch }, (_, b) =>
    blocks.flatMap((values) => Array.from(values.data.subarray(b * width, (b + 1) * width), Number)),
  ).flat()
  return { data, shape: [batch, blocks.length, width] }
}

/** The stored Gumbel numbers as the differences that decisions are drawn by: `[B, w]` for every block and gate. */
function noiseOf(reference: Reference, config: VitConfig): Record<string, Values> {
  const feeds: Record<string, Values> = {}
  for (const [name, gate, from] of gates) {
    const [first, second] = [valuesOf(reference, `noise.${name}.g1`), valuesOf(reference, `noise.${name}.g2`)]
    const [batch, blocks, width] = first.shape as [number, number, number]
    for (let l = from; l < config.depth; l++) {
      const at = (b: number, i: number) => (b * blocks + l - from) * width + i
      const data = Float32Array.from({ length: batch * width }, (_, j) => {
        const place = at(Math.floor(j / width), j % width)
        return Number(first.data[place]) - Number(second.data[place])
      })
      feeds[`logistic.${gate}.${l}`] = { data, shape: [batch, width] }
    }
  }
  return feeds
}

/** A step of finetuning with the stored noise: its loss, the parts of it, and the gradients by official names. */
async function trainingStep(
  reference: Reference,
  config: VitConfig,
  inputs: Readonly<Record<string, Values>>,
  weights: LossWeights,
  settings: MethodSettings = {},
) {
  const parameters = createParameters(toTimmNames(tensorsUnder(reference, 'state.') as StateDict))
  const into = new Float32Array(parameters.values.length)
  const { warnings: _, ...plan } = planReduction({ method: 'adavit', ...settings }, shapeOf(config))
  const step = await createStep({ config, ...plan, weights, teacher: false }, parameters, into)
  const { loss, parts } = await step.run({
    pixels: valuesOf(reference, 'input'),
    targets: valuesOf(reference, 'targets'),
    inputs,
  })
  await step.close()
  return { loss, parts, gradients: fromTimmNames(viewsOf(parameters, into), adaVit) }
}

const number = (value: number | undefined): Actual => ({ data: [value ?? Number.NaN] })

/** Under the official coefficients. */
async function officialStep(reference: Reference, config: VitConfig, noise: Readonly<Record<string, Values>>) {
  const weights = presetOf('official', 'adavit').loss
  const { loss, parts, gradients } = await trainingStep(reference, config, noise, weights)
  return new Map<string, Actual>([
    ['loss', number(loss)],
    ['loss.base_loss', number(parts.classification)],
    ['loss.head_loss', number(parts.heads)],
    ['loss.layer_loss', number(parts.sublayers)],
    ['loss.token_loss', number(parts.tokens)],
    ...[...gradients].map(([name, { data }]) => [`grad.${name}`, { data }] as const),
  ])
}

/** With every term that the official loss can have, under the file's coefficients, targets and floors. */
async function fullStep(reference: Reference, config: VitConfig, noise: Readonly<Record<string, Values>>) {
  const said = field<Readonly<Record<string, number>>>(reference, 'loss_full')
  const of = (name: string) => said[name] ?? fail(`${reference.file}: config.loss_full.${name} is missing`)
  /** The terms of a part of the official loss, each with its factor in that part. */
  const terms = {
    head: {
      heads: 1,
      headSpread: of('head_diverse_ratio'),
      headCertainty: of('head_entropy_weight'),
      headFloor: of('head_minimal_weight'),
    },
    layer: {
      sublayers: 1,
      sublayerSpread: of('layer_diverse_ratio'),
      sublayerCertainty: of('layer_entropy_weight'),
      sublayerFloor: of('layer_minimal_weight'),
    },
    token: { tokens: 1, tokenFloor: of('token_minimal_weight') },
  }
  const own = Object.entries(terms).flatMap(([part, factors]) =>
    Object.entries(factors).map(([name, factor]) => [name, of(`${part}_loss_ratio`) * factor] as const),
  )
  const weights = { classification: 1, distillation: 0, feature: 0, ...Object.fromEntries(own) }
  const { loss, parts, gradients } = await trainingStep(reference, config, noise, weights, {
    headTarget: of('head_target_ratio'),
    sublayerTarget: of('layer_target_ratio'),
    tokenTarget: of('token_target_ratio'),
    headFloor: of('head_minimal'),
    sublayerFloor: of('layer_minimal'),
    tokenFloor: of('token_minimal'),
  })
  const sums = Object.entries(terms).map(([part, factors]) => {
    const sum = Object.entries(factors).reduce((all, [name, factor]) => all + factor * (parts[name] ?? Number.NaN), 0)
    return [`loss_full.${part}_loss`, number(sum)] as const
  })
  return new Map<string, Actual>([
    ['loss_full', number(loss)],
    ['loss_full.base_loss', number(parts.classification)],
    ...sums,
    ...[...gradients].map(([name, { data }]) => [`grad_full.${name}`, { data }] as const),
  ])
}

/** Token counts for which the released table of FLOPs holds those of one token less. */
const roundedDown = new Set([13, 26, 51, 52, 53, 102, 104, 106, 117, 119, 121])

/**
 * The official count of GFLOPs for made-up decisions at the size of DeiT-S: what the released table adds up to. It counts
 * less than is computed: the projection as if it were square in the heads that run, the gates not at all.
 */
function officialFlops(reference: Reference): number[] {
  const [heads, sublayers, tokens] = ['head', 'layer', 'token'].map((name) =>
    valuesOf(reference, `flops.${name}_policy`),
  ) as [Values, Values, Values]
  const [batch, depth, N] = tokens.shape as [number, number, number]
  const [, gated, H] = heads.shape as [number, number, number]
  const [C, base] = [384, 0.06e9]
  const sum = (values: Values, at: number, width: number) =>
    Array.from(values.data.subarray(at * width, (at + 1) * width), Number).reduce((a, b) => a + b, 0)
  const cost = (h: number, t: number, a: number, b: number) => {
    if (h === 0) return 0
    const w = 64 * h
    return 5 * N * C + a * (5 * N * C + 3 * t * C * w + 2 * t * t * w + t * w * w) + b * (t * w * 1536 + t * 1536 * C)
  }
  return Array.from({ length: batch }, (_, b) => {
    const blocks = Array.from({ length: depth }, (_, l) => {
      const kept = sum(tokens, b * depth + l, N)
      const t = roundedDown.has(kept) ? kept - 1 : kept
      const at = b * gated + l - (depth - gated)
      if (l < depth - gated) return cost(H, t, 1, 1)
      const [attends, feeds] = [0, 1].map((i) => Number(sublayers.data[2 * at + i])) as [number, number]
      return cost(sum(heads, at, H), t, attends, feeds)
    })
    return (base + blocks.reduce((x, y) => x + y, 0)) / 1e9
  })
}
