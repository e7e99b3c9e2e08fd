/** Replays DynamicViT reference files: evaluation, and the training forward with stored noise and its losses. */

import type { Tensor } from '../graph/graph.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { slice } from '../graph/ops/shape.js'
import { imageTokens, type VitConfig } from '../models/config.js'
import type { VitOutput } from '../models/vit.js'
import type { Values } from '../runtime/session.js'
import { presetOf } from '../training/options.js'
import { createParameters, viewsOf } from '../training/parameters.js'
import { createStep } from '../training/step.js'
import { toTimmNames } from '../weights/names.js'
import type { StateDict } from '../weights/state.js'
import { type Actual, type Replay, TOLERANCE } from './compare.js'
import { blockOf, field, need, run, sorted } from './model.js'
import { type Reference, tensorsUnder, valuesOf, vitConfigOf } from './reference.js'

/** DynamicViT in evaluation and training. */
export const replayDynamicVit: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const points = field<number[]>(reference, 'pruning_loc')
  const counts = field<number[]>(reference, 'K')
  const keepTokens = Array.from({ length: config.depth }, (_, l) => {
    const last = points.filter((point) => point <= l).length
    return last === 0 ? imageTokens(config) : (counts[last - 1] as number)
  })
  const actual = new Map<string, Actual>()
  const found = await run(reference, config, { method: 'dynamicvit', keepTokens }, (model) => ({
    logits: model.logits,
    ...Object.fromEntries(
      points.flatMap((l) => {
        const { step } = blockOf(model, l)
        return [
          [`score.${l}`, step.scores as Tensor],
          [`kept_in_score_order.${l}`, step.kept as Tensor],
        ]
      }),
    ),
  }))
  for (const [name, values] of inOrderOfFile(reference, points, found)) actual.set(name, values)
  for (const l of points) actual.set(`kept.${l}`, sorted(actual.get(`kept_in_score_order.${l}`) as Values))
  for (const [name, values] of await training(reference, config, points, keepTokens)) actual.set(name, values)
  return actual
}

/**
 * Scores and kept rows as they would be had rows of equal score stood in the file's order: where two scores are closer
 * than the tolerance, which of the rows comes first is chance, and later blocks count rows in that order.
 */
function inOrderOfFile(
  reference: Reference,
  points: readonly number[],
  found: ReadonlyMap<string, Values>,
): Map<string, Values> {
  const aligned = new Map(found)
  /** By picture: for every row of ours that comes in, its number in the file's order. */
  let rowOf: ((b: number) => readonly number[]) | undefined
  for (const l of points) {
    const [score, kept] = [need(found, `score.${l}`), need(found, `kept_in_score_order.${l}`)]
    const wanted = valuesOf(reference, `expect.kept_in_score_order.${l}`)
    const wantedScores = valuesOf(reference, `expect.score.${l}`)
    const [batch = 1, m = 0] = score.shape
    const K = kept.shape[1] as number
    const scores = new Float32Array(batch * m)
    const order = new BigInt64Array(batch * K)
    const next: number[][] = []
    for (let b = 0; b < batch; b++) {
      const row = rowOf?.(b) ?? Array.from({ length: m }, (_, i) => i)
      for (const [i, at] of row.entries()) scores[b * m + at] = score.data[b * m + i] as number
      const ours = Array.from({ length: K }, (_, i) => row[Number(kept.data[b * K + i])] as number)
      const theirs = Array.from({ length: K }, (_, i) => Number(wanted.data[b * K + i]))
      const scoreOf = (at: number) => Number(wantedScores.data[b * m + at])
      const ties = (i: number) => Math.abs(scoreOf(ours[i] as number) - scoreOf(theirs[i] as number)) <= TOLERANCE
      const sameButTies = ours.every((at, i) => at === theirs[i] || (ties(i) && theirs.includes(at)))
      order.set((sameButTies ? theirs : ours).map(BigInt), b * K)
      next.push(sameButTies ? ours.map((at) => theirs.indexOf(at)) : ours.map((_, i) => i))
    }
    aligned.set(`score.${l}`, { data: scores, shape: score.shape })
    aligned.set(`kept_in_score_order.${l}`, { data: order, shape: kept.shape })
    rowOf = (b) => next[b] as number[]
  }
  return aligned
}

/** The teacher, and the student in training: with the stored noise, and with the stored decisions. */
async function training(
  reference: Reference,
  config: VitConfig,
  points: readonly number[],
  keepTokens: readonly number[],
): Promise<Map<string, Actual>> {
  const image = ({ features, rows }: VitOutput) => slice(features, 1, rows.prefix) // [B, N0, C]
  const state = tensorsUnder(reference, 'teacher.')
  const teacher = await run(
    reference,
    config,
    { method: 'none' },
    (model) => ({
      teacher_logits: model.logits,
      teacher_features_mean: reduceMean(image(model), [1]),
      rows: model.features,
    }),
    { state },
  )
  const stored = (kind: string) => points.map((l) => [`${kind}.${l}`, valuesOf(reference, `${kind}.${l}`)] as const)
  const request = { method: 'dynamicvit', keepTokens } as const
  const policy = await run(reference, config, request, ({ logits }) => ({ 'policy_forward.logits': logits }), {
    build: { form: 'masked', givenPolicy: true },
    feeds: Object.fromEntries(stored('policy')),
  })
  const feeds = Object.fromEntries(stored('gumbel'))
  const student = await run(
    reference,
    config,
    request,
    (model) => ({ 'train.features': slice(image(model), 0, 0, 1) }),
    { build: { form: 'masked' }, feeds },
  )
  const teacherOfStep = { logits: need(teacher, 'teacher_logits'), features: need(teacher, 'rows') }
  const step = await trainingStep(reference, config, points, keepTokens, feeds, teacherOfStep)
  return new Map<string, Actual>([...teacher, ...policy, ...student, ...step])
}

/** A step of finetuning with the stored noise, under the official coefficients. */
async function trainingStep(
  reference: Reference,
  config: VitConfig,
  points: readonly number[],
  keep: readonly number[],
  inputs: Readonly<Record<string, Values>>,
  teacher: { readonly logits: Values; readonly features: Values },
): Promise<Map<string, Actual>> {
  const wanted = field<number[]>(reference, 'token_ratio')
  const ratios = keep.map((_, l) => wanted[points.filter((point) => point <= l).length - 1] ?? 1)
  const parameters = createParameters(toTimmNames(tensorsUnder(reference, 'state.') as StateDict))
  const into = new Float32Array(parameters.values.length)
  const weights = presetOf('official', 'dynamicvit').loss
  const step = await createStep({ config, method: 'dynamicvit', keep, ratios, weights }, parameters, into)
  const found = await step.run({
    pixels: valuesOf(reference, 'input'),
    targets: valuesOf(reference, 'targets'),
    teacher,
    inputs,
  })
  await step.close()
  const part = (name: string, factor = 1) => ({ data: [factor * (found.parts[name] ?? Number.NaN)] })
  return new Map<string, Actual>([
    ['train.logits', found.logits],
    ['train.cls', part('classification')],
    ['train.kl', part('distillation')],
    ['train.token', part('token')],
    ['train.ratio_sum', part('ratio', points.length)],
    ['train.total', { data: [found.loss] }],
    ...[...viewsOf(parameters, into)].map(([name, { data }]) => [`grad.${name}`, { data }] as const),
  ])
}
