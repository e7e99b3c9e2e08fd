/**
 * Token reduction methods as a comparison sees them: what a keep ratio means to each, what its work is adjusted by, and
 * what a model costs under it. The one place where a comparison knows methods by name.
 */

import { fail, InputError } from '../errors.js'
import type { Bindings } from '../graph/dims.js'
import { shapeOf } from '../models/backbone.js'
import type { BuildOptions, WeightValues } from '../models/build.js'
import type { VitConfig } from '../models/config.js'
import { macsOfPicture, modelCost } from '../models/cost.js'
import { planSteps, type StepRequest } from '../models/steps.js'
import {
  type MethodName,
  type MethodSettings,
  methodNames,
  methodOf,
  planReduction,
  type StoredReduction,
  settingsOf,
} from '../reduction/registry.js'

/** A method and its settings, as a classifier takes them. */
export type Reduction = StepRequest & {
  readonly method: MethodName
  /** Of steps: the confidence from which each but the last answers. */
  readonly thresholds?: readonly number[]
}

/** A model as far as its costs go. */
export interface Sized {
  readonly config: VitConfig
  readonly state: WeightValues
}

/** What a method's work is adjusted by. */
export interface Knob {
  /** For people: `keep ratio`. */
  readonly name: string
  /** How many values it has. */
  readonly count: number
  /** Value `i`; the work rises on the whole … */
  value(i: number): number
  /**
   * … and falls over at most so many values: a block that leaves one token out computes more than one that leaves out none,
   * where leaving out takes a fused row or a predictor.
   */
  readonly around: number
  /** The method's settings there. */
  at(value: number): Reduction
}

/** A method that can take part. */
export interface ComparedMethod {
  readonly name: string
  /** Its settings at a base keep ratio, as the tables of the papers have it. */
  at(keepRatio: number): Reduction
  readonly knob: Knob
  /**
   * Asks whether a model can run it.
   *
   * @throws InputError in one line where it cannot
   */
  check(model: Sized): void
}

/** Values of a knob that turns a keep ratio: finer ones no longer change the number of tokens. */
const FINE = 10_000
/** The same where each value has to be tried on pictures. */
const COARSE = 100

/** Tokens in which the work may fall, see {@link Knob}. */
const UNEVEN = 4

const keepRatioKnob = (count: number, around: number, at: Knob['at']): Knob => ({
  name: 'keep ratio',
  count,
  around,
  value: (i) => (i + 1) / count,
  at,
})

/** Tokens merged in every block: no keep ratio asks for as many as there may be. */
const mergeKnob = (most: number, own: MethodSettings): Knob => ({
  name: 'r',
  count: most + 1,
  around: 1,
  value: (i) => most - i,
  at: (r) => ({ ...own, method: 'tome', r }),
})

/**
 * The methods of the registry, for models of these sizes; `none`, the dense model, always takes part.
 *
 * @param settings - options of methods: each takes those that it has
 */
export function comparedMethods(config: VitConfig, settings: MethodSettings = {}): readonly ComparedMethod[] {
  const { tokens } = shapeOf(config)
  return methodNames
    .filter((name) => name !== 'none')
    .map((method) => {
      const own = Object.fromEntries(
        Object.entries(settings).filter(([name]) => Object.hasOwn(settingsOf(method), name)),
      )
      const at = (keepRatio: number): Reduction => ({ ...own, method, keepRatio })
      return {
        name: method,
        at,
        // Of a method that the model cannot do there is none; whoever checks never asks.
        get knob() {
          return knobOf(method, at, own)
        },
        check: (model) => checkWeights(model, at(0.5)),
      }
    })

  function knobOf(method: MethodName, at: Knob['at'], own: MethodSettings): Knob {
    if (method === 'tome') return mergeKnob(Math.floor(tokens / 2), own)
    if (costOf({ config }, at(0.5)).gmacsOf) return keepRatioKnob(COARSE, 1, at)
    return keepRatioKnob(FINE, Math.ceil((UNEVEN * FINE) / tokens), at)
  }
}

