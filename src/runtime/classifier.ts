/** A model that answers questions about pictures: the same in Node and in the browser. */

import { fail } from '../errors.js'
import type { Bindings } from '../graph/dims.js'
import { peakMemory } from '../graph/memory.js'
import type { Precision } from '../graph/passes/precision.js'
import type { Preprocess } from '../images/preprocess.js'
import { shapeOf } from '../models/backbone.js'
import type { BuildOptions, WeightValues } from '../models/build.js'
import { refuseCascade } from '../models/cascade.js'
import { firstUnits, imageTokens, pictureSize, prefixTokens, type VitConfig } from '../models/config.js'
import { prepare } from '../models/prepare.js'
import type { StepCounts } from '../models/steps.js'
import {
  checkElastic,
  methodOf,
  planReduction,
  type ReductionPlan,
  type ReductionRequest,
} from '../reduction/registry.js'
import { KEEP_INPUT, type KeepRequest, keptSymbol } from '../reduction/schedule.js'
import { computesHalf } from './half.js'
import { cachedPictures, inMicroBatches } from './microbatch.js'
import { readsPooled } from './pool.js'
import type { OpenSession, SessionOptions, Values } from './session.js'

/** A model's sizes and weights, and what else is known about it. */
export interface Model {
  readonly name: string
  readonly config: VitConfig
  readonly state: WeightValues
  readonly labels?: readonly string[]
  /** How its pictures were made in training. */
  readonly preprocess?: Preprocess
  /** Of a cascade: the confidence from which a net answers, for every net but the last. */
  readonly thresholds?: readonly number[]
}

/** A token reduction (default `idle`, all tokens kept) with its method's options, and how it runs. */
export interface ClassifierOptions extends ReductionRequest, SessionOptions {
  /**
   * Numbers of the linear layers; default `fp32`. `int8` computes them in 8-bit integers; `fp16` computes everything in
   * float16 on a GPU and keeps only the weights in it on a CPU.
   */
  readonly precision?: Precision
  /** One session for every keep ratio: `forward` takes the plan; the options' own is its default. */
  readonly elastic?: boolean
  /** Pictures per run of the session; larger batches run in pieces. Default: what a CPU's caches hold; all on a GPU. */
  readonly microBatch?: number
  /** Also give the tokens selected in every block, their scores, and the rows after every block. */
  readonly trace?: boolean
  /** Also give the token features after the last block in raster order. */
  readonly features?: boolean
  /**
   * Of a cascade, or in steps: the confidence (largest probability) from which a net or a step answers, for each but the
   * last. Default: the model's; where there are none every picture goes through all of them.
   */
  readonly thresholds?: readonly number[]
  /**
   * Answer in steps: every picture with the first step's tokens, one that is not answered with enough confidence
   * (`thresholds`) again with the next step's. Every step is computed by the same elastic graph.
   */
  readonly steps?: readonly KeepRequest[]
}

export interface Prediction {
  readonly index: number
  readonly label: string
  /** Probability, 0 to 1. */
  readonly score: number
}

/** What one block did with the tokens of one picture. */
export interface BlockSelection {
  readonly block: number
  /** Image tokens that were computed, ascending, counted in raster order from 0. */
  readonly selected: Int32Array
  /** Score of every image token, where the block ranked them; 0 for those that were gone. */
  readonly scores?: Float32Array
  /** The row that carries every image token after the block, -1 where it is gone; absent: each has its own. */
  readonly home?: Int32Array
}

export interface ForwardResult {
  /** `[B, classes]`; empty for a model without a head. */
  readonly logits: Float32Array
  /**
   * What a head would read `[B, C]`: of a model without one; and with `features` of one whose head reads what is pooled from
   * its rows.
   */
  readonly pooled?: Float32Array
  readonly classes: number
  /** By picture, then by block that chose among its tokens; with `trace`. */
  readonly selections?: readonly (readonly BlockSelection[])[]
  /**
   * Rows after every block `[B, N, C]`: prefix rows, then the row that carries each image token in raster order, zeros
   * where it is gone; with `trace`.
   */
  readonly blocks?: readonly Float32Array[]
  /** By picture, where each decides how many tokens are computed: the sizes in the graph that it decided. */
  readonly sizes?: readonly Bindings[]
  /** By picture, of a cascade: the net that answered, from 0; in steps, the step. */
  readonly exits?: readonly number[]
  /** By net of a cascade or by step, then by picture: the confidence, NaN where it was not asked. */
  readonly confidences?: readonly Float64Array[]
  /** Rows after the final LayerNorm `[B, N, C]`; with `features`. */
  readonly features?: Float32Array
}

