/**
 * `steps.json`: a plan in steps that `idlevit calibrate` wrote. What commands read are the method, its settings, tokens by
 * block for every step, the confidence from which each answers, and which model that was calibrated on.
 */

import { fail } from '../errors.js'
import type { Interval } from '../evaluation/intervals.js'
import { isRecord } from '../kept.js'

export const STEPS_FORMAT = 'idlevit-steps-1'

/** What steps do to pictures. */
export interface StepsOutcome {
  readonly pictures: number
  /** Percent of pictures answered as the dense model does. */
  readonly agreementPercent: number
  /** Right first answers, the dense model's, and the points between the two; null where pictures have no labels. */
  readonly top1: number | null
  readonly denseTop1: number | null
  readonly pointsToDense: number | null
  readonly pointsInterval: Interval | null
  /** Mean 10⁹ multiply-adds of a picture. */
  readonly gmacs: number
  /** Pictures that every step answers; absent where other steps were chosen on one half than on the other. */
  readonly exits?: readonly number[]
}

/** What the file holds. */
export interface StepsFile {
  readonly format: typeof STEPS_FORMAT
  readonly method: string
  readonly settings: Readonly<Record<string, unknown>>
  /** By step, then by block. */
  readonly steps: readonly (readonly number[])[]
  /** For every step but the last. */
  readonly thresholds: readonly number[]
  readonly target: string
  /** On the pictures that the thresholds are from. */
  readonly calibrated: StepsOutcome
  /** Each half of the pictures under thresholds that are from the other. */
  readonly heldOut: StepsOutcome
  readonly denseGmacs: number
  readonly model: { readonly name: string; readonly depth: number; readonly tokens: number; readonly weights: string }
  readonly data: { readonly name: string; readonly pictures: number; readonly labelled: boolean }
  readonly precision: string
}

/** What a file of steps says beyond a plan. */
export interface GivenSteps {
  readonly steps: readonly { readonly keepTokens: readonly number[] }[]
  readonly thresholds: readonly number[]
  /** SHA-256 of the weights that the thresholds are for. */
  readonly weights: string
}

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0

/**
 * Reads the steps of a file whose format is {@link STEPS_FORMAT}.
 *
 * @throws InputError naming what is wrong
 */
export function parseSteps(
  value: Readonly<Record<string, unknown>>,
  path: string,
  { depth, tokens }: { readonly depth: number; readonly tokens: number },
): GivenSteps {
  const { steps, thresholds, model } = value
  const wrong = (name: string, wanted: string, found: unknown): never =>
    fail(`${path}: ${name} should be ${wanted}, found ${JSON.stringify(found)}`)
  const fits = (list: unknown): list is readonly number[] =>
    Array.isArray(list) && list.length === depth && list.every((count) => isCount(count) && count <= tokens)
  if (!Array.isArray(steps) || steps.length < 2) return wrong('steps', 'two or more lists', steps)
  const odd = steps.findIndex((list) => !fits(list))
  if (odd >= 0) return wrong(`steps[${odd}]`, `${depth} counts from 1 to ${tokens}`, steps[odd])
  const isThreshold = (each: unknown) => Number.isFinite(each) && (each as number) >= 0
  if (!Array.isArray(thresholds) || thresholds.length !== steps.length - 1 || !thresholds.every(isThreshold))
    return wrong('thresholds', `${steps.length - 1} numbers from 0 on, one for every step but the last`, thresholds)
  const weights = isRecord(model) ? model.weights : undefined
  if (typeof weights !== 'string') return wrong('model.weights', 'a hash', weights)
  return { steps: steps.map((keepTokens) => ({ keepTokens })), thresholds, weights }
}
