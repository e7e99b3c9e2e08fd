/** Replays SPViT reference files: evaluation with and without noise, training with its losses, and both ways to gather. */

import type { Dim } from '../graph/dims.js'
import { createGraph, input, output, scalar, type Tensor } from '../graph/graph.js'
import { add, cast, less, sub } from '../graph/ops/elementwise.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import { constantWeights, methodBuild } from '../models/build.js'
import { imageTokens, pictureSize, type VitConfig } from '../models/config.js'
import { type VitOutput, vit } from '../models/vit.js'
import { predictorWeights } from '../reduction/dynamicvit.js'
import type { Build, Form } from '../reduction/method.js'
import { denseBlock } from '../reduction/none.js'
import { pack } from '../reduction/packing.js'
import { choice } from '../reduction/predictor.js'
import { imageRows, numbers, pickRows, rowCount, withPrefix } from '../reduction/rows.js'
import { keptSymbol } from '../reduction/schedule.js'
import { meanOf, predict } from '../reduction/spvit.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import { presetOf } from '../training/options.js'
import { createParameters, viewsOf } from '../training/parameters.js'
import { createStep } from '../training/step.js'
import { toTimmNames } from '../weights/names.js'
import type { StateDict } from '../weights/state.js'
import type { Actual, Replay } from './compare.js'
import { blockOf, field, type Named, need, run } from './model.js'
import { type Reference, tensorsUnder, valuesOf, vitConfigOf } from './reference.js'

/** SPViT by all of its official files. */
export const replaySpvit: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const points = field<number[]>(reference, 'pruning_loc')
  const shares = field<number[]>(reference, 'token_ratio')
  const keepRatios = Array.from(
    { length: config.depth },
    (_, l) => shares[points.filter((p) => p <= l).length - 1] ?? 1,
  )
  const at: Setting = { reference, config, points, keepRatios }
  const parts = [
    await maskedForm(at, '', 'noise.eval', true),
    await maskedForm(at, 'argmax.', undefined, true),
    await maskedForm(at, 'train.', 'noise.train', false),
    await trainingStep(at, true),
    await trainingStep(at, false),
    await inference(at, 'inference_fixed'),
    await inference(at, 'inference'),
  ]
  return new Map(parts.flatMap((part) => [...part]))
}

/** What is replayed. */
interface Setting {
  readonly reference: Reference
  readonly config: VitConfig
  /** Blocks before which rows are dropped. */
  readonly points: readonly number[]
  readonly keepRatios: readonly number[]
}

/** Noise of every point as inputs; zeros where the file has none. */
function noiseOf({ reference, config, points }: Setting, name: string | undefined): Record<string, Values> {
  const batch = valuesOf(reference, 'input').shape[0] as number
  return Object.fromEntries(
    points.map((l, p) => {
      const shape = [batch, imageTokens(config) + p, 2]
      const zeros = { data: new Float32Array(batch * (imageTokens(config) + p) * 2), shape }
      return [`gumbel.${l}`, name ? valuesOf(reference, `${name}.${p}`) : zeros]
    }),
  )
}

