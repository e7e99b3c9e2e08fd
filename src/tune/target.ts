/** What a plan is tuned to: a share of the work, a time, a speed, or what it may cost in accuracy. */

import { fail } from '../errors.js'

/** One of the forms of `--target`. */
export type Target =
  /** At most this share of the dense model's multiply-adds, as executed. */
  | { readonly kind: 'work'; readonly share: number }
  /** At most so many milliseconds a picture, in batches of the chosen size. */
  | { readonly kind: 'milliseconds'; readonly milliseconds: number }
  /** So many times as fast as the dense model, on this device. */
  | { readonly kind: 'speed'; readonly ratio: number }
  /** The least time that costs at most so many points of top-1 accuracy. */
  | { readonly kind: 'accuracy'; readonly points: number }

/** What each form means, for help and messages. */
export const targetForms: readonly (readonly [form: string, meaning: string])[] = [
  ['0.7x', 'below 1: at most this share of the dense model’s multiply-adds, as executed'],
  ['1.8x', 'above 1: so many times as fast as the dense model, measured here'],
  ['12ms', 'at most so many milliseconds a picture, measured here in batches of --batch'],
  ['-0.5%', 'the fastest plan that loses at most so many points of top-1 accuracy'],
]

/** In a line. */
export const targetWanted =
  '0.7x (share of the work), 1.8x (times as fast), 12ms (a picture) or -0.5% (points of accuracy)'

/**
 * Reads a target.
 *
 * @param option - what to call it in messages
 * @throws InputError where it has none of the forms
 */
export function parseTarget(text: string, option = '--target'): Target {
  const [, number, unit] =
    /^\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*(x|×|ms|%)\s*$/i.exec(text) ??
    fail(`${option}: wanted ${targetWanted}, found ${JSON.stringify(text)}`)
  const value = Number(number)
  const refuse = (why: string): never => fail(`${option}: wanted ${why}, found ${text.trim()}`)
  if (unit === '%') {
    if (!(value < 0 && value > -100)) refuse('what accuracy may be lost as a negative number of points, as in -0.5%')
    return { kind: 'accuracy', points: -value }
  }
  if (!(value > 0)) refuse('a number above 0')
  if (unit?.toLowerCase() === 'ms') return { kind: 'milliseconds', milliseconds: value }
  if (value === 1) refuse('less than 1x (share of the work) or more (times as fast): 1x is the dense model')
  return value < 1 ? { kind: 'work', share: value } : { kind: 'speed', ratio: value }
}

/** A target as one types it. */
export function targetText(target: Target): string {
  switch (target.kind) {
    case 'work':
      return `${target.share}x`
    case 'milliseconds':
      return `${target.milliseconds}ms`
    case 'speed':
      return `${target.ratio}x`
    case 'accuracy':
      return `-${target.points}%`
  }
}
