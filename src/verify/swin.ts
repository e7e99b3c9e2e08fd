/** Replays Swin reference files: rows behind the embedding, blocks and stages, and logits. */

import { output, type Tensor } from '../graph/graph.js'
import { slice } from '../graph/ops/shape.js'
import { type BuildOptions, buildForward } from '../models/build.js'
import { type SwinConfig, stagesOf } from '../models/swin-config.js'
import type { VitOutput } from '../models/vit.js'
import { createSession } from '../runtime/node.js'
import { inferSwinConfig } from '../weights/infer-swin.js'
import { toTimmNames } from '../weights/names.js'
import type { StateDict } from '../weights/state.js'
import type { Actual, Replay } from './compare.js'
import { field } from './model.js'
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
  named: (model: VitOutput, config: SwinConfig) => ReadonlyMap<string, Tensor> = namedRows,
): Promise<Map<string, Actual>> {
  const { config, state } = swinOf(reference)
  const { graph, model } = buildForward(config, state, options)
  graph.outputs.clear()
  for (const [name, tensor] of named(model, config)) output(name, tensor)
  const session = await createSession(graph)
  try {
    return new Map(Object.entries(await session.run({ pixel_values: valuesOf(reference, 'input') })))
  } finally {
    await session.close()
  }
}

/** The dense model. */
export const replaySwin: Replay = (reference) => runSwin(reference, { method: 'none' })
