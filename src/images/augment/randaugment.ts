/**
 * RandAugment (Cubuk et al., arXiv 1909.13719) as timm's `rand-m9-mstd0.5-inc1` has it: two operations drawn with
 * replacement from fifteen, each applied with probability one half, at a magnitude of 9 ± 0.5 of 10; "inc1" is the set
 * whose severity grows with the magnitude.
 */
import { fail } from '../../errors.js'
import type { Random } from '../../random.js'
import type { PerChannel } from '../preprocess.js'
import type { RgbImage } from '../resample.js'
import {
  autoContrast,
  brightness,
  color,
  contrast,
  equalize,
  invert,
  posterize,
  sharpness,
  solarize,
  solarizeAdd,
} from './color.js'
import { rotate, shearX, shearY, translateX, translateY } from './geometry.js'

/** A policy: plain data. */
export interface RandAugment {
  /** Operations per picture. */
  readonly operations: number
  /** Chance that an operation is applied. */
  readonly probability: number
  /** Mean magnitude, 0 … 10. */
  readonly magnitude: number
  /** Standard deviation of the magnitude. */
  readonly deviation: number
}

/**
 * Reads a policy in timm's spelling: `rand`, then `m` magnitude, `mstd` its deviation, `n` operations, `p` probability
 * and `inc1`, separated by hyphens.
 *
 * @throws InputError when it is spelled otherwise; sets without `inc1` are not known here
 */
export function parseRandAugment(text: string): RandAugment {
  const [head, ...parts] = text.split('-')
  const values = new Map<string, number>([
    ['n', 2],
    ['p', 0.5],
    ['m', 10],
    ['mstd', 0],
    ['inc', 0],
  ])
  const refuse = () => fail(`augmentation: wanted a policy such as rand-m9-mstd0.5-inc1, found ${text}`)
  if (head !== 'rand') refuse()
  for (const part of parts) {
    const [, key = '', value = ''] = /^([a-z]+)([\d.]+)$/.exec(part) ?? []
    if (!values.has(key) || !Number.isFinite(Number(value))) refuse()
    values.set(key, Number(value))
  }
  const of = (key: string) => values.get(key) as number
  const policy = { operations: of('n'), probability: of('p'), magnitude: of('m'), deviation: of('mstd') }
  const sound = Number.isInteger(policy.operations) && policy.probability <= 1 && policy.magnitude <= 10
  return sound && of('inc') === 1 ? policy : refuse()
}

/** An operation at a strength between 0 and 1. */
type Operation = (image: RgbImage, strength: number, random: Random, fill: PerChannel) => RgbImage

/** Either way equally likely. */
const signed = (value: number, random: Random): number => (random.uniform() < 0.5 ? value : -value)

const enhance =
  (operation: (image: RgbImage, factor: number) => RgbImage): Operation =>
  (image, strength, random) =>
    operation(image, Math.max(0.1, 1 + signed(strength * 0.9, random)))

const move =
  (
    operation: (image: RgbImage, amount: number, fill: PerChannel) => RgbImage,
    most: number | ((image: RgbImage) => number),
  ): Operation =>
  (image, strength, random, fill) => {
    const range = typeof most === 'number' ? most : most(image)
    return operation(image, signed(strength * range, random), fill)
  }

/** The operations by timm's names, in its order. */
export const operations: Readonly<Record<string, Operation>> = {
  AutoContrast: autoContrast,
  Equalize: equalize,
  Invert: invert,
  Rotate: move(rotate, 30),
  PosterizeIncreasing: (image, strength) => posterize(image, 4 - Math.trunc(strength * 4)),
  SolarizeIncreasing: (image, strength) => solarize(image, 256 - Math.trunc(strength * 256)),
  SolarizeAdd: (image, strength) => solarizeAdd(image, Math.trunc(strength * 110)),
  ColorIncreasing: enhance(color),
  ContrastIncreasing: enhance(contrast),
  BrightnessIncreasing: enhance(brightness),
  SharpnessIncreasing: enhance(sharpness),
  ShearX: move(shearX, 0.3),
  ShearY: move(shearY, 0.3),
  TranslateXRel: move(translateX, ({ width }) => 0.45 * width),
  TranslateYRel: move(translateY, ({ height }) => 0.45 * height),
}

const all = Object.values(operations)

/**
 * Applies a policy to a picture.
 *
 * @param fill - colour of what rotations, shears and shifts uncover: the mean colour, as timm has it
 */
export function randAugment(image: RgbImage, policy: RandAugment, random: Random, fill: PerChannel): RgbImage {
  let result = image
  for (let i = 0; i < policy.operations; i++) {
    const operation = all[random.integer(all.length)] as Operation
    if (random.uniform() >= policy.probability) continue
    const magnitude = policy.magnitude + policy.deviation * random.normal()
    result = operation(result, Math.min(10, Math.max(0, magnitude)) / 10, random, fill)
  }
  return result
}