/** The form that masks. */
async function maskedForm(at: Setting, prefix: string, noise: string | undefined, sharp: boolean) {
  const { reference, config, points, keepRatios } = at
  const named: Named = (model) => {
    const image = slice(model.features, 1, model.rows.prefix, model.rows.prefix + imageTokens(config)) // [B, N0, C]
    const stages = points.flatMap((l, p) => {
      const { heads, logs, chances, package: parcel, policy } = blockOf(model, l).step.seen as Record<string, Tensor>
      return [
        [`head_weight.${p}`, heads],
        [`score.${p}`, logs],
        [`softmax_score.${p}`, chances],
        [`package.${p}`, parcel],
        [`keep.${p}`, policy],
      ] as [string, Tensor][]
    })
    return {
      logits: model.logits,
      embedded: model.embedded,
      features: image,
      ...Object.fromEntries(model.blocks.map(({ step }, l) => [`block.${l}`, step.rows.x])),
      ...Object.fromEntries(stages),
    }
  }
  const found = await run(reference, config, { method: 'spvit', keepRatios }, named, {
    build: { form: 'masked', sharp },
    feeds: noiseOf(at, noise),
  })
  const keeps = points.map((_, p) => need(found, `keep.${p}`))
  const [batch = 1, N0 = 0] = keeps[0]?.shape ?? []
  const sparse = keeps.flatMap(({ data }, p) => {
    const kept = Array.from(data, Number).reduce((a, b) => a + b, 0)
    const zeros = batch * N0 - kept
    return [zeros, batch * (1 + N0 + p + 1) - zeros]
  })
  const packages = points.map((_, p) => {
    const { data, shape } = need(found, `package.${p}`)
    return [`package.${p}`, { data, shape: [shape[0] as number, shape[2] as number] }] as const
  })
  const all = new Map<string, Actual>([
    ...found,
    ...packages,
    ['sparse', { data: sparse }],
    ['mask', need(found, `keep.${points.length - 1}`)],
  ])
  return new Map([...all].map(([name, values]) => [prefix + name, values] as const))
}

/** A step of finetuning with the stored noise, under the official coefficients, with a teacher and without. */
async function trainingStep(at: Setting, teacher: boolean): Promise<Map<string, Actual>> {
  const { reference, config, points, keepRatios: ratios } = at
  const state = toTimmNames(tensorsUnder(reference, 'state.') as StateDict)
  const parameters = createParameters(state)
  const into = new Float32Array(parameters.values.length)
  const weights = presetOf('official', 'spvit').loss
  const N0 = imageTokens(config)
  const keep = ratios.map((ratio) => Math.trunc(ratio * N0))
  const step = await createStep({ config, method: 'spvit', keep, ratios, weights, teacher }, parameters, into)
  const tokens = valuesOf(reference, 'teacher.tokens')
  const [batch, , C] = tokens.shape as [number, number, number]
  const features = new Float32Array(batch * (N0 + 1) * C) // nobody compares the class row
  for (let b = 0; b < batch; b++)
    features.set((tokens.data as Float32Array).subarray(b * N0 * C, (b + 1) * N0 * C), (b * (N0 + 1) + 1) * C)
  const lesson = {
    logits: valuesOf(reference, 'teacher.logits'),
    features: { data: features, shape: [batch, N0 + 1, C] },
  }
  const { parts, loss } = await step.run({
    pixels: valuesOf(reference, 'input'),
    targets: valuesOf(reference, 'targets'),
    ...(teacher && { teacher: lesson }),
    inputs: noiseOf(at, 'noise.train'),
  })
  await step.close()
  const part = (name: string, factor = 1) => ({ data: [factor * (parts[name] ?? Number.NaN)] })
  const ratio = part('ratio', points.length)
  if (!teacher)
    return new Map<string, Actual>([
      ['loss_nodistill', { data: [loss] }],
      ['loss_nodistill.ratio', ratio],
    ])
  return new Map<string, Actual>([
    ['loss', { data: [loss] }],
    ['loss.cls', part('classification')],
    ['loss.cls_kl', part('distillation')],
    ['loss.token', part('token')],
    ['loss.ratio', ratio],
    ...[...viewsOf(parameters, into)].map(([name, { data }]) => [`grad.${name}`, { data }] as const),
  ])
}

