/** The inference graph of a model under a reduction plan, with whatever the caller wants to see of it. */

import { constant, createGraph, type Graph, input, output, type Tensor } from '../graph/graph.js'
import { slice } from '../graph/ops/shape.js'
import type { ReducedBlock } from '../reduction/block.js'
import { denseBlock } from '../reduction/dense.js'
import { idleBlock, maskedIdleBlock, type Score } from '../reduction/idle.js'
import { firstIdleBlock } from '../reduction/schedule.js'
import { imageTokens, type VitConfig } from './config.js'
import { vit, type Weights } from './vit.js'

/** Weights by timm name, PyTorch layout. */
export type WeightValues = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: unknown }>

export type Method = 'none' | 'idle'

export interface BuildOptions {
  /** Image tokens that each block computes; a block that keeps all is dense. Default: all. */
  readonly keep?: readonly number[]
  /** Default `idle`; `none` ignores `keep`. */
  readonly method?: Method
  readonly score?: Score
  readonly scoring?: 'folded' | 'projected'
  /** Run idle blocks in the masked form of finetuning; default gathered. */
  readonly form?: 'gathered' | 'masked'
  /** Send blocks that keep all tokens through the idle path too. */
  readonly idleAll?: boolean
  /** The tokens of idle blocks come from inputs `selection.{block}`, int64 `[B, K]`, instead of a score. */
  readonly givenSelection?: boolean
  /**
   * The tokens of every block come from input `keep_tokens`, int64 `[L]`, so that one graph serves every keep ratio.
   * Blocks of the first stage are dense whatever it says; `keep` is ignored.
   */
  readonly elastic?: boolean
  /** Compute every row of the last block and output `features` `[B, N, C]` in raster order. */
  readonly features?: boolean
  /** Output `selected.{block}` and `score.{block}` of every idle block. */
  readonly trace?: boolean
  /** Output `embedded` and `block.{block}`, the rows before the first and after every block. */
  readonly blocks?: boolean
}

/** Weights as constants of a graph. */
export function constantWeights(graph: Graph, values: WeightValues): Weights {
  const tensors = new Map<string, Tensor>()
  return (name) => {
    const known = tensors.get(name)
    if (known) return known
    const value = values.get(name)
    if (!(value?.data instanceof Float32Array)) throw new Error(`no float32 weight ${name}`)
    const tensor = constant(graph, value.data, value.shape, name)
    tensors.set(name, tensor)
    return tensor
  }
}

/**
 * Builds the graph from `pixel_values` `[batch, 3, S, S]` to `logits` `[batch, classes]`.
 *
 * Of a distilled model `logits_cls` and `logits_dist` are outputs too when `trace` is set.
 */
export function buildGraph(config: VitConfig, values: WeightValues, options: BuildOptions = {}): Graph {
  const { features = false, trace = false, blocks = false } = options
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, config.imageSize, config.imageSize])
  const result = vit(constantWeights(graph, values), pixels, config, {
    method: blockMethod(graph, config, options),
    allTokens: features || blocks,
  })
  output('logits', result.logits)
  if (features) output('features', result.features)
  if (blocks) {
    output('embedded', result.embedded)
    for (const [l, rows] of result.blocks.entries()) output(`block.${l}`, rows)
  }
  if (trace) {
    for (const { block, selected, scores } of result.traces) {
      output(`selected.${block}`, selected)
      if (scores) output(`score.${block}`, scores)
    }
    const [cls, dist] = result.headLogits
    if (cls && dist) {
      output('logits_cls', cls)
      output('logits_dist', dist)
    }
  }
  return graph
}

/** The reduced form of every block. */
function blockMethod(graph: Graph, config: VitConfig, options: BuildOptions): (l: number) => ReducedBlock {
  const { keep, method = 'idle', form = 'gathered', idleAll = false, givenSelection = false } = options
  const tokens = imageTokens(config)
  if (options.elastic) return elasticMethod(graph, config, options)
  return (l) => {
    const kept = keep?.[l] ?? tokens
    if (method === 'none' || (kept === tokens && !idleAll)) return denseBlock
    const { score = 'softmax', scoring = 'folded' } = options
    const idle = { keep: kept, score, scoring }
    if (form === 'masked') return maskedIdleBlock(idle)
    if (!givenSelection) return idleBlock(idle)
    return idleBlock({ ...idle, selection: input(graph, `selection.${l}`, ['batch', kept], 'int64') })
  }
}

/** Blocks whose number of tokens is known when the graph runs, behind a dense first stage. */
function elasticMethod(graph: Graph, config: VitConfig, options: BuildOptions): (l: number) => ReducedBlock {
  const { score = 'softmax', scoring = 'folded' } = options
  const counts = input(graph, KEEP_INPUT, [config.depth], 'int64')
  return (l) => {
    if (l < firstIdleBlock(config.depth)) return denseBlock
    return idleBlock({ keep: keptSymbol(l), count: slice(counts, 0, l, l + 1), score, scoring })
  }
}

/** The input that tells an elastic graph how many image tokens every block computes. */
export const KEEP_INPUT = 'keep_tokens'

/** The symbolic dimension that stands for the image tokens of a block. */
export const keptSymbol = (block: number): string => `kept${block}`
