/** Replays DynamicViT reference files: evaluation, and the training forward with stored noise and its losses. */

import { input, type Tensor } from '../graph/graph.js'
import { add, scale } from '../graph/ops/elementwise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { slice } from '../graph/ops/shape.js'
import { crossEntropy } from '../losses/classification.js'
import { logitDistillation } from '../losses/distillation.js'
import { ratioLoss, tokenLoss } from '../losses/dynamicvit.js'
import { imageTokens, type VitConfig } from '../models/config.js'
import type { VitOutput } from '../models/vit.js'
import type { Values } from '../runtime/session.js'
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
): Promise<Map<string, Values>> {
  const image = ({ features, rows }: VitOutput) => slice(features, 1, rows.prefix) // [B, N0, C]
  const state = tensorsUnder(reference, 'teacher.')
  const teacher = await run(
    reference,
    config,
    { method: 'none' },
    (model) => ({
      teacher_logits: model.logits,
      teacher_features_mean: reduceMean(image(model), [1]),
      features: image(model),
    }),
    { state },
  )
  const stored = (kind: string) => points.map((l) => [`${kind}.${l}`, valuesOf(reference, `${kind}.${l}`)] as const)
  const request = { method: 'dynamicvit', keepTokens } as const
  const policy = await run(reference, config, request, ({ logits }) => ({ 'policy_forward.logits': logits }), {
    build: { form: 'masked', givenPolicy: true },
    feeds: Object.fromEntries(stored('policy')),
  })
  const ratios = field<number[]>(reference, 'token_ratio')
  const student = await run(
    reference,
    config,
    request,
    (model) => {
      const { graph } = model.logits
      const policies = points.map((l) => blockOf(model, l).step.seen?.policy as Tensor)
      const features = image(model)
      const targets = input(graph, 'targets', ['batch', config.classes])
      const teacherLogits = input(graph, 'teacher_logits', ['batch', config.classes])
      const teacherFeatures = input(graph, 'teacher_features', features.shape)
      const cls = crossEntropy(model.logits, targets)
      const kl = logitDistillation(model.logits, teacherLogits)
      const token = tokenLoss(features, teacherFeatures, policies.at(-1) as Tensor)
      const ratio = ratioLoss(policies, ratios)
      const total = [cls, scale(ratio, 2 / points.length), scale(kl, 0.5), scale(token, 0.5)].reduce(add)
      return {
        'train.logits': model.logits,
        'train.features': slice(features, 0, 0, 1),
        'train.cls': cls,
        'train.kl': kl,
        'train.token': token,
        'train.ratio_sum': ratio,
        'train.total': total,
      }
    },
    {
      build: { form: 'masked' },
      feeds: {
        ...Object.fromEntries(stored('gumbel')),
        targets: valuesOf(reference, 'targets'),
        teacher_logits: need(teacher, 'teacher_logits'),
        teacher_features: need(teacher, 'features'),
      },
    },
  )
  return new Map([...teacher, ...policy, ...student])
}
