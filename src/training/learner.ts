/** What training changes: weights, the optimizer's moments, the moving average; into a checkpoint and back. */
import { fail } from '../errors.js'
import type { StateDict } from '../weights/state.js'
import { type AdamWState, createAdamWState } from './adamw.js'
import { type Parameters, stateOf, viewsOf } from './parameters.js'

/** What training changes. */
export interface Learner {
  readonly parameters: Parameters
  readonly optimizer: AdamWState
  /** Moving average of the weights. */
  readonly average: Float32Array | undefined
}

/** A learner before its first update. */
export const createLearner = (parameters: Parameters, withAverage: boolean): Learner => ({
  parameters,
  optimizer: createAdamWState(parameters),
  average: withAverage ? parameters.values.slice() : undefined,
})

/** Everything a checkpoint keeps: views, not copies. */
export function tensorsOf({ parameters, optimizer, average }: Learner): StateDict {
  const named = (prefix: string, state: StateDict) =>
    [...state].map(([name, tensor]) => [`${prefix}/${name}`, tensor] as const)
  return new Map([
    ...named('weights', stateOf(parameters)),
    ...named('first', viewsOf(parameters, optimizer.first)),
    ...named('second', viewsOf(parameters, optimizer.second)),
    ...(average ? named('average', viewsOf(parameters, average)) : []),
  ])
}

/**
 * Puts the tensors of a checkpoint back where they were.
 *
 * @throws InputError when they are those of another model
 */
export function restore(
  { parameters, optimizer, average }: Learner,
  tensors: StateDict,
  step: number,
  path: string,
): void {
  const load = (prefix: string, flat: Float32Array) => {
    for (const { name, start, end } of parameters.trained) {
      const { data } = tensors.get(`${prefix}/${name}`) ?? fail(`${path}: no tensor ${prefix}/${name}`)
      if (!(data instanceof Float32Array) || data.length !== end - start)
        fail(`${path}: ${prefix}/${name} should hold ${end - start} numbers, found ${data.length}: another model?`)
      flat.set(data as Float32Array, start)
    }
  }
  load('weights', parameters.values)
  load('first', optimizer.first)
  load('second', optimizer.second)
  if (average) load('average', average)
  optimizer.steps = step
}
