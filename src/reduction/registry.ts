/** Every token reduction method by name, and what is asked of one turned into a plan. */

import { fail } from '../errors.js'
import { adavit } from './adavit.js'
import { ats } from './ats.js'
import { dynamicswin } from './dynamicswin.js'
import { dynamicvit } from './dynamicvit.js'
import { evit } from './evit.js'
import { evovit } from './evovit.js'
import { group } from './group.js'
import { idle } from './idle.js'
import type { Build, Form, Method, MethodPlan, ModelShape, Setting } from './method.js'
import { none } from './none.js'
import { elasticKeep, type KeepPlan, type KeepRequest } from './schedule.js'
import { spvit } from './spvit.js'
import { tome } from './tome.js'

/** The methods that `--method` knows: one line each. */
export const methods = {
  none,
  idle,
  group,
  evit,
  dynamicvit,
  evovit,
  ats,
  tome,
  adavit,
  spvit,
  dynamicswin,
} as const

export type MethodName = keyof typeof methods

/** Names of all methods, in the order of help texts. */
export const methodNames = Object.keys(methods) as MethodName[]

type SettingsOf<M> = M extends Method<infer S> ? S : never
type Intersection<U> = (U extends unknown ? (each: U) => void : never) extends (all: infer I) => void ? I : never

/** The options of all methods; each method takes its own and refuses the others'. */
export type MethodSettings = Partial<Intersection<SettingsOf<(typeof methods)[MethodName]>>>

/** Which method, and its options. */
export interface MethodChoice extends MethodSettings {
  /** Default `idle`. */
  readonly method?: MethodName
}

/** What the user asked of token reduction. */
export interface ReductionRequest extends KeepRequest, MethodChoice {}

/** A method with all that its graph depends on. Options that were not given are absent. */
export interface ReductionPlan extends KeepPlan, MethodSettings {
  readonly method: MethodName
}

/** The method of this name, without its options' types: callers treat all alike. */
export const methodOf = (name: MethodName): Method => methods[name] as Method

/** Options that a user may set, with the methods that have them. */
const owners = new Map<string, MethodName[]>()
for (const name of methodNames)
  for (const setting of Object.keys(methodOf(name).settings))
    owners.set(setting, [...(owners.get(setting) ?? []), name])

/** The options of a method, by name. */
export const settingsOf = (name: MethodName): Readonly<Record<string, Setting<unknown>>> =>
  methodOf(name).settings as Record<string, Setting<unknown>>

/**
 * Refuses what is no option of a method.
 *
 * @param called - what to call an option in messages
 * @throws InputError that names the method which has it, or those that this one has
 */
export function checkSetting(method: MethodName, option: string, called = option): Setting<unknown> {
  const own = settingsOf(method)
  const setting = Object.hasOwn(own, option) ? own[option] : undefined
  if (setting) return setting
  const others = owners.get(option)
  const known = Object.keys(own).length > 0 ? `has ${Object.keys(own).join(', ')}` : 'has no options'
  return fail(
    others
      ? `${called}: an option of ${others.join(' and ')}, not of ${method}, which ${known}`
      : `${called}: no option of ${method}, which ${known}`,
  )
}

/** The options of a method that a request gives. Names that no method has are somebody else's. */
function ownSettings(method: MethodName, request: ReductionRequest): MethodSettings {
  const given = Object.entries(request).filter(([name, value]) => owners.has(name) && value !== undefined)
  for (const [name, value] of given) {
    const setting = checkSetting(method, name)
    if (setting.parse(String(value)) === undefined) fail(`${name}: wanted ${setting.wanted}, found ${String(value)}`)
  }
  return Object.fromEntries(given)
}

/**
 * Turns a request into a plan for a model.
 *
 * @throws InputError on values out of range, options of another method, and schedules that cannot be
 */
export function planReduction(request: ReductionRequest, shape: ModelShape): ReductionPlan {
  const { method = 'idle', keepRatio, keepRatios, keepTokens } = request
  const settings = ownSettings(method, request)
  const asked = { keepRatio, keepRatios, keepTokens, ...settings }
  const schedule = schedulingSetting(request)
  const ratio = Object.entries({ keepRatio, keepRatios, keepTokens }).find(([, value]) => value !== undefined)
  if (schedule && ratio) fail(`${schedule} and ${ratio[0]}: wanted one of them, both say how many tokens there are`)
  checkModel(method, shape)
  return { method, ...settings, ...methodOf(method).plan(asked, shape) }
}