export interface Classifier {
  readonly model: Model
  /**
   * How its graph was built: the method, its options and the image tokens every block computes; where it answers in steps,
   * those of the last one, and of each in `steps`.
   */
  readonly plan: BuildOptions & ReductionPlan & StepCounts
  readonly keepRatios: readonly number[]
  readonly warnings: readonly string[]
  /** Sessions side by side: above 1, a call of `forward` is best followed by the next before its answer comes. */
  readonly lanes: number
  /** Nets of a cascade, or steps, of which each picture is answered by one; absent: there is one alone. */
  readonly stages?: number
  /**
   * Runs normalised pictures through the model.
   *
   * @param pixels - `[B, 3, S, S]`, B = its length / (3·S·S)
   * @param keep - tokens to keep in this run, of an elastic classifier
   * @throws Error when the length is not a whole number of pictures
   * @throws InputError when the model is not elastic, or the first stage is asked to idle
   */
  forward(pixels: Float32Array, keep?: KeepRequest): Promise<ForwardResult>
  /** About how many bytes a run of `batch` pictures takes, weights left out. */
  memory(batch: number): number
  /** The best `top` labels of every picture. */
  predict(pixels: Float32Array, top?: number): Promise<Prediction[][]>
  close(): Promise<void>
}

/**
 * Builds the model's graph under the plan that the options ask for and opens it.
 *
 * @throws InputError on keep ratios out of range
 */
export async function openClassifier(
  model: Model,
  options: ClassifierOptions,
  openSession: OpenSession,
): Promise<Classifier> {
  const { config } = model
  refuseCascade(model.name, config, 'wanted a single net')
  if (options.thresholds)
    fail(
      `thresholds: wanted a cascade of nets (DVT) or a plan in steps, found ${model.name}, a single net without steps`,
    )
  const { trace = false, features = false, elastic = false } = options
  const tokens = imageTokens(config)
  const shape = shapeOf(config)
  const { plan, build, ...prepared } = prepare(model, options, {
    trace,
    blocks: trace,
    features,
    sizes: true,
    elastic,
    ...(features && readsPooled(config) && { pooled: true }),
  })
  const { precision = 'fp32', device = 'cpu' } = options
  const onHalf = precision === 'fp16' && device !== 'cpu'
  const half = onHalf && (await computesHalf(openSession, options))
  const narrow = onHalf && !half ? [`${device} computes no float16 here: weights are stored in it, and widened`] : []
  const graph = prepared.graph({ ...options, computesHalf: half })
  const alone = methodOf(plan.method).onePicture?.(plan) ?? false
  const microBatch = alone ? 1 : (options.microBatch ?? defaultMicroBatch(config, options))
  const opened = await openSession(graph, { ...options, rewrite: needsRewriting(options) })
  const session = inMicroBatches(opened, microBatch, [KEEP_INPUT])
  const [height, width] = pictureSize(config)
  const pictureLength = 3 * height * width

  /** The input that tells an elastic graph its plan. */
  function keepInput(request: KeepRequest | undefined): Record<string, Values> {
    if (!elastic) return request ? fail('keep: this classifier was opened with a fixed plan; open it with elastic') : {}
    const asked = request ? { ...plan, ...planReduction({ method: plan.method, ...request }, shape) } : plan
    checkElastic(asked, shape)
    return { [KEEP_INPUT]: { data: BigInt64Array.from(asked.keep, BigInt), shape: [config.depth] } }
  }

  async function forward(pixels: Float32Array, request?: KeepRequest): Promise<ForwardResult> {
    const batch = pixels.length / pictureLength
    if (!Number.isInteger(batch) || batch === 0)
      throw new Error(
        `pixels: wanted a multiple of 3·${height}·${width} = ${pictureLength} values, found ${pixels.length}`,
      )
    const outputs = await session.run({
      pixel_values: { data: pixels, shape: [batch, 3, height, width] },
      ...keepInput(request),
    })
    const floats = (name: string) => outputs[name]?.data as Float32Array
    return {
      logits: floats('logits') ?? new Float32Array(0),
      ...(outputs.pooled && { pooled: floats('pooled') }),
      classes: config.classes,
      ...sizesOf(outputs, batch),
      ...(features && { features: floats('features') }),
      ...(trace && {
        blocks: Array.from({ length: config.depth }, (_, l) => floats(`block.${l}`)),
        selections: Array.from({ length: batch }, (_, b) => selectionsOf(outputs, config, b, batch)),
      }),
    }
  }

  return {
    model,
    plan: { ...build, elastic: false }, // what one plan costs, of however many the graph serves
    keepRatios: plan.ratios,
    warnings: [...plan.warnings, ...narrow],
    lanes: session.lanes ?? 1,
    forward,
    memory(batch) {
      const kept = Object.fromEntries(plan.keep.map((_, l) => [keptSymbol(l), tokens])) // the most there can be
      const everyToken = { ...kept, ...methodOf(plan.method).most?.(plan, shape) }
      const [one, two] = [1, 2].map((pictures) => peakMemory(graph, { ...everyToken, batch: pictures })) as [
        number,
        number,
      ]
      return one + (Math.min(batch, microBatch) - 1) * (two - one)
    },
    async predict(pixels, top = 5) {
      checkHead(model)
      const { logits, classes } = await forward(pixels)
      return predictionsOf(logits, classes, top, model.labels)
    },
    close: () => session.close(),
  }
}

