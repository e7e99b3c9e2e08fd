/** The plan of a method that does the most work within a budget. */

import { fail } from '../errors.js'
import { type MethodChoice, planReduction, schedulingSetting } from '../reduction/registry.js'
import { shapeOf } from './backbone.js'
import type { VitConfig } from './config.js'
import { executedMacs } from './cost.js'

/** Keep ratios are tried in steps of this. */
const STEP = 1e-3

/**
 * The largest keep ratio, in thousandths, whose plan does at most so many multiply-adds as executed.
 *
 * @param gmacs - 10⁹ multiply-adds for one picture
 * @throws InputError where even the smallest does more, or the choice says by itself how many tokens there are
 */
export function largestKeepRatio(config: VitConfig, choice: MethodChoice, gmacs: number): number {
  const { method = 'idle' } = choice
  const schedule = schedulingSetting(choice)
  if (schedule) fail(`${schedule} and --max-gmacs: wanted one of them, both say how many tokens there are`)
  const shape = shapeOf(config)
  const cost = (step: number) => executedMacs(config, planReduction({ ...choice, keepRatio: step * STEP }, shape)) / 1e9
  const steps = Math.round(1 / STEP)
  if (cost(steps) <= gmacs) return 1
  const least = cost(1)
  if (least > gmacs)
    fail(`--max-gmacs: wanted at least ${Math.ceil(least * 1e3) / 1e3}, the least of ${method} here, found ${gmacs}`)
  let [fits, exceeds] = [1, steps]
  while (exceeds - fits > 1) {
    const middle = Math.floor((fits + exceeds) / 2)
    if (cost(middle) <= gmacs) fits = middle
    else exceeds = middle
  }
  return fits * STEP
}
