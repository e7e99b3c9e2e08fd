/**
 * `plan.json`: a plan that `idlevit tune` found, and what is known about it. Every command takes it as `--plan`; what it
 * reads are the method, its settings, tokens by block, and the sizes of the model that they fit.
 */

import { readFileSync, statSync } from 'node:fs'
import type { Machine } from '../bench/machine.js'
import { fail } from '../errors.js'
import type { Interval } from '../evaluation/intervals.js'
import { fileError } from '../files.js'
import { isRecord } from '../kept.js'
import type { ModelShape } from '../reduction/method.js'
import { checkSetting, type MethodName, methodNames, methodOf } from '../reduction/registry.js'
import type { Expectation } from './accuracy.js'
import type { Plan } from './methods.js'
import { type GivenSteps, parseSteps, STEPS_FORMAT } from './steps-file.js'

export const PLAN_FORMAT = 'idlevit-plan-1'

/** What was predicted of a plan before it was measured. */
export interface Predicted extends Expectation {
  /** Of pictures that had no say in the search. */
  readonly pictures: number
  /** Percent, and what it is to the dense model; null where pictures have no labels. */
  readonly top1Percent: number | null
  /** What the points were learned from: labels, or how sure the dense model is of its answers. */
  readonly source: 'labels' | 'confidence'
  /** For one picture, in batches of the tuned size. */
  readonly milliseconds: number
  readonly speedup: number
  /**
   * How far the time may be off, in percent: the error of the cost model on timed plans; for targets in time, where the plan
   * was timed and adjusted, half of the middle half of the rounds.
   */
  readonly timeErrorPercent: number
  readonly gmacs: number
}

/** The same, measured afterwards on pictures and in a run that had no say in the prediction. */
export interface Checked {
  readonly pictures: number
  readonly agreementPercent: number
  readonly top1Percent: number | null
  readonly denseTop1Percent: number | null
  readonly pointsToDense: number | null
  readonly pointsInterval: Interval | null
  readonly milliseconds: number
  readonly denseMilliseconds: number
  readonly speedup: number
  /** Where the middle half of the rounds lies. */
  readonly speedupQuartiles: readonly [number, number]
  readonly gmacs: number
  readonly denseGmacs: number
}

/** What the file holds. */
export interface PlanFile {
  readonly format: typeof PLAN_FORMAT
  readonly method: MethodName
  readonly settings: Readonly<Record<string, unknown>>
  /** By block. */
  readonly keepTokens: readonly number[]
  readonly target: string
  readonly predicted: Predicted
  readonly measured: Checked
  readonly model: { readonly name: string; readonly depth: number; readonly tokens: number; readonly weights: string }
  readonly data: { readonly name: string; readonly pictures: number; readonly labelled: boolean }
  readonly device: Machine & {
    readonly device: string
    readonly precision: string
    readonly batch: number
    readonly threads: number | 'default'
    readonly lanes: number
  }
}

/** A plan as commands take it. */
export interface GivenPlan {
  /** Where it was read. */
  readonly path: string
  /** What it asks for: tokens by block, or steps. */
  readonly reduction: Omit<Plan, 'keepTokens'> & Partial<Plan & Pick<GivenSteps, 'steps' | 'thresholds'>>
  /** Of a plan in steps: SHA-256 of the weights that its thresholds are for. */
  readonly weights?: string
  /** The model that it was made for. */
  readonly made: { readonly name: string; readonly depth: number; readonly tokens: number }
}

/** No plan is larger, in bytes. */
const LARGEST = 2 ** 20

/**
 * Reads a plan's file.
 *
 * @throws InputError where it is none, naming what is wrong
 */
export function readPlan(path: string): GivenPlan {
  try {
    const stat = statSync(path)
    if (stat.isDirectory()) fail(`${path}: wanted a plan.json, found a folder`)
    if (!stat.isFile() || stat.size > LARGEST) fail(`${path}: wanted a plan.json, found something else`)
    return parsePlan(readFileSync(path, 'utf8'), path)
  } catch (error) {
    throw fileError(error, path)
  }
}

/**
 * Reads a plan's text; `path` is what messages call it.
 *
 * @throws InputError where it is none, naming what is wrong
 */
export function parsePlan(text: string, path: string): GivenPlan {
  const value = parsed(text)
  const inSteps = isRecord(value) && value.format === STEPS_FORMAT
  if (!isRecord(value) || !(inSteps || value.format === PLAN_FORMAT))
    return fail(
      `${path}: wanted a plan that tune or calibrate wrote (format ${PLAN_FORMAT} or ${STEPS_FORMAT}), found another file`,
    )
  const { model, settings = {} } = value
  const wrong = (name: string, wanted: string, found: unknown): never =>
    fail(`${path}: ${name} should be ${wanted}, found ${JSON.stringify(found)}`)
  if (!isRecord(model)) return wrong('model', 'an object', model)
  const size = (name: 'depth' | 'tokens'): number => {
    const given = model[name]
    return isCount(given) ? given : wrong(`model.${name}`, 'a positive whole number', given)
  }
  const made = { name: String(model.name), depth: size('depth'), tokens: size('tokens') }
  const method =
    methodNames.find((name) => name === value.method && name !== 'none') ??
    wrong('method', `one of ${methodNames.filter((name) => name !== 'none').join(', ')}`, value.method)
  const given = inSteps ? parseSteps(value, path, made) : undefined
  const tokens = value.keepTokens
  const fits = Array.isArray(tokens) && tokens.length === made.depth
  if (!given && !(fits && tokens.every((count) => isCount(count) && count <= made.tokens)))
    return wrong('keepTokens', `${made.depth} counts from 1 to ${made.tokens}`, tokens)
  if (!isRecord(settings)) return wrong('settings', 'an object', settings)
  for (const [name, setting] of Object.entries(settings)) {
    const { wanted, parse } = checkSetting(method, name, `${path}: settings.${name}`)
    if (parse(String(setting)) === undefined) wrong(`settings.${name}`, wanted, setting)
  }
  if (!given) return { path, reduction: { ...settings, method, keepTokens: tokens as number[] }, made }
  const { steps, thresholds, weights } = given
  return { path, reduction: { ...settings, method, steps, thresholds }, made, weights }
}

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Makes sure that a plan fits a model.
 *
 * @throws InputError where it was made for another depth or number of tokens
 */
export function checkPlan({ path, made }: GivenPlan, name: string, { depth, tokens }: ModelShape): void {
  if (made.depth === depth && made.tokens === tokens) return
  fail(
    `${path}: a plan for ${made.depth} blocks of ${made.tokens} tokens (${made.name}), but ${name} has ${depth} of ${tokens}`,
  )
}

/** The options of a plan's method, without what all methods have. */
export function settingsIn({ method, keepTokens: _, ...settings }: Plan): Readonly<Record<string, unknown>> {
  const known = methodOf(method).settings
  return Object.fromEntries(Object.entries(settings).filter(([name]) => Object.hasOwn(known, name)))
}
