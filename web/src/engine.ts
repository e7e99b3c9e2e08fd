/** What computes: the model that is open, its sessions, and the picture they look at. */

import {
  type BuiltModel,
  type Classifier,
  createSession,
  type ForwardResult,
  type Inspector,
  type Method,
  type ModelCost,
  methodNames,
  modelCost,
  normalise,
  openInspector,
  openWebClassifier,
  planKeep,
  resizeCrop,
  tokenMap,
  topPredictions,
} from 'idlevit'
import type { Answer, ModelInfo } from './messages.js'
import { readModel } from './models.js'
import type { Handlers } from './rpc.js'

const TOP = 5
/** Turns of a measurement while somebody may move the slider, and how long they may take together in milliseconds. */
const TURNS = 9
const PATIENCE = 400
const BENCH = { least: 3, most: 30, milliseconds: 1200 } as const

/** A model and the sessions that every picture goes through. */
interface Opened {
  readonly model: BuiltModel
  /** One session for every keep ratio, and nothing but the logits. */
  readonly elastic: Classifier
  /** Opened when it is first wanted, as is the next: the first answer does not wait for them. */
  dense(): Promise<Classifier>
  /** The session for every keep ratio with what every block did. */
  traced(): Promise<Classifier>
  inspector(keepRatio: number): Promise<Inspector>
  cost(keepRatio: number, method?: Method): ModelCost
  close(): Promise<void>
}

export function engine(): Handlers {
  let opened: Opened | undefined
  let pixels: Float32Array | undefined // [3, S, S]

  const current = (): Opened => opened ?? wanting('a model')
  const seen = (): Float32Array => pixels ?? wanting('a picture')

  return {
    async load({ emit, signal }, source) {
      const model = await readModel(source, emit, signal)
      emit({ text: 'Getting ready …' })
      const next = await open(model)
      await opened?.close() // only now: a model that does not open leaves the page as it is
      opened = next
      pixels = undefined
      return infoOf(next)
    },

    async picture(_context, image) {
      const { preprocess } = current().model
      const rgb = resizeCrop(image, preprocess.resize, preprocess.crop, preprocess) // [S, S, 3]
      pixels = normalise(rgb, preprocess)
      return rgb
    },

    async dense() {
      const { dense, cost } = current()
      return { ...(await answerOf(await dense(), seen())), macs: cost(1, 'none').macs }
    },

    async answer({ emit }, keepRatio) {
      const { elastic, traced, cost, model } = current()
      emit(await answerOf(elastic, seen(), keepRatio))
      const result = await (await traced()).forward(seen(), { keepRatio })
      return { ...tokensOf(model, result), macs: cost(keepRatio).macs }
    },

    async time(_context, keepRatio) {
      const { elastic } = current()
      const dense = await current().dense()
      const times = { idled: [] as number[], dense: [] as number[] }
      const start = performance.now()
      for (let turn = 0; turn < TURNS && (turn === 0 || performance.now() - start < PATIENCE); turn++) {
        times.idled.push((await timed(() => elastic.forward(seen(), { keepRatio }))).milliseconds)
        times.dense.push((await timed(() => dense.forward(seen()))).milliseconds)
      }
      return { idled: median(times.idled), dense: median(times.dense), turns: times.dense.length }
    },

    async inspect(_context, keepRatio) {
      return (await current().inspector(keepRatio)).inspect(seen())
    },

    async compare(_context, name, keepRatio) {
      const { model } = current()
      const traced = await openWebClassifier(model, { ...planOf(name as Method, keepRatio, model), trace: true })
      try {
        const result = await traced.forward(seen())
        const { macs, varies } = modelCost(model.config, { ...traced.plan, trace: false, blocks: false, sizes: false })
        return { top: topPredictions(result.logits, TOP, model.labels), macs, varies, ...tokensOf(model, result) }
      } finally {
        await traced.close()
      }
    },

    async bench({ signal }, { keepRatio, precision, device }) {
      const { model, cost } = current()
      const method: Method = keepRatio === 1 ? 'none' : 'idle'
      const classifier = await openWebClassifier(model, { ...planOf(method, keepRatio, model), precision, device })
      try {
        await classifier.forward(seen()) // sets up
        const times: number[] = []
        const start = performance.now()
        while (
          times.length < BENCH.least ||
          (times.length < BENCH.most && performance.now() - start < BENCH.milliseconds)
        ) {
          signal.throwIfAborted()
          times.push((await timed(() => classifier.forward(seen()))).milliseconds)
        }
        const { macs } = cost(keepRatio, method)
        return { milliseconds: median(times), runs: times.length, macs, warnings: classifier.warnings }
      } finally {
        await classifier.close()
      }
    },
  }
}

