/** The losses of finetuning in an IdleViT reference file: the official code's, and over all idle blocks. */

import { buildGraph } from '../models/build.js'
import { createSession } from '../runtime/node.js'
import { createParameters } from '../training/parameters.js'
import { createStep, type StepPlan } from '../training/step.js'
import type { StateDict } from '../weights/state.js'
import { type Reference, tensorsUnder, valuesOf, vitConfigOf } from './reference.js'
import type { Actual } from './verify.js'

const scalar = (value: number | undefined): Actual => ({ data: [value ?? Number.NaN] })

/** Teacher outputs, and every loss part of a training step with `keep` tokens by block. */
export async function replayLosses(
  reference: Reference,
  keep: readonly number[],
  idleBlocks: number,
): Promise<Map<string, Actual>> {
  const config = vitConfigOf(reference)
  const teacherGraph = buildGraph(config, tensorsUnder(reference, 'teacher.'), { method: 'none', features: true })
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
  const teacher = { logits, features: { data: classRows, shape: [batch, 1, width] } }

  const parameters = createParameters(tensorsUnder(reference, 'state.') as StateDict)
  const gradients = new Float32Array(parameters.values.length)
  async function run(plan: Omit<StepPlan, 'config' | 'keep' | 'score'>) {
    const step = await createStep({ config, keep, score: 'logits', ...plan }, parameters, gradients)
    const result = await step.run({
      pixels: valuesOf(reference, 'input'),
      targets: valuesOf(reference, 'targets'),
      teacher,
    })
    await step.close()
    return result
  }
  const official = await run({})
  const inter = await run({ cut: { kind: 'inter' } })
  const intra = await run({ cut: { kind: 'intra' } })
  const everyBlock = await run({ cut: { blocks: 'all' } })
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
  ])
}
