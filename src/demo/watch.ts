/** What becomes of the tokens of many pictures: which are computed, which come back, and how many show the object. */

import { type BlockCoverage, coverageByBlock, objectPixels } from '../analysis/coverage.js'
import { idleStatistics, tokenMap } from '../analysis/tokens.js'
import { imageTokens } from '../models/config.js'
import { prepare } from '../models/prepare.js'
import type { KeepRequest } from '../reduction/schedule.js'
import type { Model } from '../runtime/classifier.js'
import { createSession } from '../runtime/node.js'
import { slicePictures, type TestPictures } from './pictures.js'

/** Shares of some of the tokens, over all pictures. */
export interface Fate {
  /** Tokens looked at. */
  readonly tokens: number
  /** Share that idles in at least one block. */
  readonly idled: number
  /** Share that idles and is computed by a later block. */
  readonly returned: number
  /** Of those that idle, the share that a later block computes. */
  readonly recovered: number
}

/** What was seen. */
export interface Watched {
  readonly keepRatio: number
  readonly pictures: number
  readonly coverage: readonly BlockCoverage[]
  readonly selfCorrection: {
    readonly all: Fate
    /** Tokens that the object covers by half or more. */
    readonly object: Fate
    /** Tokens without any of the object. */
    readonly background: Fate
  }
}

/**
 * Watches the tokens of the pictures that have masks.
 *
 * @param idle - the model that is idled, at `keepRatio`
 * @param dense - the model whose class attention is the yardstick, run with every token
 */
export async function watchTokens(
  idle: Model,
  dense: Model,
  keepRatio: number,
  pictures: TestPictures,
  onPicture?: (done: number) => void,
): Promise<Watched> {
  const { config } = idle
  const all = imageTokens(config)
  const selector = await openSelector(idle, { keepRatio })
  const ranker = await openSelector(dense, {})
  const covered = []
  try {
    for (const [i, mask] of pictures.masks.entries()) {
      const one = slicePictures(pictures, i, i + 1)
      const [selected, ranked] = [await selector.select(one), await ranker.select(one)]
      covered.push({ pixels: objectPixels(mask, config.patchSize), selected, ranked })
      onPicture?.(i + 1)
    }
  } finally {
    await Promise.all([selector.close(), ranker.close()])
  }
  const patch = config.patchSize ** 2
  const seen = covered.map(({ pixels, selected }) => ({
    pixels,
    map: tokenMap(
      selected.map((tokens, block) => ({ block, selected: tokens })),
      config.depth,
      all,
    ),
  }))
  const fate = (counts: (pixels: number) => boolean): Fate => {
    const found = seen.map(({ pixels, map }) => idleStatistics(map, (token) => counts(pixels[token] as number)))
    const sum = (of: 'tokens' | 'idled' | 'returned') => found.reduce((total, each) => total + each[of], 0)
    const [tokens, idled, returned] = [sum('tokens'), sum('idled'), sum('returned')]
    return { tokens, idled: idled / tokens, returned: returned / tokens, recovered: returned / idled }
  }
  return {
    keepRatio,
    pictures: covered.length,
    coverage: coverageByBlock(covered),
    selfCorrection: {
      all: fate(() => true),
      object: fate((pixels) => pixels >= patch / 2),
      background: fate((pixels) => pixels === 0),
    },
  }
}

/** Opens a model that tells the tokens which every block computes, `[depth][kept]`, from most to least class attention. */
async function openSelector(model: Model, request: KeepRequest) {
  const { config } = model
  // Blocks that keep every token rank them, too.
  const { plan, ...prepared } = prepare(model, request, { idleAll: true, trace: true })
  const session = await createSession(prepared.forward().graph)
  const names = plan.keep.map((_, block) => `selected.${block}`)
  return {
    async select(pixels: Float32Array): Promise<Int32Array[]> {
      const shape = [1, 3, config.imageSize, config.imageSize]
      const outputs = await session.run({ pixel_values: { data: pixels, shape } }, names)
      return names.map((name) => Int32Array.from(outputs[name]?.data as BigInt64Array, Number))
    },
    close: () => session.close(),
  }
}
