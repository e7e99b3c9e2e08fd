/** The inference graph of a model under a reduction plan, with whatever the caller wants to see of it. */

import { fail } from '../errors.js'
import { constant, createGraph, type Graph, input, output, type Tensor } from '../graph/graph.js'
import { gatherLast } from '../graph/ops/rows.js'
import { type Build, type MethodPlan, tokensByBlock } from '../reduction/method.js'
import { elasticPlan, type MethodChoice, methodOf, openMethod } from '../reduction/registry.js'
import { byToken, valuesByToken } from '../reduction/rows.js'
import { forward, shapeOf } from './backbone.js'
import { refuseCascade } from './cascade.js'
import { pictureSize, type VitConfig } from './config.js'
import type { BlockRecord, VitOutput, Weights } from './vit.js'

/** Weights by timm name, PyTorch layout. */
export type WeightValues = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: unknown }>

/** A token reduction plan (`planReduction`), and what is wanted of its graph. */
export interface BuildOptions extends MethodChoice {
  /** Image rows of every block, as the method counts them; a block that keeps all is dense. Default: all. */
  readonly keep?: readonly number[]
  /** Run blocks in the masked form of finetuning, where the method has one; default gathered. */
  readonly form?: MethodPlan['form']
  /** Compute all that the official code computes; default: only what can be seen. */
  readonly official?: boolean | undefined
  /**
   * The tokens of every block come from input `keep_tokens`, int64 `[L]`, so that one graph serves every keep ratio.
   * Blocks of the first stage are dense whatever it says; `keep` is ignored.
   */
  readonly elastic?: boolean
  /** Compute every row of the last block and output `features` `[B, N, C]` in raster order, zeros for tokens that are gone. */
  readonly features?: boolean
  /** Output what the head reads, `pooled` `[B, C]`, beside the logits. Of a model without a head that is its output anyway. */
  readonly pooled?: boolean
  /**
   * Output what became of the tokens in block l, where the method chose any: `computed.l` `[B, N0]` (1 or 0), `home.l`
   * int64 `[B, N0]` (the row that carries a token, -1 if none), `score.l` `[B, N0]`, and `selected.l` int64 `[B, K]`,
   * best first.
   */
  readonly trace?: boolean
  /** Output `size.{symbol}` `[B]`, the sizes that every picture decided for itself, by their symbol in the graph's shapes. */
  readonly sizes?: boolean
  /** Output `embedded` and `block.{block}`, the rows before the first and after every block, in raster order. */
  readonly blocks?: boolean
}

/** Weights as constants of a graph. */
export function constantWeights(graph: Graph, values: WeightValues): Weights {
  const tensors = new Map<string, Tensor>()
  return (name) => {
    const known = tensors.get(name)
    if (known) return known
    const value = values.get(name)
    if (!value) return fail(`the weights lack ${name}`)
    if (!(value.data instanceof Float32Array)) throw new Error(`no float32 weight ${name}`)
    const tensor = constant(graph, value.data, value.shape, name)
    tensors.set(name, tensor)
    return tensor
  }
}

/**
 * Builds the graph from `pixel_values` `[batch, 3, height, width]` to `logits` `[batch, classes]`, or to `pooled` `[batch, C]`
 * of a model without a head.
 *
 * Of a distilled model `logits_cls` and `logits_dist` are outputs too when `trace` is set.
 */
export const buildGraph = (config: VitConfig, values: WeightValues, options: BuildOptions = {}): Graph =>
  buildForward(config, values, options).graph

/** The graph of {@link buildGraph}, with the tensors in it that have no name. */
export function buildForward(
  config: VitConfig,
  values: WeightValues,
  options: BuildOptions = {},
): { readonly graph: Graph; readonly model: VitOutput } {
  const { features = false, pooled = false, trace = false, blocks = false, sizes = false } = options
  refuseCascade('the model', config, 'wanted a single net')
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, ...pictureSize(config)])
  const weights = constantWeights(graph, values)
  checkOwnWeights(config, values, options)
  const form = openMethod(methodBuild(graph, weights, config), { ...options, ...methodPlan(config, options) })
  const result = forward(weights, pixels, config, { form, allTokens: features || blocks })
  output(config.classes === 0 ? 'pooled' : 'logits', result.logits)
  if (pooled && config.classes > 0) output('pooled', result.pooled)
  if (features) output('features', byToken({ ...result.rows, x: result.features }))
  if (blocks) {
    output('embedded', result.embedded)
    for (const [l, { step }] of result.blocks.entries()) output(`block.${l}`, byToken(step.rows))
  }
  if (trace) traceOutputs(result, config.distilled)
  if (sizes)
    for (const { step } of result.blocks)
      for (const [symbol, size] of Object.entries(step.sizes ?? {})) output(`size.${symbol}`, size)
  return { graph, model: result }
}

/** Refuses a model that lacks weights which the method reads beyond the model's. */
function checkOwnWeights(
  config: VitConfig,
  values: WeightValues,
  { method = 'idle', keep, ...settings }: BuildOptions,
): void {
  const own = keep && methodOf(method).parameters?.(shapeOf(config), keep, settings)
  const missing = [...(own?.keys() ?? [])].filter((name) => !values.has(name))
  if (missing.length > 0)
    fail(
      `${method}: wanted weights trained for it, found a model without ${missing[0]} (${missing.length} are missing)`,
    )
}

/** What a method builds with, in this graph. */
export const methodBuild = (graph: Graph, weights: Weights, config: VitConfig): Build => ({
  graph,
  shape: shapeOf(config),
  weight: weights,
  input: (name, shape, dtype) => graph.inputs.find((known) => known.name === name) ?? input(graph, name, shape, dtype),
})

/** Rows by block for a graph: those of the plan, or told when it runs. */
function methodPlan(config: VitConfig, { keep, elastic, form, official, ...choice }: BuildOptions) {
  const shape = shapeOf(config)
  return { form, official, ...(elastic ? elasticPlan(choice, shape) : { keep: keep ?? tokensByBlock(shape) }) }
}

function traceOutputs({ blocks, headLogits: [cls, dist] }: VitOutput, distilled: boolean): void {
  for (const [l, record] of blocks.entries()) traceBlock(l, record)
  if (cls && dist && distilled) {
    output('logits_cls', cls)
    output('logits_dist', dist)
  }
}

function traceBlock(l: number, { before, step }: BlockRecord): void {
  const { kept, scores, computed, rows } = step
  if (kept) output(`selected.${l}`, before.places ? gatherLast(before.places, kept) : kept)
  if (scores) output(`score.${l}`, valuesByToken(before, scores))
  if (computed) output(`computed.${l}`, computed)
  if (rows.home) output(`home.${l}`, rows.home)
}
