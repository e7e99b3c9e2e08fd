/** Learning rates of their own for some of the parameters: a factor on the rate of the moment. */

import { fail } from '../errors.js'
import type { Parameter } from './parameters.js'

/** A factor for parameters by name. */
export interface Rate {
  /** `*` stands for any text. */
  readonly names: string
  /** Of the learning rate; 0 leaves them as they are. */
  readonly factor: number
  /** Epochs before which they stay as they are; default 0. */
  readonly from?: number
}

/** A pattern of names in which `*` stands for any text. */
export const namePattern = (names: string): RegExp => new RegExp(`^${names.split('*').map(escaped).join('.*')}$`)

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

/** The factor of every parameter in an epoch: of the first rate that names it, else 1. */
export function factorsOf(trained: readonly Parameter[], rates: readonly Rate[], epoch: number): readonly number[] {
  const patterns = rates.map(({ names, factor, from = 0 }) => [namePattern(names), epoch < from ? 0 : factor] as const)
  return trained.map(({ name }) => patterns.find(([pattern]) => pattern.test(name))?.[1] ?? 1)
}

/**
 * Refuses rates that name nothing.
 *
 * @throws InputError naming the pattern
 */
export function checkRates(names: Iterable<string>, rates: readonly Rate[]): void {
  const all = [...names]
  for (const rate of rates) {
    if (all.some((name) => namePattern(rate.names).test(name))) continue
    fail(`--lr-factor: no parameter is called ${rate.names}; there are ${all.slice(0, 4).join(', ')}, …`)
  }
}
