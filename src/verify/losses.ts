/** The losses of finetuning in an IdleViT reference file: the official code's, and over all idle blocks. */

import type { Dim } from '../graph/dims.js'
import { output, scalar as scalarOf } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { mul, sub } from '../graph/ops/elementwise.js'
import { reshape, slice } from '../graph/ops/shape.js'
import { blockCut, cutLogits, squaredSums } from '../losses/cut.js'
import { shapeOf } from '../models/backbone.js'
import { buildForward, buildGraph } from '../models/build.js'
import { imageTokens } from '../models/config.js'
import { planReduction } from '../reduction/registry.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import { createParameters, viewsOf } from '../training/parameters.js'
import { createStep, type StepPlan } from '../training/step.js'
import type { Actual } from './compare.js'
import { type Reference, valuesOf, vitConfigOf, weightsUnder } from './reference.js'

const scalar = (value: number | undefined): Actual => ({ data: [value ?? Number.NaN] })

/**
 * The token cut loss block by block, in both reductions and as sums that any divisor can be tested on, and the class
 * token's features in the masked form.
 */
export async function replayCuts(reference: Reference, keep: readonly number[]): Promise<Map<string, Actual>> {
  const config = vitConfigOf(reference)
  const { graph, model } = buildForward(config, weightsUnder(reference, 'state.'), {
    keep,
    score: 'logits',
    form: 'masked',
    features: true,
    traces: () => true,
  })
  graph.outputs.clear()
  output('train_cls_feature', slice(model.features, 1, 0, 1)) // [B, 1, C]
  const attentions = model.blocks.flatMap(({ step }) => step.attention ?? [])
  for (const [i, attention] of attentions.entries()) {
    const { selected } = attention
    for (const kind of ['inter', 'intra'] as const)
      for (const reduction of ['official', 'paper'] as const)
        output(`${reduction}.${kind}.${i}`, blockCut(cutLogits(attention, reduction), selected, kind, reduction))
    const idle = sub(scalarOf(graph, 1), selected) // [B, N]
    const squares = squaredSums(cutLogits(attention, 'paper'), selected, idle) // [B, H, N, 2]
    const rows = reshape(selected, [selected.shape[0] as Dim, 1, selected.shape[1] as number, 1]) // [B, 1, N, 1]
    output(`sum_S.${i}`, reduceSum(mul(slice(squares, 3, 0, 1), rows), [2, 3])) // [B, H]
    output(`sum_I.${i}`, reduceSum(mul(slice(squares, 3, 1, 2), sub(scalarOf(graph, 1), rows)), [2, 3])) // [B, H]
  }
  const session = await createSession(graph)
  const found = await session.run({ pixel_values: valuesOf(reference, 'input') })
  await session.close()
  const list = (name: string) => attentions.flatMap((_, i) => Array.from(found[`${name}.${i}`]?.data ?? [], Number))
  const [selected, idle] = [list('sum_S'), list('sum_I')]
  const each = selected.length / attentions.length // pictures times heads
  const ofIdle = keep.filter((kept) => kept < imageTokens(config))
  /** Sum over blocks of the means over pictures and heads, sums over selected rows divided by K. */
  const literal = (withIdle: boolean) =>
    ofIdle.reduce((sum, K, i) => {
      const mean = (values: readonly number[]) =>
        values.slice(i * each, (i + 1) * each).reduce((a, b) => a + b, 0) / each
      return sum + mean(selected) / K + (withIdle ? mean(idle) / (imageTokens(config) - K) : 0)
    }, 0)
  const feature = found.train_cls_feature as Values
  return new Map<string, Actual>([
    ['train_cls_feature', { data: feature.data }],
    ['allcut.inter', { data: list('official.inter') }],
    ['allcut.intra', { data: list('official.intra') }],
    ['paper.inter', { data: list('paper.inter') }],
    ['paper.intra', { data: list('paper.intra') }],
    ['paper.inter_sum_S', { data: selected }],
    ['paper.inter_sum_I', { data: idle }],
    ['paper.intra_sum_S', { data: selected }], // rows of a map sum to 1: what stays inside is what does not leave
    ['paper.inter_total_literalK', scalar(literal(true))],
    ['paper.intra_total_literalK', scalar(literal(false))],
  ])
}

