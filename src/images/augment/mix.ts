/**
 * Mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899) on a batch, in timm's `batch` mode: picture i is mixed with
 * picture B - 1 - i, one weight for the whole batch; and the soft targets that go with it, smoothed.
 */
import type { Random } from '../../random.js'
import { exp, log } from './portable.js'

/** What may be mixed, and how strongly. */
export interface MixOptions {
  /** Both parameters of the Beta distribution of mixup's weight; 0 turns mixup off. */
  readonly mixup: number
  /** The same for CutMix. */
  readonly cutmix: number
  /** Chance of CutMix where both are on. */
  readonly switchProbability: number
}

/** A number of Gamma(shape, 1): Marsaglia and Tsang, ACM TOMS 26 (2000), with their step for shapes below 1. */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * exp(log(1 - random.uniform()) / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = random.normal()
    const t = 1 + c * x
    const v = t * t * t
    if (v > 0 && log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * log(v)) return d * v
  }
}

/** A number of Beta(alpha, alpha), in [0, 1]. */
export function symmetricBeta(alpha: number, random: Random): number {
  const a = gamma(alpha, random)
  const b = gamma(alpha, random)
  return a + b > 0 ? a / (a + b) : 0.5
}

/**
 * Mixes a batch with itself reversed, in place.
 *
 * @param pixels - [B, 3, height, width]
 * @returns the weight of each picture's own label; 1 where nothing was mixed
 */
export function mixBatch(
  pixels: Float32Array,
  shape: readonly [B: number, 3, height: number, width: number],
  options: MixOptions,
  random: Random,
): number {
  const [batch] = shape
  const { mixup, cutmix, switchProbability } = options
  if (mixup <= 0 && cutmix <= 0) return 1
  const cut = cutmix > 0 && (mixup <= 0 || random.uniform() < switchProbability)
  const weight = symmetricBeta(cut ? cutmix : mixup, random)
  return cut ? pasteReversed(pixels, shape, weight, random) : blendReversed(pixels, batch, weight)
}

function blendReversed(pixels: Float32Array, batch: number, weight: number): number {
  const length = pixels.length / batch
  for (let i = 0; i < batch >> 1; i++) {
    const a = pixels.subarray(i * length, (i + 1) * length) // [3, height, width]
    const b = pixels.subarray((batch - 1 - i) * length, (batch - i) * length) // [3, height, width]
    for (let p = 0; p < length; p++) {
      const x = a[p] as number
      const y = b[p] as number
      a[p] = weight * x + (1 - weight) * y
      b[p] = weight * y + (1 - weight) * x
    }
  }
  return weight
}

/** Exchanges one rectangle, whose share of the area is 1 - weight before it is cut off at the border. */
function pasteReversed(
  pixels: Float32Array,
  [batch, , height, width]: readonly [number, 3, number, number],
  weight: number,
  random: Random,
): number {
  const length = pixels.length / batch
  /** Where the rectangle begins and ends along an axis. */
  const span = (size: number): readonly [number, number] => {
    const half = Math.trunc(size * Math.sqrt(1 - weight)) >> 1
    const centre = random.integer(size)
    return [Math.max(0, centre - half), Math.min(size, centre + half)]
  }
  const [[top, bottom], [left, right]] = [span(height), span(width)]
  for (let i = 0; i < batch >> 1; i++) {
    for (let channel = 0; channel < 3; channel++) {
      for (let line = top; line < bottom; line++) {
        const at = (channel * height + line) * width
        const a = pixels.subarray(i * length + at + left, i * length + at + right)
        const b = pixels.subarray((batch - 1 - i) * length + at + left, (batch - 1 - i) * length + at + right)
        const own = a.slice()
        a.set(b)
        b.set(own)
      }
    }
  }
  return 1 - ((bottom - top) * (right - left)) / (height * width)
}

/**
 * Soft targets of a batch that was mixed with itself reversed.
 *
 * @param labels - [B]
 * @param weight - of each picture's own label, from {@link mixBatch}
 * @param smoothing - share of the target spread over all classes
 * @returns [B, classes], rows sum to 1
 */
export function softTargets(labels: Int32Array, classes: number, weight: number, smoothing: number): Float32Array {
  const batch = labels.length
  const targets = new Float32Array(batch * classes).fill(smoothing / classes)
  for (let i = 0; i < batch; i++) {
    const own = i * classes + (labels[i] as number)
    const other = i * classes + (labels[batch - 1 - i] as number)
    targets[own] = (targets[own] as number) + weight * (1 - smoothing)
    targets[other] = (targets[other] as number) + (1 - weight) * (1 - smoothing)
  }
  return targets
}