const wanting = (what: string): never => {
  throw new Error(`there is no ${what.replace(/^an? /, '')} yet`)
}

/** What is asked of a method at a keep ratio; idling ranks tokens as the model's files say. */
function planOf(method: Method, keepRatio: number, { idle }: BuiltModel) {
  if (method === 'none') return { method }
  return { method, keepRatio, ...(method === 'idle' && idle?.score && { score: idle.score }) }
}

async function open(model: BuiltModel): Promise<Opened> {
  const score = model.idle?.score ?? 'softmax'
  const elastic = await openWebClassifier(model, { elastic: true, score })
  let dense: Promise<Classifier> | undefined
  let traced: Promise<Classifier> | undefined
  let inspected: { readonly keepRatio: number; readonly inspector: Inspector } | undefined
  const costs = new Map<string, ModelCost>()
  return {
    model,
    elastic,
    dense() {
      dense ??= openWebClassifier(model, { method: 'none' })
      return dense
    },
    traced() {
      traced ??= openWebClassifier(model, { elastic: true, score, trace: true })
      return traced
    },
    async inspector(keepRatio) {
      if (inspected?.keepRatio === keepRatio) return inspected.inspector
      await inspected?.inspector.close()
      inspected = undefined
      const inspector = await openInspector(model, { keepRatio, score }, createSession)
      inspected = { keepRatio, inspector }
      return inspector
    },
    cost(keepRatio, method = 'idle') {
      const key = `${method} ${keepRatio}`
      const { depth, imageSize, patchSize } = model.config
      const { keep } = planKeep(method === 'none' ? {} : { keepRatio }, depth, (imageSize / patchSize) ** 2)
      const cost = costs.get(key) ?? modelCost(model.config, { method, keep, score })
      costs.set(key, cost)
      return cost
    },
    async close() {
      const all = [elastic, await dense, await traced, inspected?.inspector]
      for (const each of all) await each?.close()
    },
  }
}

function infoOf({ model, elastic }: Opened): ModelInfo {
  const { config, idle } = model
  const [keepRatio] = idle?.keepRatios?.filter((ratio) => ratio < 1) ?? []
  return {
    name: model.name,
    imageSize: config.imageSize,
    grid: config.imageSize / config.patchSize,
    depth: config.depth,
    params: [...model.state.values()].reduce((sum, { data }) => sum + (data as Float32Array).length, 0),
    ...(keepRatio !== undefined && { keepRatio }),
    warnings: [...model.warnings, ...elastic.warnings],
    methods: methodNames,
    runsOn: runsOn(),
  }
}

/** Where the model is computed. Threads need memory that is shared, which only isolated pages have. */
function runsOn(): string {
  if (!self.crossOriginIsolated)
    return 'WebAssembly on one thread: the page is not cross-origin isolated, reload it for more.'
  const cores = navigator.hardwareConcurrency
  return `WebAssembly on ${Math.max(1, Math.min(4, Math.ceil(cores / 2)))} of ${cores} threads.`
}

async function answerOf(classifier: Classifier, pixels: Float32Array, keepRatio?: number): Promise<Answer> {
  const { result, milliseconds } = await timed(() =>
    classifier.forward(pixels, keepRatio === undefined ? undefined : { keepRatio }),
  )
  return { top: topPredictions(result.logits, TOP, classifier.model.labels), milliseconds }
}

function tokensOf({ config }: BuiltModel, { selections }: ForwardResult) {
  const [chosen = []] = selections ?? []
  const tokens = (config.imageSize / config.patchSize) ** 2
  return {
    states: tokenMap(chosen, config.depth, tokens),
    scores: Array.from({ length: config.depth }, (_, l) => chosen.find(({ block }) => block === l)?.scores),
  }
}

async function timed<Result>(run: () => Promise<Result>): Promise<{ result: Result; milliseconds: number }> {
  const start = performance.now()
  const result = await run()
  return { result, milliseconds: performance.now() - start }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
