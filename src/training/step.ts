/**
 * A training step as one graph: forward pass, losses and the gradients of every trained parameter.
 *
 * Weights are inputs, read in place from the optimizer's array, and gradients are written into one: nothing is copied,
 * and several steps, for other keep ratios say, can share both.
 */

import { fail } from '../errors.js'
import { gradients } from '../graph/gradients.js'
import { constant, createGraph, type Graph, input, output, type Tensor } from '../graph/graph.js'
import { expandBatch } from '../graph/ops/broadcast.js'
import { mul } from '../graph/ops/elementwise.js'
import { concat, reshape, slice } from '../graph/ops/shape.js'
import { keyedRandom } from '../keyed-random.js'
import { type LossWeights, totalLoss } from '../losses/total.js'
import { forward, shapeOf } from '../models/backbone.js'
import { methodBuild } from '../models/build.js'
import { pictureSize, type VitConfig } from '../models/config.js'
import { leadingRow, type VitOutput } from '../models/vit.js'
import type { Random } from '../random.js'
import type { Block } from '../reduction/block.js'
import type { FormName } from '../reduction/method.js'
import { type MethodChoice, methodOf, openMethod } from '../reduction/registry.js'
import { byToken, carriedTokens } from '../reduction/rows.js'
import { KEEP_INPUT } from '../reduction/schedule.js'
import { createSession } from '../runtime/node.js'
import type { SessionOptions, Values } from '../runtime/session.js'
import type { StateDict } from '../weights/state.js'
import { computeOwn, defaultWeights, learningForms, lossSettings, ownLossesWant } from './losses.js'
import { type Parameters, stateOf, viewsOf } from './parameters.js'
import type { FeatureRows } from './recipe.js'

/** A method and its options, and how it learns. */
export interface StepPlan extends MethodChoice {
  readonly config: VitConfig
  /**
   * Image tokens that each block computes, as the method counts them; a block that keeps all is dense. `fed` blocks
   * idle as many as the batch says when it runs (elastic finetuning).
   */
  readonly keep: readonly (number | 'fed')[]
  /** The shares of all tokens that `keep` rounds. */
  readonly ratios?: readonly number[]
  /**
   * One of the forms that the method learns in; default the first. Idling's `masked` is the paper's form, `gathered`
   * gives the same loss and gradients for less work.
   */
  readonly form?: FormName
  /** Coefficients of the loss; default 1, 5, 500 and those of the method's own losses. */
  readonly weights?: LossWeights
  /** Whether batches bring the teacher's logits and features. Default true. */
  readonly teacher?: boolean
  /**
   * Features to distil; default the class token's. A token whose row has merged into another one has that one's; one that
   * is gone has none, and costs nothing.
   */
  readonly featureRows?: FeatureRows
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
  /** The teacher's logits `[B, classes]` and rows after its final LayerNorm, `[B, 1 or N, C]` ({@link teacherRows}). */
  readonly teacher?: { readonly logits?: Values; readonly features?: Values }
  /** Image tokens to keep in each block; read by `fed` blocks. */
  readonly keep?: readonly number[]
  /** `[depth, 2, B]`: 0 where the attention or MLP branch is dropped, 1 / (1 - rate) where it stays. */
  readonly dropPath?: Values
  /** What noise is drawn by: the run's seed, the update and the batch of it. */
  readonly moment?: readonly [seed: number, step: number, micro: number]
  /** Other inputs of the graph, noise among them, as they are. */
  readonly inputs?: Readonly<Record<string, Values>>
}

export interface StepResult {
  /** The weighted sum of the parts. */
  readonly loss: number
  /** The parts before their coefficients. */
  readonly parts: Readonly<Record<string, number>>
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
  readonly parts: readonly string[]
  /** Inputs that are fed noise: one number of it, by input. */
  readonly noise: ReadonlyMap<Tensor, (random: Random) => number>
}

/** The teacher's rows that a step wants: of the class token, or of all tokens; none where it compares no features. */
export function teacherRows(plan: Pick<StepPlan, 'method' | 'weights' | 'featureRows'>): 'class' | 'all' | 'none' {
  const { method, weights = defaultWeights(method), featureRows = 'class' } = plan
  if (ownLossesWant('comparesRows', method, weights)) return 'all'
  if (weights.feature === 0) return 'none'
  return featureRows === 'class' ? 'class' : 'all'
}

