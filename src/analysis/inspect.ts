/** A model under a microscope: one picture through the dense and the idle model, with what every block did. */

import { output } from '../graph/graph.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { shapeOf } from '../models/backbone.js'
import { pictureSize, prefixTokens } from '../models/config.js'
import { type Prepared, prepare } from '../models/prepare.js'
import type { BlockRecord } from '../models/vit.js'
import { attentionMap, receivedAttention } from '../reduction/maps.js'
import type { ModelShape, StageShape } from '../reduction/method.js'
import type { ReductionPlan } from '../reduction/registry.js'
import { putBack } from '../reduction/rows.js'
import { stageByBlock } from '../reduction/stages.js'
import {
  type ClassifierOptions,
  type Model,
  type Prediction,
  selectionsOf,
  topPredictions,
} from '../runtime/classifier.js'
import type { OpenSession, Session, Values } from '../runtime/session.js'
import { classAttention, received, type SortedMap, sortMap } from './attention.js'
import { meanCosineSimilarity } from './similarity.js'
import { type Selection, type TokenState, tokenMap } from './tokens.js'

/** The attention of one block, averaged over heads, sorted by what ranks the tokens. */
export interface BlockAttention extends SortedMap {
  readonly block: number
  /** Rows before the image tokens. */
  readonly prefix: number
  /** Image tokens that the block computes: the first ones behind the prefix. */
  readonly kept: number
}

/** What the tokens of a pyramid receive of the attention within their windows, in one block. */
export interface WindowAttention {
  readonly block: number
  /** Rows and columns of the map. */
  readonly map: readonly [number, number]
  /** Rows of a window: an even share is one over them. */
  readonly windowRows: number
  /** `[rows · columns]`: the mean over heads and the window's rows. */
  readonly values: Float32Array
}