/** Makes sure that a model has what a method reads beyond its own weights. */
function checkWeights({ config, state }: Sized, reduction: Reduction): void {
  const shape = shapeOf(config)
  const { keep, ...settings } = planReduction(reduction, shape)
  const wanted = methodOf(reduction.method).parameters?.(shape, keep, settings) ?? new Map<string, readonly number[]>()
  const missing = [...wanted.keys()].find((name) => !state.has(name))
  if (missing !== undefined) fail(`it has no ${missing}`)
}

/** A model's own plan, where its folder holds one that leaves tokens out. */
export function storedReduction({ idle }: { readonly idle?: StoredReduction }): Reduction | undefined {
  const { keepRatios, keepTokens } = idle ?? {}
  if (!keepTokens && (!keepRatios || keepRatios.every((ratio) => ratio === 1))) return undefined
  return { method: 'idle', ...idle }
}

/** What a model computes for one picture. */
export interface Cost {
  readonly params: number
  /** 10⁹ multiply-adds of the graph that runs; the most they can be, where pictures decide. */
  readonly gmacs: number
  /** Where pictures decide: those of one, by the sizes that it decided. */
  readonly gmacsOf?: (sizes: Bindings) => number
  /** Image tokens of every block. */
  readonly tokens: readonly number[]
  readonly warnings: readonly string[]
}

/** What was counted before: adjusting a knob asks for the same plan many times. */
const counted = new WeakMap<VitConfig, Map<string, Omit<Cost, 'warnings'>>>()

/**
 * What a model costs under a method.
 *
 * @throws InputError where the method cannot be run so
 */
export function costOf({ config }: Pick<Sized, 'config'>, reduction: Reduction): Cost {
  const { warnings, ...plan } = reduction.steps
    ? planSteps(reduction, 'the model', config)
    : planReduction(reduction, shapeOf(config))
  const costs = counted.get(config) ?? new Map<string, Omit<Cost, 'warnings'>>()
  counted.set(config, costs)
  const { ratios: _, ...counts } = plan
  const key = JSON.stringify(counts)
  const known = costs.get(key)
  if (known) return { ...known, warnings }
  const { params, macs, blocks, varies } = modelCost(config, plan)
  const cost = {
    params,
    gmacs: macs / 1e9,
    tokens: blocks.map(({ tokens }) => tokens),
    ...(varies && { gmacsOf: gmacsOfPicture(config, plan) }),
  }
  costs.set(key, cost)
  return { ...cost, warnings }
}

function gmacsOfPicture(config: VitConfig, plan: BuildOptions): (sizes: Bindings) => number {
  const macs = macsOfPicture(config, plan)
  return (sizes) => macs(sizes) / 1e9
}

/**
 * The methods of these names; all that the model can run where none are named.
 *
 * @throws InputError naming a method that is unknown or that the model cannot run
 */
export function chooseMethods(
  known: readonly ComparedMethod[],
  names: readonly string[] | undefined,
  model: Sized,
): { readonly methods: readonly ComparedMethod[]; readonly refused: readonly { method: string; reason: string }[] } {
  const refusal = (method: ComparedMethod): string | undefined => {
    try {
      method.check(model)
      return undefined
    } catch (error) {
      if (error instanceof InputError) return error.message
      throw error
    }
  }
  if (!names) {
    const judged = known.map((method) => ({ method, reason: refusal(method) }))
    return {
      methods: judged.filter(({ reason }) => reason === undefined).map(({ method }) => method),
      refused: judged.flatMap(({ method, reason }) => (reason === undefined ? [] : [{ method: method.name, reason }])),
    }
  }
  const wanted = [...new Set(names)].filter((name) => name !== 'none')
  const methods = wanted.map((name) => {
    const all = ['none', ...known.map((method) => method.name)].join(', ')
    const method = known.find((each) => each.name === name) ?? fail(`--methods: wanted some of ${all}, found ${name}`)
    const reason = refusal(method)
    return reason === undefined ? method : fail(`--methods ${name}: the model cannot run it: ${reason}`)
  })
  return { methods, refused: [] }
}