/**
 * Calls of `forward` that are best under way before the answer of one: lanes must not wait for each other at the end of a
 * batch, and what goes on to a later stage waits for others to fill its run.
 */
export const callsAhead = ({ lanes, stages = 1 }: Pick<Classifier, 'lanes' | 'stages'>): number =>
  stages > 1 ? stages : lanes > 1 ? 1 : 0

/**
 * Refuses a model that answers no question.
 *
 * @throws InputError when it has no head
 */
export function checkHead({ name, config }: Pick<Model, 'name' | 'config'>): void {
  if (config.classes === 0)
    fail(`${name}: has no classification head, only features; finetune gives it one (--head new)`)
}

/** Whether the runtime still finds something in a lowered graph: float16 weights to widen once, what a GPU likes. */
export const needsRewriting = ({ device = 'cpu', precision = 'fp32' }: ClassifierOptions): boolean =>
  device !== 'cpu' || precision === 'fp16'

/** Pictures per run unless the caller says otherwise. */
export function defaultMicroBatch(config: VitConfig, { device = 'cpu' }: SessionOptions): number {
  return device === 'cpu' ? cachedPictures(prefixTokens(config) + imageTokens(config), firstUnits(config)) : Infinity
}

/** What every picture decided, by the symbol that stands for it in the graph's shapes. */
function sizesOf(outputs: Readonly<Record<string, Values>>, batch: number): Pick<ForwardResult, 'sizes'> {
  const symbols = Object.entries(outputs).flatMap(([name, { data }]) =>
    name.startsWith('size.') ? [[name.slice('size.'.length), data] as const] : [],
  )
  if (symbols.length === 0) return {}
  const sizes = Array.from({ length: batch }, (_, b) =>
    Object.fromEntries(symbols.map(([symbol, data]) => [symbol, Number(data[b])])),
  )
  return { sizes }
}

/** What every block that chose did with the tokens of one picture, from the outputs of a traced graph. */
export function selectionsOf(
  outputs: Readonly<Record<string, Values>>,
  config: VitConfig,
  picture: number,
  batch: number,
): BlockSelection[] {
  return Array.from({ length: config.depth }, (_, block) => block).flatMap((block) => {
    const row = <T extends BigInt64Array | Float32Array>(name: string) => {
      const data = outputs[`${name}.${block}`]?.data as T | undefined
      return data?.subarray((picture * data.length) / batch, ((picture + 1) * data.length) / batch) as T | undefined
    }
    const computed = row<Float32Array>('computed')
    const home = row<BigInt64Array>('home')
    const scores = row<Float32Array>('score')
    if (!computed && !home) return []
    const isComputed = (token: number) => (computed ? computed[token] === 1 : Number(home?.[token]) >= 0)
    const every = Int32Array.from({ length: (computed ?? home ?? []).length }, (_, token) => token)
    return [
      {
        block,
        selected: every.filter(isComputed),
        ...(scores && { scores }),
        ...(home && { home: Int32Array.from(home, Number) }),
      },
    ]
  })
}

/** {@link topPredictions} of every row of logits `[B, classes]`. */
export const predictionsOf = (
  logits: Float32Array,
  classes: number,
  top: number,
  labels?: readonly string[],
): Prediction[][] =>
  Array.from({ length: logits.length / classes }, (_, b) =>
    topPredictions(logits.subarray(b * classes, (b + 1) * classes), top, labels),
  )

/** Softmax of one row of logits, its best `top` entries first; equal scores in index order. */
export function topPredictions(logits: Float32Array, top: number, labels?: readonly string[]): Prediction[] {
  const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const exps = Float64Array.from(logits, (z) => Math.exp(z - max))
  const sum = exps.reduce((a, b) => a + b, 0)
  return topIndices(logits, top).map((index) => ({
    index,
    label: labels?.[index] ?? `class ${index}`,
    score: (exps[index] as number) / sum,
  }))
}

/** Indices of the largest `top` values, descending; of equal values the lower index first. */
export function topIndices(values: Float32Array, top: number): number[] {
  const best: number[] = []
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (best.length === top && !(value > (values[best[top - 1] as number] as number))) continue
    let at = best.length
    while (at > 0 && value > (values[best[at - 1] as number] as number)) at--
    best.splice(at, 0, i)
    if (best.length > top) best.pop()
  }
  return best
}

/** Rows before the image tokens in `blocks` and `features`. */
export const prefixRows = (model: Model): number => prefixTokens(model.config)
