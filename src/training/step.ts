/**
 * A training step as one graph: forward pass, losses and the gradients of every trained parameter.
 *
 * Weights are inputs, read in place from the optimizer's array, and gradients are written into one: nothing is copied,
 * and several steps, for other keep ratios say, can share both.
 */

import { gradients } from '../graph/gradients.js'
import { createGraph, type Graph, input, output, type Tensor } from '../graph/graph.js'
import { mul } from '../graph/ops/elementwise.js'
import { reshape, slice } from '../graph/ops/shape.js'
import { type CutOptions, visits } from '../losses/cut.js'
import { defaultWeights, type LossPart, type LossWeights, totalLoss } from '../losses/total.js'
import { methodBuild } from '../models/build.js'
import type { VitConfig } from '../models/config.js'
import { vit } from '../models/vit.js'
import type { Block } from '../reduction/block.js'
import { type MethodChoice, openMethod } from '../reduction/registry.js'
import { KEEP_INPUT } from '../reduction/schedule.js'
import { createSession } from '../runtime/node.js'
import type { SessionOptions, Values } from '../runtime/session.js'
import type { StateDict } from '../weights/state.js'
import { type Parameters, stateOf, viewsOf } from './parameters.js'

/** A method and its options, and how it learns. */
export interface StepPlan extends MethodChoice {
  readonly config: VitConfig
  /**
   * Image tokens that each block computes, as the method counts them; a block that keeps all is dense. `fed` blocks
   * idle as many as the batch says when it runs (elastic finetuning).
   */
  readonly keep: readonly (number | 'fed')[]
  /** `masked` is the paper's form; `gathered` (default) gives the same loss and gradients for less work. */
  readonly form?: 'gathered' | 'masked'
  /** Coefficients of the loss; default 1, 5, 500, 20. */
  readonly weights?: LossWeights
  readonly cut?: CutOptions
  /** Whether batches bring the teacher's logits and features. Default true. */
  readonly teacher?: boolean
  /** Features to distil: of the class token (official code) or of all tokens. */
  readonly featureRows?: 'class' | 'all'
  /** Batches bring factors for the residual branches (stochastic depth, arXiv 1603.09382). Default false. */
  readonly dropPath?: boolean
  /** Compute every block's inside again in the backward pass instead of keeping it: less memory, a third more work. */
  readonly recompute?: boolean
}

/** What a step learns from. B pictures. */
export interface Batch {
  /** `[B, 3, S, S]`, normalised. */
  readonly pixels: Values
  /** `[B, classes]`: soft targets. */
  readonly targets: Values
  /** The teacher's logits `[B, classes]` and rows after its final LayerNorm `[B, 1 or N, C]`: what the loss weighs. */
  readonly teacher?: { readonly logits?: Values; readonly features?: Values }
  /** Image tokens to keep in each block; read by `fed` blocks. */
  readonly keep?: readonly number[]
  /** `[depth, 2, B]`: 0 where the attention or MLP branch is dropped, 1 / (1 - rate) where it stays. */
  readonly dropPath?: Values
}

export interface StepResult {
  /** The weighted sum of the parts. */
  readonly loss: number
  /** The parts before their coefficients. */
  readonly parts: Readonly<Partial<Record<LossPart, number>>>
  /** `[B, classes]` */
  readonly logits: Values
}

export interface TrainingStep {
  /** Runs forward and backward; writes the gradients. The thread is busy until it is done. */
  run(batch: Batch): Promise<StepResult>
  close(): Promise<void>
}

/** The graph of a step and the names of its loss parts. */
export interface StepGraph {
  readonly graph: Graph
  readonly parts: readonly LossPart[]
}