/** What one picture showed. */
export interface Inspection {
  /** The best label of the dense and of the idle model; absent where a model has no head. */
  readonly predictions?: { readonly dense: Prediction; readonly idle: Prediction }
  /** State of every image token in every block, `[depth][tokens]`; tokens are fewer from stage to stage of a pyramid. */
  readonly tokens: readonly (readonly TokenState[])[]
  /** Mean cosine similarity of image tokens after every block. */
  readonly similarity: { readonly dense: readonly number[]; readonly idle: readonly number[] }
  /** Of the last block of every stage of the idle model; none of a pyramid, where rows attend within windows. */
  readonly attention: readonly BlockAttention[]
  /** Of a pyramid, of the last block of every stage; none where tokens are dead, which nothing attends to. */
  readonly windows: readonly WindowAttention[]
  /** What the class token pays every image row that enters a block of the idle model, `[depth][m]`; none without one. */
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

/** The last block of every stage of a pyramid. */
const mapEnds = (stages: readonly StageShape[]): number[] => stages.map(({ first, depth }) => first + depth - 1)

/**
 * Builds the dense and the idle model of a plan, with attention beside the idle one, and opens both.
 *
 * @throws InputError on keep ratios out of range
 */
export async function openInspector(
  model: Model,
  options: ClassifierOptions,
  openSession: OpenSession,
): Promise<Inspector> {
  const { config } = model
  const shape = shapeOf(config)
  const { depth, stages, classToken = true } = shape
  const prefix = prefixTokens(config)
  const seen = { trace: true, blocks: true }
  const { plan, ...reduced } = prepare(model, options, seen)
  const everyBlock = Array.from({ length: depth }, (_, block) => block)
  const looks = {
    maps: stages ? [] : everyBlock,
    windows: stages && !plan.dead ? mapEnds(stages) : [],
  }
  const dense = await openSession(tracedGraph(prepare(model, { method: 'none' }, seen)), options)
  const idle = await openSession(tracedGraph(reduced, looks), options)

  const run = (session: Session, pixels: Float32Array) =>
    session.run({ pixel_values: { data: pixels, shape: [1, 3, ...pictureSize(config)] } })

  /** Of image rows alone after every block, `[m, C]`; of those that live, which are not zero, where others are dead. */
  const similarity = (outputs: Outputs) =>
    everyBlock.map((l) => {
      const width = stages ? (stageByBlock(shape)[l] as StageShape).width : shape.width
      const rows = floats(outputs, `rows.${l}`).subarray(prefix * width)
      return meanCosineSimilarity(plan.dead ? withoutZeroRows(rows, width) : rows, width)
    })

  return {
    ...plan,
    async inspect(pixels) {
      const [denseOutputs, idleOutputs] = [await run(dense, pixels), await run(idle, pixels)]
      const best = (outputs: Outputs) => topPredictions(floats(outputs, 'logits'), 1, model.labels)[0] as Prediction
      const mapOf = (block: number) => {
        const map = floats(idleOutputs, `map.${block}`) // [n, n]
        return { map, rows: Math.sqrt(map.length) }
      }
      return {
        ...(config.classes > 0 && { predictions: { dense: best(denseOutputs), idle: best(idleOutputs) } }),
        tokens: statesOf(selectionsOf(idleOutputs, config, 0, 1), shape, plan.dead),
        similarity: { dense: similarity(denseOutputs), idle: similarity(idleOutputs) },
        attention: (stages ? [] : stageEnds(plan.keep)).map((block) => {
          const { map, rows } = mapOf(block)
          const scores = idleOutputs[`scores.${block}`]
            ? floats(idleOutputs, `scores.${block}`)
            : classToken
              ? classAttention(map, rows, prefix)
              : received(map, rows, prefix)
          const kept = Math.min(plan.keep[block] as number, rows - prefix)
          return { block, prefix, kept, ...sortMap(map, prefix, scores) }
        }),
        windows: looks.windows.map((block) => {
          const { map, windowRows } = stageByBlock(shape)[block] as StageShape
          return { block, map, windowRows, values: floats(idleOutputs, `received.${block}`) }
        }),
        classAttention: (classToken ? looks.maps : []).map((block) => {
          const { map, rows } = mapOf(block)
          return classAttention(map, rows, prefix)
        }),
      }
    },
    close: async () => {
      await Promise.all([dense.close(), idle.close()])
    },
  }
}

/** States by block: of a pyramid stage by stage, as its maps have tokens of their own. */
function statesOf(selections: readonly Selection[], { depth, tokens, stages }: ModelShape, dead = false) {
  if (!stages) return tokenMap(selections, depth, tokens)
  const states = stages.flatMap((stage) => {
    const own = selections.filter(({ block }) => block >= stage.first && block < stage.first + stage.depth)
    const inStage = own.map((each) => ({ ...each, block: each.block - stage.first }))
    return tokenMap(inStage, stage.depth, stage.tokens)
  })
  return dead ? states.map((block) => block.map((state) => (state === 'idle' ? 'gone' : state))) : states
}

/** Rows `[n, C]` without those that are all zero. */
function withoutZeroRows(rows: Float32Array, width: number): Float32Array {
  const kept: number[] = []
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width)
    if (row.some((value) => value !== 0)) kept.push(...row)
  }
  return Float32Array.from(kept)
}

/** Where to look at attention: whole maps of all rows, and what tokens receive within windows, by block. */
interface Looks {
  readonly maps: readonly number[]
  readonly windows: readonly number[]
}

/**
 * The model's graph with the image rows that leave every block, `rows.{block}`; of some blocks the map among the rows that
 * enter, `map.{block}` `[B, n, n]`, and what they are ranked by, `scores.{block}`; of others what rows receive within their
 * windows, `received.{block}` `[B, N]`.
 */
function tracedGraph({ forward }: Pick<Prepared, 'forward'>, looks: Looks = { maps: [], windows: [] }) {
  const { graph, model } = forward()
  for (const [l, { step }] of model.blocks.entries()) output(`rows.${l}`, putBack(step.rows).x) // [B, n, C]
  for (const l of looks.maps) {
    const { block, before, step } = model.blocks[l] as BlockRecord
    output(`map.${l}`, reduceMean(attentionMap(block, before.x), [1])) // [B, n, n]
    if (step.scores) output(`scores.${l}`, step.scores) // [B, m]
  }
  for (const l of looks.windows) {
    const { block, before } = model.blocks[l] as BlockRecord
    output(`received.${l}`, receivedAttention(block, before.x)) // [B, N]
  }
  return graph
}

type Outputs = Readonly<Record<string, Values>>

const floats = (outputs: Outputs, name: string): Float32Array => outputs[name]?.data as Float32Array
