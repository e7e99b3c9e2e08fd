/**
 * Steps: one elastic model that answers a picture with few tokens first, and with more where it is not sure. As sizes: the
 * image tokens of every block, step by step.
 */

import { fail } from '../errors.js'
import {
  checkElastic,
  planReduction,
  type ReductionPlan,
  type ReductionRequest,
  type StoredReduction,
} from '../reduction/registry.js'
import type { KeepRequest } from '../reduction/schedule.js'
import { shapeOf } from './backbone.js'
import { isCascade } from './cascade.js'
import type { VitConfig } from './config.js'

/** Image tokens of every block, for every step. */
export interface StepCounts {
  readonly steps?: readonly (readonly number[])[]
}

/** What is asked in steps. */
export interface StepRequest extends ReductionRequest {
  readonly steps?: readonly KeepRequest[]
}

/** A plan whose `keep` is the last step's. */
export interface StepPlan extends ReductionPlan {
  readonly steps: readonly (readonly number[])[]
}

/** What a model's folder says of its method, where steps say how many tokens there are. */
export const choiceOf = ({ keepTokens: _, keepRatios: __, ...choice }: StoredReduction = {}): StoredReduction => choice

/**
 * Plans every step of a request.
 *
 * @throws InputError on a single step, on steps that an elastic model of the method cannot follow, and where the model is a
 * cascade already
 */
export function planSteps(request: StepRequest, name: string, config: VitConfig): StepPlan {
  const { steps: asked = [], keepRatio, keepRatios, keepTokens, ...choice } = request
  if (isCascade(config)) fail(`steps: wanted a single net, found ${name}, a cascade of nets (DVT)`)
  const own = Object.entries({ keepRatio, keepRatios, keepTokens }).find(([, value]) => value !== undefined)
  if (own) fail(`steps and ${own[0]}: wanted one of them, both say how many tokens there are`)
  if (asked.length < 2) fail(`steps: wanted two or more, found ${asked.length}`)
  const shape = shapeOf(config)
  const plans = asked.map((step) => planReduction({ ...choice, ...step }, shape))
  for (const plan of plans) checkElastic(plan, shape)
  const last = plans.at(-1) as ReductionPlan
  return { ...last, warnings: plans.flatMap(({ warnings }) => warnings), steps: plans.map(({ keep }) => keep) }
}
