/** From a model and what is asked of its tokens to what runs: the plan, the graph for a target, and what it costs. */

import type { Graph } from '../graph/graph.js'
import { lower, type Target } from '../graph/passes/precision.js'
import { planReduction, type ReductionPlan, type ReductionRequest } from '../reduction/registry.js'
import { shapeOf } from './backbone.js'
import { type BuildOptions, buildForward, type WeightValues } from './build.js'
import type { VitConfig } from './config.js'
import { type ModelCost, modelCost } from './cost.js'
import type { VitOutput } from './vit.js'

/** Sizes and weights. */
export interface Weighted {
  readonly config: VitConfig
  readonly state: WeightValues
}

/** A model under a plan, of which nothing is computed before it is asked for. */
export interface Prepared {
  readonly plan: ReductionPlan
  /** What its graphs are built with: the plan, and what is wanted of them. */
  readonly build: BuildOptions & ReductionPlan
  /** The graph as it was written, and the tensors in it that have no name. */
  forward(): { readonly graph: Graph; readonly model: VitOutput }
  /** The graph as a target runs it. */
  graph(target: Target): Graph
  /** Multiply-adds and parameters of the plan. */
  cost(): ModelCost
}

/**
 * Prepares a model for a reduction.
 *
 * @param request - the method, its options, and the tokens to keep
 * @param wanted - what is wanted of the graph besides its answer
 * @throws InputError on keep ratios out of range, and on methods that do not fit the model
 */
export function prepare(
  { config, state }: Weighted,
  request: ReductionRequest,
  wanted: Omit<BuildOptions, 'keep' | 'method'> = {},
): Prepared {
  const plan = planReduction(request, shapeOf(config))
  const build = { ...plan, ...wanted }
  const forward = () => buildForward(config, state, build)
  return {
    plan,
    build,
    forward,
    graph: (target) => lower(forward().graph, target),
    cost: () => modelCost(config, { ...plan, ...(wanted.features && { features: true }) }),
  }
}
