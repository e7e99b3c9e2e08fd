/** The same model for pictures that are normalised by other statistics. */
import { fail } from '../errors.js'
import type { PerChannel } from '../images/preprocess.js'
import { float32, type StateDict } from './state.js'

/** Mean and standard deviation per channel of values in [0, 1]. */
export interface Statistics {
  readonly mean: PerChannel
  readonly std: PerChannel
}

export const sameStatistics = (a: Statistics, b: Statistics): boolean =>
  a.mean.every((value, c) => value === b.mean[c]) && a.std.every((value, c) => value === b.std[c])

/**
 * Weights that compute from pictures normalised by `now` what `state` computes from the same pictures normalised by
 * `before`.
 *
 * With v = now.std · x + now.mean, a model of (v - before.mean)/before.std has the patch weights W · now.std/before.std
 * and the bias b + Σ W · (now.mean - before.mean)/before.std, channel by channel. Exact to the rounding of float32.
 *
 * @param state - under timm's names: `patch_embed.proj.weight` `[C, 3, P, P]` and `.bias` `[C]`
 * @param name - what to call the model in messages
 * @throws InputError for a convolutional stem and a tokens-to-token module: the zeros around its pictures stand for another colour then
 */
export function withStatistics(state: StateDict, before: Statistics, now: Statistics, name = 'the model'): StateDict {
  const padding = ['patch_embed.conv1.weight', 'tokens_to_token.project.weight'].some((each) => state.has(each))
  if (padding)
    fail(
      `${name}: its ${state.has('patch_embed.conv1.weight') ? 'convolutional stem' : 'tokens-to-token module'} pads pictures with zeros and cannot make up for other statistics: wanted mean ${before.mean} and std ${before.std}, found ${now.mean} and ${now.std}`,
    )
  const patch = state.get('patch_embed.proj.weight')
  const offset = state.get('patch_embed.proj.bias')
  if (!(patch?.data instanceof Float32Array && offset?.data instanceof Float32Array))
    throw new Error('no patch embedding in float32')
  const weight = patch.data.slice() // [C, 3, P, P]
  const bias = Float64Array.from(offset.data) // [C]
  const area = weight.length / (3 * bias.length)
  for (const [at, w] of patch.data.entries()) {
    const channel = (Math.floor(at / area) % 3) as 0 | 1 | 2
    const out = Math.floor(at / (3 * area))
    weight[at] = (w * now.std[channel]) / before.std[channel]
    bias[out] = (bias[out] as number) + (w * (now.mean[channel] - before.mean[channel])) / before.std[channel]
  }
  return new Map(state)
    .set('patch_embed.proj.weight', float32(weight, patch.shape))
    .set('patch_embed.proj.bias', float32(Float32Array.from(bias), offset.shape))
}
