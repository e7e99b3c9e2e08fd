/** What a model costs, counted on its graphs: one MAC per multiply-add of linear layers, convolutions and products. */

import { evaluateDim } from '../graph/dims.js'
import { macsByScope } from '../graph/graph.js'
import { type BuildOptions, buildGraph, type WeightValues } from './build.js'
import { imageTokens, type VitConfig, vitParameters } from './config.js'

export interface BlockCost {
  readonly block: number
  /** Image tokens the block computes. */
  readonly tokens: number
  readonly macs: number
}

export interface ModelCost {
  readonly params: number
  /** MACs for one picture of the graph that runs. */
  readonly macs: number
  /** MACs of the dense model, every row of every block. */
  readonly denseMacs: number
  readonly blocks: readonly BlockCost[]
  readonly countings: {
    /** The graph that runs: folded scores, only the rows that the head reads in the last block. */
    readonly executed: number
    /** The official code's structure: keys of all tokens in every idle block. */
    readonly kForAll: number
    /** The paper's words taken literally: attention and MLP of selected tokens, scores for nothing. */
    readonly selectedOnly: number
  }
}

/** Weights of the right shapes that take no memory: for graphs that are counted and never run. */
function shapesOnly(config: VitConfig): WeightValues {
  const values = new Map<string, { shape: readonly number[]; data: Float32Array }>()
  const largest = [...vitParameters(config).values()].map((s) => s.reduce((a, b) => a * b, 1))
  const shared = new Float32Array(Math.max(...largest))
  for (const [name, shape] of vitParameters(config)) {
    values.set(name, {
      shape,
      data: shared.subarray(
        0,
        shape.reduce((a, b) => a * b, 1),
      ),
    })
  }
  return values
}

/** Counts parameters and MACs of a model under a plan. */
export function modelCost(config: VitConfig, options: BuildOptions = {}): ModelCost {
  const values = shapesOnly(config)
  const build = (more: BuildOptions) => buildGraph(config, values, { ...options, ...more })
  const total = (macs: Map<string, number>) => [...macs.values()].reduce((a, b) => a + b, 0)
  const count = (more: BuildOptions) => total(macsByScope(build(more)))
  const graph = build({ trace: true }) // the trace names what is computed anyway
  const executed = macsByScope(graph)
  /** Tokens that enter a block: the size of its selection, all of them where nothing is selected. */
  const kept = (l: number) => evaluateDim(graph.outputs.get(`selected.${l}`)?.shape[1] ?? imageTokens(config))
  return {
    params: [...values.values()].reduce((sum, { data }) => sum + (data as Float32Array).length, 0),
    macs: total(executed),
    denseMacs: count({ method: 'none', features: true }),
    blocks: Array.from({ length: config.depth }, (_, l) => ({
      block: l,
      tokens: kept(l),
      macs: executed.get(`blocks.${l}`) ?? 0,
    })),
    countings: {
      executed: total(executed),
      kForAll: count({ features: true, scoring: 'projected' }),
      selectedOnly: count({ features: true, givenSelection: true }),
    },
  }
}
