/** Replays Swin reference files: rows behind the embedding, blocks and stages, and logits. */

import { output, type Tensor } from '../graph/graph.js'
import { slice } from '../graph/ops/shape.js'
import { shapeOf } from '../models/backbone.js'
import { type BuildOptions, buildForward } from '../models/build.js'
import { type StageSizes, type SwinConfig, stagesOf } from '../models/swin-config.js'
import type { VitOutput } from '../models/vit.js'
import { planReduction } from '../reduction/registry.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import { inferSwinConfig } from '../weights/infer-swin.js'
import { toTimmNames } from '../weights/names.js'
import type { StateDict } from '../weights/state.js'
import type { Actual, Replay } from './compare.js'
import { blockOf, field, need, sorted } from './model.js'
import { type Reference, tensorsUnder, valuesOf } from './reference.js'

/** The weights of a file, and the model that they are. */
export function swinOf(reference: Reference): { readonly config: SwinConfig; readonly state: StateDict } {
  const state = toTimmNames(tensorsUnder(reference, 'state.') as StateDict)
  const [imageSize, layerNormEps] = ['img_size', 'ln_eps'].map((name) => field<number>(reference, name))
  return { state, config: inferSwinConfig(state, { imageSize, layerNormEps }) }
}

/** Everything a file may expect of a pass: `patch_embed.image0`, `block.{stage}.{block}`, `stage.{stage}`, logits. */
export function namedRows(
  { embedded, blocks, stages = [], logits }: VitOutput,
  config: SwinConfig,
): Map<string, Tensor> {
  const named = new Map([
    ['patch_embed.image0', slice(embedded, 0, 0, 1)],
    ['logits', logits],
  ])
  for (const [s, rows] of stages.entries()) named.set(`stage.${s}`, rows)
  for (const { stage, first, depth } of stagesOf(config))
    for (let b = 0; b < depth; b++) {
      const record = blocks[first + b]
      if (record) named.set(`block.${stage}.${b}`, record.step.rows.x)
    }
  return named
}

/** Runs a file's model, and gives what `named` picks. */
export async function runSwin(
  reference: Reference,
  options: BuildOptions,
  named = (model: VitOutput): ReadonlyMap<string, Tensor> => namedRows(model, swinOf(reference).config),
): Promise<Map<string, Values>> {
  const { config, state } = swinOf(reference)
  const { graph, model } = buildForward(config, state, options)
  graph.outputs.clear()
  for (const [name, tensor] of named(model)) output(name, tensor)
  const session = await createSession(graph)
  try {
    return new Map(Object.entries(await session.run({ pixel_values: valuesOf(reference, 'input') })))
  } finally {
    await session.close()
  }
}

/** The dense model. */
export const replaySwin: Replay = (reference) => runSwin(reference, { method: 'none' })

/** DynamicSwin in evaluation: also the scores and tokens of every point, `score.{block}` and `kept.{block}`. */
export const replayDynamicSwin: Replay = async (reference) => {
  const { config } = swinOf(reference)
  const points = field<number[]>(reference, 'pruning_loc')
  const [keepRatio] = field<number[]>(reference, 'sparse_ratio') as [number]
  const { first } = stagesOf(config)[field<number>(reference, 'sparse_stage')] as StageSizes
  const plan = planReduction({ method: 'dynamicswin', keepRatio }, shapeOf(config))
  const actual = await runSwin(reference, plan, (model) => {
    const named = namedRows(model, config)
    for (const b of points) {
      const { scores, kept } = blockOf(model, first + b).step
      named.set(`score.${b}`, scores as Tensor).set(`kept.${b}`, kept as Tensor)
    }
    return named
  })
  const ascending = points.map((b) => [`kept.${b}`, sorted(need(actual, `kept.${b}`))] as const)
  return new Map<string, Actual>([...actual, ...ascending])
}