/** Outputs are `loss`, `loss.{part}`, `logits` and `gradient.{name}`. */
export function buildStep(plan: StepPlan, parameters: Parameters): StepGraph {
  const { config, teacher = true, featureRows = 'class', weights = defaultWeights } = plan
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, config.imageSize, config.imageSize])
  const tensors = new Map<string, Tensor>()
  for (const [name, { shape }] of stateOf(parameters)) tensors.set(name, input(graph, name, shape))
  const weight = (name: string) => tensors.get(name) ?? missing(name)
  const allTokens = featureRows === 'all'
  const cuts = weights.cut !== 0
  const form = openMethod(methodBuild(graph, weight, config), {
    ...plan,
    ...(cuts && { traces: (i: number) => visits(i, plan.cut ?? {}) }),
  })
  const factors = plan.dropPath ? input(graph, 'drop_path', [config.depth, 2, 'batch']) : undefined
  const student = vit(weight, pixels, config, {
    form,
    allTokens,
    ...(factors && { wrap: (block: Block) => withDropPath(block, factors) }),
  })
  const features = allTokens ? student.features : slice(student.features, 1, 0, 1) // [B, N or 1, C]
  const { total, parts } = totalLoss(
    {
      logits: student.logits,
      features,
      blocks: student.blocks,
      targets: input(graph, 'targets', ['batch', config.classes]),
      teacher: teacher
        ? {
            ...(weights.distillation !== 0 && { logits: input(graph, 'teacher_logits', ['batch', config.classes]) }),
            ...(weights.feature !== 0 && { features: input(graph, 'teacher_features', features.shape) }),
          }
        : undefined,
    },
    weights,
    plan.cut,
  )
  const trained = parameters.trained.map(({ name }) => weight(name))
  const recompute = (scope: string) => /^blocks\.\d+/.exec(scope)?.[0]
  output('loss', total)
  for (const [part, value] of Object.entries(parts)) output(`loss.${part}`, value)
  output('logits', student.logits)
  for (const [i, gradient] of gradients(total, trained, plan.recompute ? { recompute } : {}).entries())
    output(`gradient.${trained[i]?.name}`, gradient)
  return { graph, parts: Object.keys(parts) as LossPart[] }
}

function missing(name: string): never {
  throw new Error(`no parameter ${name}`)
}

/** A block whose residual branches are scaled picture by picture. */
function withDropPath(block: Block, factors: Tensor): Block {
  const ofBlock = slice(factors, 0, block.index, block.index + 1) // [1, 2, B]
  const factor = (branch: number) => reshape(slice(ofBlock, 1, branch, branch + 1), ['batch', 1, 1]) // [B, 1, 1]
  return {
    ...block,
    project: (o) => mul(block.project(o), factor(0)),
    feedForward: (x) => mul(block.feedForward(x), factor(1)),
  }
}

/** Float tensors as values of a session, under their names behind a prefix. */
const named = (prefix: string, state: StateDict): Record<string, Values> =>
  Object.fromEntries(
    [...state].map(([name, { data, shape }]) => [prefix + name, { data: data as Float32Array, shape }]),
  )

/**
 * Opens a step over `parameters`.
 *
 * @param into - where gradients go, laid out like `parameters.values`
 */
export async function createStep(
  plan: StepPlan,
  parameters: Parameters,
  into: Float32Array,
  options: SessionOptions = {},
): Promise<TrainingStep> {
  const { graph, parts } = buildStep(plan, parameters)
  const session = await createSession(graph, options)
  const parametersByName = named('', stateOf(parameters))
  const written = named('gradient.', viewsOf(parameters, into))
  const { config, weights = defaultWeights } = plan
  return {
    async run({ pixels, targets, teacher, keep, dropPath }) {
      const feeds: Record<string, Values> = {
        ...parametersByName,
        pixel_values: pixels,
        targets,
        ...(teacher?.logits && weights.distillation !== 0 && { teacher_logits: teacher.logits }),
        ...(teacher?.features && weights.feature !== 0 && { teacher_features: teacher.features }),
        ...(keep && { [KEEP_INPUT]: { data: BigInt64Array.from(keep, BigInt), shape: [keep.length] } }),
        ...(dropPath && { drop_path: dropPath }),
      }
      const batch = pixels.shape[0] as number
      const scalarValue = (): Values => ({ data: new Float32Array(1), shape: [] })
      const fetches: Record<string, Values> = {
        loss: scalarValue(),
        logits: { data: new Float32Array(batch * config.classes), shape: [batch, config.classes] },
        ...Object.fromEntries(parts.map((part) => [`loss.${part}`, scalarValue()])),
        ...written,
      }
      await session.run(feeds, fetches)
      const read = (name: string) => Number(fetches[name]?.data[0])
      return {
        loss: read('loss'),
        parts: Object.fromEntries(parts.map((part) => [part, read(`loss.${part}`)])),
        logits: fetches.logits as Values,
      }
    },
    close: () => session.close(),
  }
}
