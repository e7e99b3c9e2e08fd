/** What steps are calibrated for: what accuracy they may cost, or how much work. */

import { fail } from '../errors.js'
import { parseTarget } from '../tune/target.js'

/** One of the forms of `calibrate --target`. */
export type StepsTarget =
  /** Lose at most so many points of top-1 accuracy, with the least work. */
  | { readonly kind: 'accuracy'; readonly points: number }
  /** Do at most this share of the dense model's multiply-adds on average, as right as that allows. */
  | { readonly kind: 'share'; readonly share: number }
  /** The same in 10⁹ multiply-adds of a picture. */
  | { readonly kind: 'gmacs'; readonly gmacs: number }

/** What each form means, for help. */
export const stepsTargets: readonly (readonly [form: string, meaning: string])[] = [
  ['-0.5%', 'the least work that loses at most so many points of top-1 accuracy'],
  ['0.6x', 'below 1: on average at most this share of the dense model’s multiply-adds, as right as that allows'],
  ['0.65gmacs', 'the same in 10⁹ multiply-adds of a picture'],
]

/**
 * Reads a target.
 *
 * @throws InputError where it has none of the forms
 */
export function parseStepsTarget(text: string, option = '--target'): StepsTarget {
  const forms = '-0.5% (points of accuracy), 0.6x (share of the work) or 0.65gmacs (work of a picture)'
  const [, number] = /^\s*(\d+\.?\d*|\.\d+)\s*gmacs\s*$/i.exec(text) ?? []
  if (number !== undefined) {
    const gmacs = Number(number)
    return gmacs > 0 ? { kind: 'gmacs', gmacs } : fail(`${option}: wanted more than 0 GMACs, found ${text.trim()}`)
  }
  if (!/[x×%]\s*$/i.test(text)) fail(`${option}: wanted ${forms}, found ${JSON.stringify(text)}`)
  const target = parseTarget(text, option)
  if (target.kind === 'accuracy') return target
  if (target.kind === 'work') return { kind: 'share', share: target.share }
  return fail(`${option}: wanted ${forms}, found ${text.trim()}; tune finds plans for a speed`)
}

/** A target as one types it. */
export const stepsTargetText = (target: StepsTarget): string =>
  target.kind === 'accuracy'
    ? `-${target.points}%`
    : target.kind === 'share'
      ? `${target.share}x`
      : `${target.gmacs}gmacs`