/** Teacher outputs, and every loss part of a training step with `keep` tokens by block. */
export async function replayLosses(
  reference: Reference,
  keep: readonly number[],
  idleBlocks: number,
): Promise<Map<string, Actual>> {
  const config = vitConfigOf(reference)
  const teacherGraph = buildGraph(config, weightsUnder(reference, 'teacher.'), { method: 'none', features: true })
  const session = await createSession(teacherGraph)
  const { logits, features } = await session.run({ pixel_values: valuesOf(reference, 'input') })
  await session.close()
  if (!logits || !features) throw new Error('the teacher has no outputs')
  const [batch, rows, width] = features.shape as [number, number, number]
  const classRows = new Float32Array(batch * width) // [B, C]
  for (let b = 0; b < batch; b++) {
    const at = b * rows * width
    classRows.set((features.data as Float32Array).subarray(at, at + width), b * width)
  }
  // Of LV-ViT the official code compares all rows that are computed, of DeiT the class token's.
  const featureRows = config.auxHead ? 'selected' : 'class'
  const ofClass = { data: classRows, shape: [batch, 1, width] }
  const teacher = { logits, features: featureRows === 'class' ? ofClass : features }

  const parameters = createParameters(weightsUnder(reference, 'state.'))
  const gradients = new Float32Array(parameters.values.length)
  async function run(plan: Omit<StepPlan, 'config' | 'keep' | 'score'>) {
    const step = await createStep({ config, keep, score: 'logits', featureRows, ...plan }, parameters, gradients)
    const result = await step.run({
      pixels: valuesOf(reference, 'input'),
      targets: valuesOf(reference, 'targets'),
      teacher,
    })
    await step.close()
    return result
  }
  /** Gradients of the last step, copied, by their names in the file. */
  const gradientsUnder = (prefix: string) =>
    [...viewsOf(parameters, gradients.slice())].map(([name, { data }]) => [`${prefix}.${name}`, { data }] as const)
  const official = await run({})
  const officialGradients = gradientsUnder('grad')
  const inter = await run({ cut: { kind: 'inter' } })
  const intra = await run({ cut: { kind: 'intra' } })
  const everyBlock = await run({ cut: { blocks: 'all' } })
  const everyBlockGradients = gradientsUnder('gradclean')
  const paperInter = await run({ cut: { kind: 'inter', reduction: 'paper', blocks: 'all' } })
  const paperIntra = await run({ cut: { kind: 'intra', reduction: 'paper', blocks: 'all' } })
  const sum = (parts: Record<string, number>) => scalar((parts.cut ?? Number.NaN) * idleBlocks)
  return new Map<string, Actual>([
    ['teacher_logits', logits],
    ['teacher_cls_feature', { data: classRows, shape: [batch, width] }],
    ['code.total', scalar(official.loss)],
    ['code.cls', scalar(official.parts.classification)],
    ['code.kl', scalar(official.parts.distillation)],
    ['code.feature', scalar(official.parts.feature)],
    ['code.cut_sum', sum(official.parts)],
    ['code.cut_sum_inter', sum(inter.parts)],
    ['code.cut_sum_intra', sum(intra.parts)],
    ['clean.total', scalar(everyBlock.loss)],
    ['clean.cut_mean', scalar(everyBlock.parts.cut)],
    ['paper.inter_total', scalar(paperInter.parts.cut)],
    ['paper.intra_total', scalar(paperIntra.parts.cut)],
    ...officialGradients,
    ...everyBlockGradients,
  ])
}

/** The cross entropy of a dense model, and its gradients. */
export async function replayCrossEntropy(reference: Reference, logits: Values): Promise<Map<string, Actual>> {
  const actual = new Map<string, Actual>([
    ['cross_entropy', scalar(crossEntropy(logits, valuesOf(reference, 'targets')))],
  ])
  const config = vitConfigOf(reference)
  if (![...reference.tensors.keys()].some((name) => name.startsWith('grad.'))) return actual
  const parameters = createParameters(weightsUnder(reference, 'state.'))
  const into = new Float32Array(parameters.values.length)
  const { keep } = planReduction({ method: 'none' }, shapeOf(config))
  const weights = { classification: 1, distillation: 0, feature: 0 }
  const step = await createStep({ config, method: 'none', keep, weights, teacher: false }, parameters, into)
  await step.run({ pixels: valuesOf(reference, 'input'), targets: valuesOf(reference, 'targets') })
  await step.close()
  for (const [name, { data }] of viewsOf(parameters, into)) actual.set(`grad.${name}`, { data })
  return actual
}

/** mean_b( -Σ_c y log softmax(z) ) */
function crossEntropy(logits: Values, targets: Values): number {
  const [batch, classes] = logits.shape as [number, number]
  let loss = 0
  for (let b = 0; b < batch; b++) {
    const row = Array.from(logits.data.subarray(b * classes, (b + 1) * classes), Number)
    const max = Math.max(...row)
    const logSum = max + Math.log(row.reduce((sum, z) => sum + Math.exp(z - max), 0))
    row.forEach((z, c) => {
      loss -= (Number(targets.data[b * classes + c]) * (z - logSum)) / batch
    })
  }
  return loss
}
