/** What a model costs, counted on its graphs: one MAC per multiply-add of linear layers, convolutions and products. */

import { type Bindings, evaluateDim } from '../graph/dims.js'
import { macsByScope, totalMacs } from '../graph/graph.js'
import type { Counting } from '../reduction/method.js'
import { type MethodName, methodOf } from '../reduction/registry.js'
import { keptSymbol } from '../reduction/schedule.js'
import { parametersOf, shapeOf } from './backbone.js'
import { type BuildOptions, buildForward, buildGraph, type WeightValues } from './build.js'
import { type CascadeConfig, cascadeParameters, isCascade, netsOf } from './cascade.js'
import { imageTokens, type VitConfig } from './config.js'
import { buildNet } from './dvt-build.js'
import type { StepCounts } from './steps.js'

export interface BlockCost {
  readonly block: number
  /** Image tokens the block computes. */
  readonly tokens: number
  readonly macs: number
}

export interface ModelCost {
  readonly params: number
  /** MACs for one picture of the graph that runs; the most they can be, where pictures decide. */
  readonly macs: number
  /** Whether pictures decide how many tokens are computed: see {@link macsOfPicture}. */
  readonly varies: boolean
  /** MACs of the dense model, every row of every block. */
  readonly denseMacs: number
  readonly blocks: readonly BlockCost[]
  /** By other countings: `executed`, the graph that runs, and what the method is compared by. */
  readonly countings: Readonly<Record<string, number>> & { readonly executed: number }
  /** Of a cascade, net by net, and of steps, step by step; `macs` are those of a picture that only the last answers. */
  readonly nets?: readonly NetCost[]
}

/** A net of a cascade, or a step. */
export interface NetCost {
  readonly name: string
  /** Image tokens; of a step those of its blocks on average. */
  readonly tokens: number
  readonly macs: number
  /** MACs of a picture that is answered here: those of the nets or steps before included. */
  readonly macsUpTo: number
}

/** How a method that names no countings is compared: every row of every block, nothing folded. */
const officialStructure: Readonly<Record<string, Counting<object>>> = {
  official: { label: 'structure of the official code', plan: { official: true } },
}

/** The countings of a method beside the executed one, by name; of a pyramid there are none. */
export const countingsOf = (method: MethodName, config: VitConfig): Readonly<Record<string, Counting<object>>> =>
  shapeOf(config).stages ? {} : (methodOf(method).countings ?? officialStructure)

/** Weights of the right shapes that take no memory: for graphs that are counted and never run. */
function shapesOnly(shapes: ReadonlyMap<string, readonly number[]>): WeightValues {
  const sizes = [...shapes.values()].map((shape) => shape.reduce((a, b) => a * b, 1))
  const shared = new Float32Array(Math.max(...sizes))
  return new Map([...shapes].map(([name, shape], i) => [name, { shape, data: shared.subarray(0, sizes[i]) }]))
}

/** Counts parameters and MACs of a model under a plan, or under one for every step. */
export function modelCost(config: VitConfig, options: BuildOptions & StepCounts = {}): ModelCost {
  if (isCascade(config)) return cascadeCost(config)
  if (options.steps) return stepsCost(config, options, options.steps)
  const { method = 'idle' } = options
  const values = shapesUnder(config, options)
  const bindings = largestSizes(config, options)
  const total = (macs: Map<string, number>) => [...macs.values()].reduce((a, b) => a + b, 0)
  const count = (more: BuildOptions) =>
    total(macsByScope(buildForward(config, values, { ...options, ...more }).graph, bindings))
  const { graph, model } = buildForward(config, values, options)
  const executed = macsByScope(graph, bindings)
  const others = Object.entries(countingsOf(method, config)).map(([name, { plan }]) => [
    name,
    count({ features: true, ...plan }),
  ])
  return {
    params: [...values.values()].reduce((sum, { data }) => sum + (data as Float32Array).length, 0),
    macs: total(executed),
    varies: model.blocks.some(({ step }) => step.sizes !== undefined),
    denseMacs: count({ method: 'none', features: true }),
    blocks: model.blocks.map(({ step }, l) => ({
      block: l,
      tokens: evaluateDim(step.tokens, bindings),
      macs: executed.get(`blocks.${l}`) ?? 0,
    })),
    countings: { executed: total(executed), ...Object.fromEntries(others) },
  }
}

