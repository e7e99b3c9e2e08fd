/** Brace ranges and lists as shells and WebDataset write them. */

import { fail } from '../errors.js'

const MOST = 100_000

/**
 * Expands `{0..4}` (with leading zeros: `{000..127}`) and `{a,b}`, from left to right; text without braces is returned as
 * it is.
 *
 * @throws InputError when that makes more than 100,000 names
 */
export function expandBraces(text: string): string[] {
  const [whole, inside] = /\{([^{}]*(?:\.\.|,)[^{}]*)\}/.exec(text) ?? []
  if (whole === undefined || inside === undefined) return [text]
  const at = text.indexOf(whole)
  const range = /^(\d+)\.\.(\d+)$/.exec(inside)
  if (!range && inside.includes('..')) fail(`${text}: not a range of numbers: ${whole}`)
  const choices = range ? numbers(text, range[1] as string, range[2] as string) : inside.split(',')
  const expanded: string[] = []
  for (const choice of choices) {
    for (const rest of expandBraces(text.slice(at + whole.length))) expanded.push(text.slice(0, at) + choice + rest)
    if (expanded.length > MOST) fail(`${text}: more than ${MOST} names`)
  }
  return expanded
}

function numbers(text: string, from: string, to: string): string[] {
  const [first, last] = [Number(from), Number(to)]
  if (Math.abs(last - first) >= MOST) fail(`${text}: more than ${MOST} names`)
  const width = from.length > 1 && from.startsWith('0') ? from.length : 0
  const step = first <= last ? 1 : -1
  return Array.from({ length: Math.abs(last - first) + 1 }, (_, i) => String(first + i * step).padStart(width, '0'))
}
