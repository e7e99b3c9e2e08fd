/** From a recipe to what the step, the evaluation and the saved model keep of their tokens. */
import { fail } from '../errors.js'
import { shapeOf } from '../models/backbone.js'
import { imageTokens, type VitConfig } from '../models/config.js'
import type { MethodPlan } from '../reduction/method.js'
import {
  type MethodChoice,
  planReduction,
  type ReductionPlan,
  storedChoice,
  storedPlan,
} from '../reduction/registry.js'
import { type KeepRequest, stageRatios } from '../reduction/schedule.js'
import type { IdleSettings } from '../weights/config-said.js'
import type { Recipe } from './recipe.js'

/** The method of a recipe with its options, as the trained model is run. */
const choiceOf = ({ method = 'idle', settings, score }: Recipe): MethodChoice & { readonly method: string } =>
  method === 'idle' ? { method, score, ...settings } : { method, ...settings }

/** The plan for a request; a base ratio of idling goes by the recipe's stages. */
export function planOf({ keepRatio, ...lists }: KeepRequest, recipe: Recipe, config: VitConfig): ReductionPlan {
  const { method = 'idle' } = recipe
  const shape = shapeOf(config)
  const stages = config.stem === undefined ? recipe.stages : 'paper' // LV-ViT's stages are the paper's in all of its code
  const staged = method === 'idle' && keepRatio !== undefined && !shape.stages
  const request = staged ? { keepRatios: stageRatios(config.depth, keepRatio, stages) } : { keepRatio, ...lists }
  return planReduction({ ...choiceOf(recipe), ...request }, shape)
}

/** What a training graph is built from besides the model. */
export type GraphPlan = MethodChoice & Pick<MethodPlan, 'keep'> & { readonly ratios?: readonly number[] }

const graphPlan = ({ warnings: _, ...plan }: ReductionPlan): GraphPlan => plan

/** The plan of the training graph: its tokens by block are numbers, or `fed` where every update says them anew. */
export function stepPlan(recipe: Recipe, config: VitConfig): GraphPlan {
  const { keepRatio, ...lists } = recipe.keep
  if (typeof keepRatio !== 'object')
    return graphPlan(planOf(keepRatio === undefined ? lists : { keepRatio }, recipe, config))
  if (shapeOf(config).stages)
    fail(
      `--keep-ratio ${keepRatio.low}..${keepRatio.high}: the windows of a Swin have a fixed number of tokens: wanted one ratio`,
    )
  const { ratios, ...plan } = graphPlan(planOf({ keepRatio: keepRatio.low }, recipe, config))
  return { ...plan, keep: (ratios ?? []).map((ratio) => (ratio < 1 ? 'fed' : imageTokens(config))) }
}

/**
 * The plan of every moment, `part` of the way through an epoch, where it changes while a run goes on: tokens that become
 * fewer (EViT from scratch), or options that hold in the first epochs alone (Evo-ViT). `undefined` where it does not.
 */
export function changingPlan(
  recipe: Recipe,
  config: VitConfig,
): ((epoch: number, part: number) => GraphPlan) | undefined {
  const { shrink, early, epochs } = recipe
  if (!shrink && !early) return undefined
  return (epoch, part) => {
    const begins = early && epoch < early.share * epochs
    const now: Recipe = begins ? { ...recipe, settings: { ...recipe.settings, ...early.settings } } : recipe
    const { keepRatio } = now.keep
    if (!shrink || typeof keepRatio !== 'number') return stepPlan(now, config)
    return stepPlan({ ...now, keep: { keepRatio: shrunk(keepRatio, shrink, epoch + part) } }, config)
  }
}

/** From 1 at `from` down to `ratio` at `until`, along a cosine. */
function shrunk(ratio: number, { from, until }: NonNullable<Recipe['shrink']>, epoch: number): number {
  const way = Math.min(1, Math.max(0, (epoch - from) / (until - from)))
  return ratio + 0.5 * (1 - ratio) * (1 + Math.cos(Math.PI * way))
}

/** The plans that a run is evaluated under, by name: one, or both ends of an elastic run. */
export function evaluationPlans(recipe: Recipe, config: VitConfig): Map<string, ReductionPlan> {
  const { keepRatio, ...lists } = recipe.keep
  if (typeof keepRatio === 'object')
    return new Map([keepRatio.low, keepRatio.high].map((k) => [String(k), planOf({ keepRatio: k }, recipe, config)]))
  return new Map([['', planOf(keepRatio === undefined ? lists : { keepRatio }, recipe, config)]])
}

/**
 * How the trained model wants its tokens reduced, for its config.json. An elastic model leaves the ratio to whoever runs
 * it.
 */
export function reductionSettings(recipe: Recipe, config: VitConfig): IdleSettings | undefined {
  const { keepRatio, keepTokens } = recipe.keep
  const { method = 'idle', score, settings } = recipe
  if (typeof keepRatio === 'object')
    return method === 'idle' ? { ...settings, score } : storedChoice(planOf({}, recipe, config))
  if (method !== 'idle' || shapeOf(config).stages) return storedPlan(planOf(recipe.keep as KeepRequest, recipe, config))
  if (keepTokens !== undefined) return { keepTokens, ...settings, score }
  const { ratios } = planOf(recipe.keep as KeepRequest, recipe, config)
  return ratios.every((ratio) => ratio === 1) ? undefined : { keepRatios: ratios, ...settings, score }
}