/** MACs for one picture of the graph that runs under a plan; the most they can be, where pictures decide. */
export function executedMacs(config: VitConfig, options: BuildOptions): number {
  return totalMacs(buildGraph(config, shapesUnder(config, options), options), largestSizes(config, options))
}

/** Shapes of the model's weights, and of those that the method reads beyond them. */
function shapesUnder(config: VitConfig, options: BuildOptions): WeightValues {
  const { method = 'idle', keep } = options
  const extra = keep && methodOf(method).parameters?.(shapeOf(config), keep, options)
  return shapesOnly(new Map([...parametersOf(config), ...(extra ?? [])]))
}

/** Sizes that pictures decide, at most what they can be. */
function largestSizes(config: VitConfig, options: BuildOptions): Bindings {
  const { method = 'idle', keep = [] } = options
  const kept = Object.fromEntries(keep.map((most, l) => [keptSymbol(l), most]))
  return { batch: 1, ...kept, ...methodOf(method).most?.({ ...options, keep }, shapeOf(config)) }
}

/**
 * MACs of single pictures, where each decides how many tokens are computed.
 *
 * @returns the MACs of a picture by the sizes that it decided, as a forward pass tells them
 */
export function macsOfPicture(config: VitConfig, options: BuildOptions & StepCounts): (sizes: Bindings) => number {
  if (isCascade(config) || options.steps) {
    const { nets = [] } = modelCost(config, options)
    return ({ [EXIT]: exit = nets.length - 1 }) => nets[exit]?.macsUpTo ?? Number.NaN
  }
  const graph = buildGraph(config, shapesUnder(config, options), options)
  return (sizes) => totalMacs(graph, { batch: 1, ...sizes })
}

/** What a picture decides in a cascade or in steps: the net or step that answers it, from 0. */
export const EXIT = 'exit'

/**
 * Steps of an elastic graph, one behind the other: each runs the operators that a graph of its plan alone has, those of
 * branches that are not taken do not run.
 */
function stepsCost(config: VitConfig, { steps: _, ...options }: BuildOptions & StepCounts, steps: Counts): ModelCost {
  const single = steps.map((keep) => modelCost(config, { ...options, keep }))
  const own = single.map((each) => each.macs)
  const macs = own.reduce((sum, each) => sum + each, 0)
  return {
    ...(single[0] as ModelCost),
    macs,
    varies: true,
    blocks: single.flatMap(({ blocks }, k) =>
      blocks.map((each) => ({ ...each, block: k * config.depth + each.block })),
    ),
    countings: { executed: macs },
    nets: steps.map((keep, k) => ({
      name: `step ${k + 1}`,
      tokens: Math.round(keep.reduce((sum, count) => sum + count, 0) / keep.length),
      macs: own[k] as number,
      macsUpTo: own.slice(0, k + 1).reduce((sum, each) => sum + each, 0),
    })),
  }
}

type Counts = NonNullable<StepCounts['steps']>

/** A cascade's nets one behind the other. */
function cascadeCost(config: CascadeConfig): ModelCost {
  const values = shapesOnly(cascadeParameters(config))
  const count = (index: number, allRows?: boolean) => macsByScope(buildNet(config, values, index, { allRows }).graph)
  const total = (macs: ReadonlyMap<string, number>) => [...macs.values()].reduce((a, b) => a + b, 0)
  const own = netsOf(config)
  const scopes = own.map((_, i) => count(i))
  const nets = own.map(({ name, config: { imageSize, patchSize } }, i) => ({
    name,
    tokens: imageTokens({ imageSize, patchSize }),
    macs: total(scopes[i] as Map<string, number>),
    macsUpTo: scopes.slice(0, i + 1).reduce((sum, macs) => sum + total(macs), 0),
  }))
  const macs = nets.at(-1)?.macsUpTo ?? 0
  const denseMacs = own.reduce((sum, _, i) => sum + total(count(i, true)), 0)
  const { depth } = config
  return {
    params: [...values.values()].reduce((sum, { data }) => sum + (data as Float32Array).length, 0),
    macs,
    varies: true,
    denseMacs,
    blocks: nets.flatMap(({ tokens }, i) =>
      Array.from({ length: depth }, (_, l) => ({
        block: i * depth + l,
        tokens,
        macs: scopes[i]?.get(`blocks.${l}`) ?? 0,
      })),
    ),
    countings: { executed: macs },
    nets,
  }
}