/** Outputs are `loss`, `loss.{part}`, `logits` and `gradient.{name}`. */
export function buildStep(plan: StepPlan, parameters: Parameters): StepGraph {
  const { config, method, teacher = true, featureRows = 'class', weights = defaultWeights(method) } = plan
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, ...pictureSize(config)])
  const tensors = new Map<string, Tensor>()
  for (const [name, { shape }] of stateOf(parameters)) tensors.set(name, input(graph, name, shape))
  const weight = (name: string) => tensors.get(name) ?? missing(name)
  const rows = teacher ? teacherRows(plan) : 'none'
  const formed = { ...plan, form: plan.form ?? learningForms(method)[0] }
  const known = graph.inputs.length
  const form = openMethod(methodBuild(graph, weight, config), { ...formed, ...lossSettings(formed, weights) })
  const factors = plan.dropPath ? input(graph, 'drop_path', [config.depth, 2, 'batch']) : undefined
  const student = forward(weight, pixels, config, {
    form,
    allTokens: rows === 'all',
    ...(factors && { wrap: (block: Block) => withDropPath(block, factors) }),
  })
  const noise = new Map(
    graph.inputs.slice(known).flatMap((tensor) => {
      const draw = methodOf(method ?? 'idle').learning?.noise?.[tensor.name.split('.')[0] as string]
      return draw ? [[tensor, draw] as const] : []
    }),
  )
  const first = (x: Tensor) => slice(x, 1, 0, 1) // [B, 1, C]
  const features = rows === 'all' ? byToken({ ...student.rows, x: student.features }) : leadingRow(student, config)
  const targets = input(graph, 'targets', ['batch', config.classes])
  const teacherLogits =
    teacher && weights.distillation !== 0 ? input(graph, 'teacher_logits', ['batch', config.classes]) : undefined
  const fed = teacher && rows !== 'none' ? input(graph, 'teacher_features', features.shape) : undefined
  // What is gone is zeros, there as here.
  const carried = rows === 'all' ? carriedTokens(student.rows) : undefined // [B, N, 1]
  const teacherFeatures = fed && carried ? mul(fed, carried) : fed // [B, N or 1, C]
  const both = teacherFeatures && { student: features, teacher: teacherFeatures }
  const own = computeOwn(
    {
      shape: shapeOf(config),
      taught: teacher,
      steps: student.blocks.map(({ step }) => step),
      headLogits: student.headLogits,
      targets,
      ...(both && { rows: both }),
    },
    formed,
    weights,
  )
  if (rows === 'all' && featureRows === 'class' && config.classToken === false && weights.feature !== 0)
    fail(
      `${method}: reads all rows of its teacher, and of them distils the class token's features, found a model without one; --feature-weight 0 leaves them out`,
    )
  if (featureRows === 'selected' && shapeOf(config).stages)
    fail(
      '--feature-rows selected: wanted a model whose blocks all have the same tokens, found one of stages; class or all',
    )
  const computed = featureRows === 'selected' ? lastComputed(student) : undefined // [B, N, 1]
  const compared = (x: Tensor) => {
    if (computed) return mul(x, computed)
    return rows === 'all' && featureRows === 'class' ? first(x) : x
  }
  const { total, parts } = totalLoss(
    {
      logits: student.logits,
      features: compared(features),
      ...(featureRows === 'selected' && { featureAxis: 1 }),
      targets,
      teacher: {
        ...(teacherLogits && { logits: teacherLogits }),
        ...(teacherFeatures && { features: compared(teacherFeatures) }),
      },
    },
    weights,
    own,
  )
  const trained = parameters.trained.map(({ name }) => weight(name))
  const recompute = (scope: string) => /^blocks\.\d+/.exec(scope)?.[0]
  output('loss', total)
  for (const [part, value] of Object.entries(parts)) output(`loss.${part}`, value)
  output('logits', student.logits)
  for (const [i, gradient] of gradients(total, trained, plan.recompute ? { recompute } : {}).entries())
    output(`gradient.${trained[i]?.name}`, gradient)
  return { graph, parts: Object.keys(parts), noise }
}

/** 1 for the prefix rows and the tokens that the last block computed which chose any: `[B, N, 1]`; `undefined` for all. */
function lastComputed({ blocks, rows: { prefix } }: VitOutput): Tensor | undefined {
  const computed = blocks.findLast(({ step }) => step.computed)?.step.computed // [B, N0]
  if (!computed) return undefined
  const { graph } = computed
  const always = expandBatch(constant(graph, new Float32Array(prefix).fill(1), [1, prefix]), computed) // [B, P]
  const all = concat([always, computed], 1) // [B, N]
  return reshape(all, [...all.shape, 1])
}

/** Noise for an input: the same numbers for the same seed, update and batch of it. */
function drawNoise(
  { name, shape }: Tensor,
  draw: (random: Random) => number,
  batch: number,
  moment: NonNullable<Batch['moment']>,
): Values {
  const [seed, ...numbers] = moment
  const random = keyedRandom(seed, name, ...numbers)
  const sizes = shape.map((size) => (size === 'batch' ? batch : Number(size)))
  return { data: Float32Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, () => draw(random)), shape: sizes }
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
    feedForward: (x, within) => mul(block.feedForward(x, within), factor(1)),
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
  const { graph, parts, noise } = buildStep(plan, parameters)
  const session = await createSession(graph, options)
  const parametersByName = named('', stateOf(parameters))
  const written = named('gradient.', viewsOf(parameters, into))
  const { config } = plan
  const wants = new Set(graph.inputs.map(({ name }) => name))
  return {
    async run({ pixels, targets, teacher, keep, dropPath, moment = [0, 0, 0], inputs }) {
      const batch = pixels.shape[0] as number
      const feeds: Record<string, Values> = {
        ...parametersByName,
        pixel_values: pixels,
        targets,
        ...(teacher?.logits && wants.has('teacher_logits') && { teacher_logits: teacher.logits }),
        ...(teacher?.features && wants.has('teacher_features') && { teacher_features: teacher.features }),
        ...(keep && { [KEEP_INPUT]: { data: BigInt64Array.from(keep, BigInt), shape: [keep.length] } }),
        ...(dropPath && { drop_path: dropPath }),
        ...inputs,
      }
      for (const [tensor, draw] of noise) feeds[tensor.name] ??= drawNoise(tensor, draw, batch, moment)
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
