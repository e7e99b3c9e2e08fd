/** The weights that a method reads beyond the model's, for a model that was not trained with it. */

import { fail } from '../errors.js'
import { shapeOf } from '../models/backbone.js'
import { type VitConfig, vitParameters } from '../models/config.js'
import { methodOf } from '../reduction/registry.js'
import { withMissing } from '../weights/init.js'
import type { StateDict } from '../weights/state.js'
import { ownLossesWant } from './losses.js'
import { stepPlan } from './plan.js'
import type { Recipe } from './recipe.js'

/** What may get weights. */
type Weighed = { readonly config: VitConfig; readonly state: StateDict }

/**
 * A model with all that the recipe's method reads. What the model has stays; a predictor is drawn from the recipe's seed;
 * the head on the class token is the model's own one, which was on it so far, while the mean of all tokens gets a copy.
 *
 * @throws InputError where a model that has two heads should get another one
 */
export function withOwnWeights<M extends Weighed>(model: M, recipe: Recipe): M {
  const headed = withClassHead(model, recipe)
  const { config, state } = headed
  const keep = stepPlan(recipe, config).keep.map(Number)
  const { parameters, initial } = methodOf(recipe.method ?? 'idle')
  return {
    ...headed,
    state: withMissing(state, parameters?.(shapeOf(config), keep, recipe.settings), recipe.seed, initial),
  }
}

function withClassHead<M extends Weighed>(model: M, { method, loss }: Recipe): M {
  const { config, state } = model
  if (config.classHead || !ownLossesWant('needsClassHead', method, loss)) return model
  if (config.distilled || config.auxHead)
    fail(
      `${method}: a head on the class token beside the mean of all tokens is for models without a distillation token and without a head on every token`,
    )
  const headed = { ...config, pool: 'mean', classHead: true } as const
  const copied: StateDict = new Map(
    [...vitParameters(headed).keys()].map((name) => {
      const tensor = state.get(name) ?? state.get(name.replace('_cls', '')) ?? fail(`no weight ${name}`)
      return [name, state.has(name) ? tensor : { ...tensor, data: tensor.data.slice() }]
    }),
  )
  const others = [...state].filter(([name]) => !copied.has(name))
  return { ...model, config: headed, state: new Map([...copied, ...others]) }
}
