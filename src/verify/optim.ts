/** Replays the optimizer and the learning rate schedule. */

import { adamWStep, createAdamWState } from '../training/adamw.js'
import { createParameters, viewsOf } from '../training/parameters.js'
import { type CosineOptions, cosineRate, epochRate } from '../training/schedule.js'
import type { StateDict } from '../weights/state.js'
import type { Actual, Replay } from './compare.js'
import { field } from './model.js'
import { tensorOf } from './reference.js'

interface AdamW {
  readonly lr_per_step: readonly number[]
  readonly betas: readonly [number, number]
  readonly eps: number
  readonly weight_decay_weight: number
}

interface Cosine {
  readonly lr: number
  readonly min_lr: number
  readonly epochs: number
  readonly warm: readonly number[]
  readonly warmup_lr: number
}

/** Schedules are followed for so many epochs beyond their end. */
const BEYOND = 10

/** AdamW's weights and moments after every step; the cosine schedule, and how the official loop uses it. */
export const replayOptim: Replay = async (reference) => {
  const actual = new Map<string, Actual>()
  const adamw = field<AdamW>(reference, 'adamw')
  const initial: StateDict = new Map(['bias', 'weight'].map((name) => [name, tensorOf(reference, `adamw.${name}.0`)]))
  const parameters = createParameters(initial)
  const state = createAdamWState(parameters)
  const gradients = new Float32Array(parameters.values.length)
  for (const [i, rate] of adamw.lr_per_step.entries()) {
    const step = i + 1
    for (const [name, { data }] of viewsOf(parameters, gradients))
      (data as Float32Array).set(tensorOf(reference, `adamw.grad_${name}.${step}`).data as Float32Array)
    const { betas, eps, weight_decay_weight: weightDecay } = adamw
    adamWStep(parameters, gradients, state, rate, { betas, eps, weightDecay })
    const now = (flat: Float32Array, name: string): Actual => ({
      data: Float32Array.from(viewsOf(parameters, flat).get(name)?.data as Float32Array),
    })
    actual.set(`adamw.weight.${step}`, now(parameters.values, 'weight'))
    actual.set(`adamw.bias.${step}`, now(parameters.values, 'bias'))
    actual.set(`adamw.exp_avg_weight.${step}`, now(state.first, 'weight'))
    actual.set(`adamw.exp_avg_sq_weight.${step}`, now(state.second, 'weight'))
  }
  const cosine = field<Cosine>(reference, 'cosine')
  const { epochs, lr: base, min_lr: min, warmup_lr: warmupRate } = cosine
  for (const warmup of cosine.warm) {
    const options: CosineOptions = { base, min, length: epochs, warmup, warmupRate }
    const rates = (count: number, rate: (t: number) => number): Actual => ({
      data: Array.from({ length: count }, (_, t) => rate(t)),
      tolerance: { absolute: 1e-7 * base },
    })
    actual.set(
      `cosine.warmup${warmup}.lr_at_t`,
      rates(epochs + BEYOND + 1, (t) => cosineRate(t, options)),
    )
    actual.set(
      `cosine.warmup${warmup}.lr_used_in_loop`,
      rates(epochs, (t) => epochRate(t, options, 1)),
    )
  }
  return actual
}
