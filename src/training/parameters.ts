/**
 * Parameters of a model in training, back to back in one array, so that the optimizer, the moving average and a
 * checkpoint each are one loop or one write.
 */

import { fail } from '../errors.js'
import type { StateDict, WeightTensor } from '../weights/state.js'

/** A trained tensor and its place in the flat array. */
export interface Parameter {
  readonly name: string
  readonly shape: readonly number[]
  readonly start: number
  readonly end: number
}

export interface Parameters {
  /** Trained tensors in the order of the flat array: those that decay first. */
  readonly trained: readonly Parameter[]
  /** Their values; changed in place by the optimizer. */
  readonly values: Float32Array
  /** Values before this index decay (matrices), the others do not (vectors, tokens, positions). */
  readonly decayEnd: number
  /** Tensors that stay as they are. */
  readonly frozen: ReadonlyMap<string, WeightTensor>
}

/** Weight decay is for matrices: not for biases and norms, not for token and position embeddings. */
export const decays = (name: string, shape: readonly number[]): boolean =>
  shape.filter((size) => size > 1).length > 1 && !name.endsWith('pos_embed')

/**
 * Copies a model's weights into trainable form.
 *
 * @param isTrained - which tensors learn; default all
 * @throws InputError when a tensor is not float32 or nothing is left to train
 */
export function createParameters(state: StateDict, isTrained: (name: string) => boolean = () => true): Parameters {
  const entries = [...state].filter(([name]) => isTrained(name))
  if (entries.length === 0) fail('nothing to train: every parameter is frozen')
  const ordered = [
    ...entries.filter(([name, { shape }]) => decays(name, shape)),
    ...entries.filter(([name, { shape }]) => !decays(name, shape)),
  ]
  let end = 0
  const trained = ordered.map(([name, { shape, data }]) => {
    const start = end
    end += data.length
    return { name, shape, start, end }
  })
  const values = new Float32Array(end)
  for (const { name, start } of trained) {
    const { data, dtype } = state.get(name) as WeightTensor
    if (!(data instanceof Float32Array)) return fail(`${name}: wanted floating-point numbers to train, found ${dtype}`)
    values.set(data, start)
  }
  const decayEnd = trained.filter(({ name, shape }) => decays(name, shape)).at(-1)?.end ?? 0
  const frozen = [...state].filter(([name]) => !isTrained(name))
  return { trained, values, decayEnd, frozen: new Map(frozen.map(([name, tensor]) => [name, copyOf(tensor)])) }
}

/** In memory of its own: a session would copy what lies in shared memory, where files are read into, at every step. */
const copyOf = (tensor: WeightTensor): WeightTensor => ({ ...tensor, data: tensor.data.slice() })

/** Views into `flat`, an array laid out like `parameters.values`, by name. */
export const viewsOf = (parameters: Parameters, flat: Float32Array): Map<string, WeightTensor> =>
  new Map(
    parameters.trained.map(({ name, shape, start, end }) => [
      name,
      { dtype: 'F32', shape, data: flat.subarray(start, end) },
    ]),
  )

/** The whole model, frozen tensors included; `flat` may be the moving average. Views, not copies. */
export const stateOf = (parameters: Parameters, flat = parameters.values): StateDict =>
  new Map([...parameters.frozen, ...viewsOf(parameters, flat)])
