/**
 * How many tokens the blocks of a pyramid keep: stage by stage, as the maps become smaller.
 *
 * IdleViT's Table 3 idles Swin-T and does not tell the ratio of a stage; here it is 1, k, k², k³ in the four stages, as in
 * those of a ViT: this project's own reading.
 */

import { fail } from '../errors.js'
import { type ModelShape, type StageShape, tokensByBlock } from './method.js'
import { checkRequest, type KeepPlan, type KeepRequest } from './schedule.js'

/** The stage of every block. */
export const stageByBlock = ({ stages = [] }: ModelShape): StageShape[] =>
  stages.flatMap((stage) => new Array<StageShape>(stage.depth).fill(stage))

/** Ratio of every block for base ratio k: k to the number of its stage. */
export const pyramidRatios = ({ stages = [] }: ModelShape, base: number): number[] =>
  stages.flatMap(({ depth }, s) => new Array<number>(depth).fill(base ** s))

/**
 * The tokens that every block keeps of its stage's.
 *
 * @param perWindow - as many in every window, so that windows stay rectangular
 * @throws InputError on values out of range, a list of the wrong length, or counts that windows cannot share
 */
export function planPyramid(request: KeepRequest, shape: ModelShape, perWindow: boolean): KeepPlan {
  const { keepRatio, keepRatios, keepTokens } = request
  const all = tokensByBlock(shape)
  checkRequest(request, shape.depth, Math.max(...all))
  const units = stageByBlock(shape).map(({ tokens, windowRows }) => (perWindow ? tokens / windowRows : 1))
  if (keepTokens) {
    for (const [l, n] of keepTokens.entries()) {
      const [most, unit] = [all[l] as number, units[l] as number]
      if (n > most) fail(`keepTokens: block ${l} has ${most} tokens, found ${n}`)
      if (n % unit !== 0) fail(`keepTokens: block ${l} has ${unit} windows, which ${n} tokens cannot share equally`)
    }
    return { keep: keepTokens, ratios: keepTokens.map((n, l) => n / (all[l] as number)), warnings: [] }
  }
  const ratios = keepRatios ?? pyramidRatios(shape, keepRatio ?? 1)
  const keep = ratios.map((ratio, l) => {
    const unit = units[l] as number
    return unit * Math.max(1, Math.trunc(((all[l] as number) / unit) * ratio))
  })
  return { keep, ratios, warnings: [] }
}
