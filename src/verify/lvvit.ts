/** Replays reference files of LV-ViT: what the stem makes of pictures, rows, both heads; idled as DeiT is. */

import { createGraph, input, output, type Tensor } from '../graph/graph.js'
import { reshape, transpose } from '../graph/ops/shape.js'
import { constantWeights } from '../models/build.js'
import { gridSize, pictureSize, type VitConfig } from '../models/config.js'
import { patchTokens } from '../models/patches.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import type { Actual, Replay } from './compare.js'
import { replayIdleDeit } from './deit.js'
import { need, run } from './model.js'
import { type Reference, valuesOf, vitConfigOf, weightsUnder } from './reference.js'

/** The dense model. */
export const replayLvvit: Replay = async (reference) => {
  const config = vitConfigOf(reference)
  const found = await run(
    reference,
    config,
    { method: 'none' },
    ({ logits, headLogits, rowLogits, features, blocks }) => ({
      logits,
      cls_logits: headLogits[0] as Tensor,
      aux_logits: rowLogits as Tensor,
      final_tokens: features,
      ...Object.fromEntries(blocks.map(({ step }, l) => [`block.${l}`, step.rows.x])),
    }),
  )
  return new Map<string, Actual>([...found, ['stem', await stemOf(reference, config)]])
}

/** The idled model, and its losses. */
export const replayIdleLvvit: Replay = async (reference) => {
  const actual = await replayIdleDeit(reference)
  return new Map([...actual, ['stem', await stemOf(reference, vitConfigOf(reference))]])
}

/** What the blocks will read, without positions and in the form of a map: `[B, C, rows, columns]`. */
async function stemOf(reference: Reference, config: VitConfig): Promise<Values> {
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, ...pictureSize(config)])
  const tokens = patchTokens(constantWeights(graph, weightsUnder(reference, 'state.')), pixels, config) // [B, N0, C]
  output('stem', reshape(transpose(tokens, [0, 2, 1]), ['batch', config.width, ...gridSize(config)]))
  const session = await createSession(graph)
  try {
    return need(new Map(Object.entries(await session.run({ pixel_values: valuesOf(reference, 'input') }))), 'stem')
  } finally {
    await session.close()
  }
}
