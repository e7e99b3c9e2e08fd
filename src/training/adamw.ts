/**
 * AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), in PyTorch's form.
 *
 * One loop over typed arrays in IEEE arithmetic: the same bits on every machine, and a few per cent of a step.
 */

import type { Parameters } from './parameters.js'

export interface AdamWOptions {
  /** Decay rates of the two moments; default 0.9 and 0.999. */
  readonly betas?: readonly [number, number]
  /** Default 1e-8. */
  readonly eps?: number
  /** Default 0.05; for matrices only. */
  readonly weightDecay?: number
  /** Factors of the learning rate by parameter; default 1. */
  readonly factors?: readonly number[]
}

/** What a checkpoint keeps of the optimizer; the arrays are changed in place. */
export interface AdamWState {
  /** Steps taken. */
  steps: number
  /** Moving averages of the gradient and of its square, laid out like `parameters.values`. */
  readonly first: Float32Array
  readonly second: Float32Array
}

export const createAdamWState = (parameters: Parameters): AdamWState => ({
  steps: 0,
  first: new Float32Array(parameters.values.length),
  second: new Float32Array(parameters.values.length),
})

/**
 * One step: changes `parameters.values` and `state`.
 *
 * @param gradients - laid out like `parameters.values`
 * @param learningRate - of this step
 * @param gradientScale - factor on every gradient: the clipping, or 1 / number of accumulated batches
 */
export function adamWStep(
  parameters: Parameters,
  gradients: Float32Array,
  state: AdamWState,
  learningRate: number,
  options: AdamWOptions = {},
  gradientScale = 1,
): void {
  const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.05, factors } = options
  const { values, decayEnd } = parameters
  state.steps++
  const correction = [1 - betas[0] ** state.steps, 1 - betas[1] ** state.steps] as const
  const rates = (rate: number, decay: number): Rates => ({
    beta1: betas[0],
    beta2: betas[1],
    eps,
    stepSize: rate / correction[0],
    inverseRoot: 1 / Math.sqrt(correction[1]),
    gradientScale,
    keep: 1 - rate * decay,
  })
  const run = (start: number, end: number, factor = 1) =>
    update(values, gradients, state, start, end, rates(factor * learningRate, start < decayEnd ? weightDecay : 0))
  if (factors) for (const [i, { start, end }] of parameters.trained.entries()) run(start, end, factors[i])
  else {
    run(0, decayEnd)
    run(decayEnd, values.length)
  }
}

interface Rates {
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly stepSize: number
  readonly inverseRoot: number
  readonly gradientScale: number
  /** What decay leaves of a weight. */
  readonly keep: number
}

function update(
  values: Float32Array,
  gradients: Float32Array,
  { first, second }: AdamWState,
  start: number,
  end: number,
  { beta1, beta2, eps, stepSize, inverseRoot, gradientScale, keep }: Rates,
): void {
  for (let i = start; i < end; i++) {
    const g = (gradients[i] as number) * gradientScale
    const m = beta1 * (first[i] as number) + (1 - beta1) * g
    const v = beta2 * (second[i] as number) + (1 - beta2) * g * g
    first[i] = m
    second[i] = v
    values[i] = (values[i] as number) * keep - (stepSize * m) / (Math.sqrt(v) * inverseRoot + eps)
  }
}
