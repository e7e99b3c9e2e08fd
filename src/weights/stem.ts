/**
 * LV-ViT's convolutional stem as its checkpoints hold it: every convolution is followed by a batch norm, which at
 * inference is a factor and an offset of every channel. Both become part of the convolution. Safe in browsers.
 */

import { fail } from '../errors.js'
import { float32, floatsOf, nameText, type StateDict } from './state.js'

/** PyTorch's default, which every published LV-ViT has. */
const EPSILON = 1e-5

const parts = ['weight', 'bias', 'running_mean', 'running_var'] as const

/**
 * Folds `patch_embed.bn1` … into `patch_embed.conv1` …: with f = γ / √(σ² + ε) the weights become W·f and the bias
 * β - μ·f. Exact to the rounding of float32. A batch norm of which parts are missing stays, for the caller to report.
 *
 * @throws InputError when a variance is negative
 */
export function foldBatchNorms(state: StateDict): void {
  for (const [name, { shape }] of [...state]) {
    const [, number] = /^patch_embed\.bn(\d)\.weight$/.exec(name) ?? []
    const weight = state.get(`patch_embed.conv${number}.weight`)
    const names = parts.map((part) => `patch_embed.bn${number}.${part}`)
    const [channels = 0] = shape
    const whole = names.every((each) => state.get(each)?.shape.join() === String(channels))
    if (number === undefined || weight?.shape.length !== 4 || weight.shape[0] !== channels || !whole) continue
    const [gamma, beta, mean, variance] = names.map((each) => floatsOf(state, each)) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ]
    const negative = variance.findIndex((value) => value < 0)
    if (negative >= 0)
      fail(
        `${nameText(names[3] as string)}: wanted variances of at least 0, found ${variance[negative]} at ${negative}`,
      )
    const factors = Float64Array.from(gamma, (g, c) => g / Math.sqrt((variance[c] as number) + EPSILON))
    const stride = weight.data.length / channels
    const folded = Float32Array.from(
      floatsOf(state, `patch_embed.conv${number}.weight`),
      (w, i) => w * (factors[Math.floor(i / stride)] as number),
    )
    const bias = Float32Array.from(beta, (b, c) => b - (mean[c] as number) * (factors[c] as number))
    state.set(`patch_embed.conv${number}.weight`, float32(folded, weight.shape))
    state.set(`patch_embed.conv${number}.bias`, float32(bias, [channels]))
    for (const each of names) state.delete(each)
  }
}
