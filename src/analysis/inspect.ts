/** A model under a microscope: one picture through the dense and the idle model, with what every block did. */

import { fail } from '../errors.js'
import { output } from '../graph/graph.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { shapeOf } from '../models/backbone.js'
import { type BuildOptions, buildForward } from '../models/build.js'
import { imageTokens, pictureSize, prefixTokens } from '../models/config.js'
import type { BlockRecord } from '../models/vit.js'
import { attentionMap } from '../reduction/maps.js'
import { planReduction, type ReductionPlan } from '../reduction/registry.js'
import { putBack } from '../reduction/rows.js'
import {
  type ClassifierOptions,
  type Model,
  type Prediction,
  selectionsOf,
  topPredictions,
} from '../runtime/classifier.js'
import type { OpenSession, Session, Values } from '../runtime/session.js'
import { classAttention, type SortedMap, sortMap } from './attention.js'
import { meanCosineSimilarity } from './similarity.js'
import { type TokenState, tokenMap } from './tokens.js'

/** The attention of one block, averaged over heads, sorted by class attention. */
export interface BlockAttention extends SortedMap {
  readonly block: number
  /** Rows before the image tokens. */
  readonly prefix: number
  /** Image tokens that the block computes: the first ones behind the prefix. */
  readonly kept: number
}

/** What one picture showed. */
export interface Inspection {
  /** The best label of the dense and of the idle model. */
  readonly predictions: { readonly dense: Prediction; readonly idle: Prediction }
  /** State of every image token in every block, `[depth][tokens]`. */
  readonly tokens: readonly (readonly TokenState[])[]
  /** Mean cosine similarity of image tokens after every block. */
  readonly similarity: { readonly dense: readonly number[]; readonly idle: readonly number[] }
  /** Of the last block of every stage of the idle model. */
  readonly attention: readonly BlockAttention[]
  /** What the class token pays every image row that enters a block of the idle model, `[depth][m]`. */
  readonly classAttention: readonly Float32Array[]
}

export interface Inspector extends ReductionPlan {
  /** @param pixels - one normalised picture `[3, S, S]` */
  inspect(pixels: Float32Array): Promise<Inspection>
  close(): Promise<void>
}

/** The last block of every run of blocks that keep the same number of tokens. */
export const stageEnds = (keep: readonly number[]): number[] =>
  keep.flatMap((kept, l) => (kept === keep[l + 1] ? [] : [l]))

/**
 * Builds the dense and the idle model of a plan, with attention maps beside the idle one, and opens both.
 *
 * @throws InputError on keep ratios out of range
 */
export async function openInspector(
  model: Model,
  options: ClassifierOptions,
  openSession: OpenSession,
): Promise<Inspector> {
  const { config } = model
  const { depth, width } = config
  const tokens = imageTokens(config)
  if (shapeOf(config).stages)
    fail(`visualize: follows tokens over one map, found ${model.name}, a Swin, whose maps shrink from stage to stage`)
  const prefix = prefixTokens(config)
  const plan = planReduction(options, shapeOf(config))
  const drawn = stageEnds(plan.keep)
  const dense = await openSession(tracedGraph(model, { method: 'none' }), options)
  const everyBlock = Array.from({ length: depth }, (_, block) => block)
  const idle = await openSession(tracedGraph(model, plan, everyBlock), options)

  const run = (session: Session, pixels: Float32Array) =>
    session.run({ pixel_values: { data: pixels, shape: [1, 3, ...pictureSize(config)] } })

  /** Image rows alone after every block: `[m, C]`. */
  const similarity = (outputs: Outputs) =>
    Array.from({ length: depth }, (_, l) =>
      meanCosineSimilarity(floats(outputs, `rows.${l}`).subarray(prefix * width), width),
    )

  return {
    ...plan,
    async inspect(pixels) {
      const [denseOutputs, idleOutputs] = [await run(dense, pixels), await run(idle, pixels)]
      const best = (outputs: Outputs) => topPredictions(floats(outputs, 'logits'), 1, model.labels)[0] as Prediction
      return {
        predictions: { dense: best(denseOutputs), idle: best(idleOutputs) },
        tokens: tokenMap(selectionsOf(idleOutputs, config, 0, 1), depth, tokens),
        similarity: { dense: similarity(denseOutputs), idle: similarity(idleOutputs) },
        attention: drawn.map((block) => {
          const map = floats(idleOutputs, `map.${block}`) // [n, n]
          const rows = Math.sqrt(map.length)
          const scores = idleOutputs[`scores.${block}`]
            ? floats(idleOutputs, `scores.${block}`)
            : classAttention(map, rows, prefix)
          const kept = Math.min(plan.keep[block] as number, rows - prefix)
          return { block, prefix, kept, ...sortMap(map, prefix, scores) }
        }),
        classAttention: everyBlock.map((block) => {
          const map = floats(idleOutputs, `map.${block}`) // [n, n]
          return classAttention(map, Math.sqrt(map.length), prefix)
        }),
      }
    },
    close: async () => {
      await Promise.all([dense.close(), idle.close()])
    },
  }
}

/**
 * The model's graph with the image rows that leave every block, `rows.{block}`, and of some blocks the map among the rows
 * that enter, `map.{block}` `[B, n, n]`, and what they are ranked by, `scores.{block}`.
 */
function tracedGraph({ config, state }: Model, options: BuildOptions, maps: readonly number[] = []) {
  const { graph, model } = buildForward(config, state, { ...options, trace: true, blocks: true })
  for (const [l, { step }] of model.blocks.entries()) output(`rows.${l}`, putBack(step.rows).x) // [B, n, C]
  for (const l of maps) {
    const { block, before, step } = model.blocks[l] as BlockRecord
    output(`map.${l}`, reduceMean(attentionMap(block, before.x), [1])) // [B, n, n]
    if (step.scores) output(`scores.${l}`, step.scores) // [B, m]
  }
  return graph
}

type Outputs = Readonly<Record<string, Values>>

const floats = (outputs: Outputs, name: string): Float32Array => outputs[name]?.data as Float32Array
