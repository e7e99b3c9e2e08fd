/** From a recipe to what the step, the evaluation and the saved model keep of their tokens. */
import { imageTokens, type VitConfig } from '../models/config.js'
import { type KeepPlan, type KeepRequest, planKeep, stageRatios } from '../reduction/schedule.js'
import type { IdleSettings } from '../weights/config-file.js'
import type { Recipe } from './options.js'

/** Tokens by block for a request; a base ratio goes by the recipe's stages. */
export function planOf({ keepRatio, ...lists }: KeepRequest, { stages }: Recipe, config: VitConfig): KeepPlan {
  const request = keepRatio === undefined ? lists : { keepRatios: stageRatios(config.depth, keepRatio, stages) }
  return planKeep(request, config.depth, imageTokens(config))
}

/** What the blocks of the training graph keep: a number, or `fed` where every update says it anew. */
export function stepKeep(recipe: Recipe, config: VitConfig): readonly (number | 'fed')[] {
  const { keepRatio, ...lists } = recipe.keep
  if (typeof keepRatio !== 'object') return planOf(keepRatio === undefined ? lists : { keepRatio }, recipe, config).keep
  const { low } = keepRatio
  return planOf({ keepRatio: low }, recipe, config).ratios.map((ratio) => (ratio < 1 ? 'fed' : imageTokens(config)))
}

/** The plans that a run is evaluated under, by name: one, or both ends of an elastic run. */
export function evaluationPlans(recipe: Recipe, config: VitConfig): Map<string, KeepPlan> {
  const { keepRatio, ...lists } = recipe.keep
  if (typeof keepRatio === 'object')
    return new Map([keepRatio.low, keepRatio.high].map((k) => [String(k), planOf({ keepRatio: k }, recipe, config)]))
  return new Map([['', planOf(keepRatio === undefined ? lists : { keepRatio }, recipe, config)]])
}

/**
 * How the trained model wants to be idled, for its config.json. An elastic model leaves the ratio to whoever runs it.
 */
export function idleSettings(recipe: Recipe, config: VitConfig): IdleSettings | undefined {
  const { keepRatio, keepTokens } = recipe.keep
  const { score } = recipe
  if (typeof keepRatio === 'object') return { score }
  if (keepTokens !== undefined) return { keepTokens, score }
  const { ratios } = planOf(recipe.keep as KeepRequest, recipe, config)
  return ratios.every((ratio) => ratio === 1) ? undefined : { keepRatios: ratios, score }
}