/** One picture at a time, as the official inference file: with the packages at their rows, or as released. */
async function inference(at: Setting, kind: 'inference' | 'inference_fixed'): Promise<Map<string, Actual>> {
  const { reference, config, points, keepRatios } = at
  const { data, shape } = valuesOf(reference, 'input')
  const [batch, ...picture] = shape as [number, ...number[]]
  const length = data.length / batch
  const actual = new Map<string, Actual>()
  const logits: number[] = []
  for (let b = 0; b < batch; b++) {
    const pixels = { data: data.slice(b * length, (b + 1) * length), shape: [1, ...picture] }
    const found = await (kind === 'inference' ? released(at, pixels) : fixed(pixels))
    logits.push(...Array.from(need(found, 'logits').data, Number))
    for (const [name, values] of found) if (name !== 'logits') actual.set(`${kind}.${b}.${name}`, { data: values.data })
  }
  return actual.set(`${kind}.logits`, { data: logits })

  function fixed(input: Values) {
    const named: Named = (model) => ({
      logits: model.logits,
      [`block.${config.depth - 1}`]: blockOf(model, config.depth - 1).step.rows.x,
      ...Object.fromEntries(
        points.flatMap((l, p) => {
          const { before, step } = blockOf(model, l)
          const rows = add(numbers(before.x, p + 1, -p), rowCount(before)) // the packages and the new one
          const index = withPrefix(before, concat([step.kept as Tensor, rows], 1))
          return [
            [`package.${p}`, step.seen?.package as Tensor],
            [`index.${p}`, index],
          ]
        }),
      ),
    })
    return run(reference, config, { method: 'spvit', keepRatios, stay: 'picture' }, named, {
      build: { packages: 'mean' },
      input,
    })
  }
}

/**
 * The official inference file as it was released: where it gathers packages, it counts their rows among those that stay,
 * and so takes others.
 */
async function released({ reference, config, points }: Setting, pixels: Values): Promise<Map<string, Values>> {
  const graph = createGraph()
  const weights = constantWeights(graph, toTimmNames(tensorsUnder(reference, 'state.') as StateDict))
  const pictures = input(graph, 'pixel_values', ['batch', 3, ...pictureSize(config)])
  const form = releasedForm(methodBuild(graph, weights, config), points)
  const model: VitOutput = vit(weights, pictures, config, { form, allTokens: true })
  output('logits', model.logits)
  output(`block.${config.depth - 1}`, blockOf(model, config.depth - 1).step.rows.x)
  for (const [p, l] of points.entries())
    for (const [name, tensor] of Object.entries(blockOf(model, l).step.seen ?? {})) output(`${name}.${p}`, tensor)
  const session = await createSession(graph)
  try {
    return new Map(Object.entries(await session.run({ pixel_values: pixels })))
  } finally {
    await session.close()
  }
}

function releasedForm(build: Build, points: readonly number[]): Form<undefined> {
  const zero = scalar(build.graph, 0)
  return {
    start: () => undefined,
    block(block, rows, state, reads) {
      const p = points.indexOf(block.index)
      if (p < 0) return { ...denseBlock(block, rows, reads), state }
      const x = slice(rows.x, 1, rows.prefix) // [1, m, C], the last p of them as packages
      const { logs } = predict(predictorWeights(build, p), x, block.heads)
      const image = (t: Tensor) => (p === 0 ? t : slice(t, 1, 0, -p))
      const margins = image(sub(choice(logs, 0), choice(logs, 1))) // [1, m - p]
      const mask = cast(less(zero, margins), 'float32') // [1, m - p]
      const { places, counts } = pack(mask, keptSymbol(block.index)) // [1, K], [1]
      const parcel = meanOf(sub(scalar(build.graph, 1), mask), image(x)) // [1, 1, C]
      const wrong = add(numbers(rows.x, p + 1), cast(reshape(counts, [counts.shape[0] as Dim, 1]), 'int64')) // [1, p + 1]
      const index = withPrefix(rows, concat([places, wrong], 1)) // [1, 1 + K + p + 1]
      const left = { x: pickRows(concat([rows.x, parcel], 1), index, true), prefix: rows.prefix }
      return { ...denseBlock(block, left, reads), state, seen: { index, package: parcel }, tokens: imageRows(left) }
    },
  }
}