/** Refuses a model that has not what a method goes by. */
function checkModel(method: MethodName, { classToken = true, turned = false, stages }: ModelShape): void {
  const { needsClassToken = false, tellsPlaces = false, windows } = methodOf(method)
  const able = (fits: (each: Method) => boolean) => methodNames.filter((name) => fits(methodOf(name))).join(', ')
  if (stages && !windows)
    fail(
      `${method}: does not know windows, within which a Swin attends; ${able((each) => each.windows !== undefined)} do`,
    )
  if (!stages && windows === 'only') fail(`${method}: wants a Swin, found a model without windows`)
  if (needsClassToken && !classToken)
    fail(
      `${method}: ranks tokens by the class token's attention, found a model without one; ${able((each) => !each.needsClassToken)} need none`,
    )
  if (turned && !tellsPlaces)
    fail(
      `${method}: does not know rotary positions, by which this model turns queries and keys; ${able((each) => each.tellsPlaces === true)} do`,
    )
}

/** The option in a request, if any, that says by itself how many tokens there are. */
export function schedulingSetting({ method = 'idle', ...request }: MethodChoice): string | undefined {
  const given = Object.entries(request).filter(([, value]) => value !== undefined)
  return given.find(([name]) => settingsOf(method)[name]?.schedules)?.[0]
}

/** What a saved model says of its reduction; `undefined` for a dense one. */
export type StoredReduction = Pick<ReductionRequest, 'keepRatios' | 'keepTokens'> & MethodChoice

/**
 * A request with what it leaves open as the model says it (`stored`). What a model says of one method says nothing of
 * another.
 */
export function withStored(
  request: ReductionRequest,
  stored: StoredReduction = {},
): ReductionRequest & { readonly method: MethodName } {
  const { method: storedMethod = 'idle', keepRatios, keepTokens, ...storedSettings } = stored
  const { method, keepRatio, keepRatios: ratios, keepTokens: tokens, ...given } = request
  const named = method ?? storedMethod
  const says = [keepRatio, ratios, tokens, schedulingSetting({ ...given, method: named })].some((x) => x !== undefined)
  const inherits = named === storedMethod || named === 'none'
  const keep = says ? { keepRatio, keepRatios: ratios, keepTokens: tokens } : inherits ? { keepRatios, keepTokens } : {}
  const asked = Object.fromEntries(Object.entries(keep).filter(([, value]) => value !== undefined)) as KeepRequest
  return { method: named, ...(named === storedMethod && storedSettings), ...given, ...asked }
}

/** A plan as it is saved with a model: the method, tokens by block, and its options; `undefined` for none. */
export function storedPlan({
  method,
  keep,
  ratios,
  warnings,
  ...settings
}: ReductionPlan): StoredReduction | undefined {
  const own = Object.entries(settings).filter(([name]) => !settingsOf(method)[name]?.schedules) // `keep` says it
  if (method === 'none') return undefined
  const says = methodOf(method).keepsShares ? { keepRatios: ratios } : { keepTokens: keep }
  return { method, ...says, ...Object.fromEntries(own) }
}

/** What is saved with a model that takes any plan: {@link storedPlan} without the tokens. */
export function storedChoice(plan: ReductionPlan): StoredReduction | undefined {
  const { keepTokens: _, ...choice } = storedPlan(plan) ?? {}
  return plan.method === 'none' ? undefined : choice
}

/**
 * The method whose number of tokens is an input of the graph, and such a plan of it; `none` stands for the default one.
 *
 * @throws InputError where the method has no such form
 */
export function elasticPlan(
  { method = 'idle' }: MethodChoice,
  shape: ModelShape,
): Pick<MethodPlan, 'keep'> & { readonly method: MethodName } {
  const named = method === 'none' ? 'idle' : method
  if (shape.stages) fail('elastic: the windows of a Swin have a fixed number of tokens: wanted a ViT')
  const { elastic } = methodOf(named)
  if (!elastic)
    return fail(
      `elastic: wanted a method whose number of tokens can change from run to run (${elasticNames.join(', ')}), found ${named}`,
    )
  return { method: named, keep: elasticKeep(shape.depth, shape.tokens, elastic.from(shape.depth)) }
}

/**
 * Refuses a plan that an elastic graph of its method cannot be told.
 *
 * @throws InputError that says what it cannot follow
 */
export function checkElastic(plan: ReductionPlan, shape: ModelShape): void {
  const { method, keep } = elasticPlan(plan, shape)
  const early = plan.keep.findIndex((n, l) => keep[l] !== 'fed' && keep[l] !== n)
  if (early >= 0)
    fail(`keep: block ${early} of an elastic model computes all ${shape.tokens} tokens, found ${plan.keep[early]}`)
  const objection = methodOf(method).elastic?.objection?.(plan, shape)
  if (objection !== undefined) fail(`keep: ${objection}`)
}

const elasticNames = methodNames.filter((name) => methodOf(name).elastic)

/** Starts a method in a graph. */
export const openMethod = (build: Build, plan: MethodChoice & MethodPlan): Form<unknown> =>
  methodOf(plan.method ?? 'idle').open(build, plan)
