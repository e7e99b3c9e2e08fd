/** Accuracy of a classifier on labelled pictures. */

import type { Dataset } from '../data/dataset.js'
import { countByReason, type LeftOut } from '../data/left-out.js'
import { type LoaderOptions, loadBatches } from '../data/loader.js'
import { fail } from '../errors.js'
import type { Bindings } from '../graph/dims.js'
import { methodText } from '../models/cascade.js'
import { macsOfPicture, modelCost } from '../models/cost.js'
import { type Classifier, callsAhead, checkHead, type ForwardResult, topIndices } from '../runtime/classifier.js'
import { checkMemory } from '../runtime/free-memory.js'

export interface EvaluationOptions extends Pick<LoaderOptions, 'preprocess' | 'workers' | 'decoders'> {
  /** Pictures per run; default 16. */
  readonly batch?: number
  /** Only the first pictures. */
  readonly limit?: number
  readonly onProgress?: (sofar: Pick<EvaluationReport, 'images' | 'top1'>) => void
  readonly onSkip?: (skipped: Skipped) => void
}

/** A picture that could not be read. */
export interface Skipped extends LeftOut {
  /** What the data set calls it. */
  readonly name: string
}

/** Picture `index` of a data set as one that could not be read. */
export function skippedPicture(dataset: Dataset, index: number, reason: string): Skipped {
  const source = dataset.source(index)
  const name = dataset.samples[index]?.name ?? String(index)
  return { name, path: source.kind === 'file' ? source.path : name, reason }
}

export interface EvaluationReport {
  /** Pictures that were classified. */
  readonly images: number
  /** Pictures that could not be read. */
  readonly skipped: readonly Skipped[]
  /** What lies among the pictures of the data set and is not used; of all of it, whatever the limit. */
  readonly leftOut: readonly LeftOut[]
  /** Pictures that the data set holds: more than `images` and `skipped` where there is a limit. */
  readonly available: number
  /** What is odd about the data set. */
  readonly warnings: readonly string[]
  /** Pictures whose label came first, and among the first five. */
  readonly top1: number
  readonly top5: number
  readonly top1Percent: number
  readonly top5Percent: number
  /** Mean cross entropy of the labels. */
  readonly loss: number
  /** 10⁹ multiply-adds for one picture; the mean where pictures decide. */
  readonly gmacs: number
  /** Decoding included, loading of the model not. */
  readonly imagesPerSecond: number
  readonly model: string
  readonly method: string
  /** By block. */
  readonly keepRatios: readonly number[]
  /** Of a cascade by net, or by step: pictures that it answered, and the confidence from which it does. */
  readonly exits?: readonly number[]
  readonly thresholds?: readonly number[]
  /** By step, then by block: image tokens. */
  readonly steps?: readonly (readonly number[])[]
}

const DEFAULT_BATCH = 16

/**
 * Classifies every picture of a data set while worker threads decode the next ones.
 *
 * @throws InputError when no picture can be read
 */
export async function evaluateClassifier(
  classifier: Classifier,
  dataset: Dataset,
  options: EvaluationOptions,
): Promise<EvaluationReport> {
  const { preprocess, batch = DEFAULT_BATCH, onProgress, onSkip } = options
  const limit = Math.min(options.limit ?? Infinity, dataset.samples.length)
  const { workers, decoders } = options
  const { model } = classifier
  checkHead(model)
  checkMemory([classifier], Math.min(batch, limit))
  const skipped: Skipped[] = []
  let images = 0
  let top1 = 0
  let top5 = 0
  let loss = 0
  const start = performance.now()
  const ahead = callsAhead(classifier)
  const batches = loadBatches(dataset, {
    batch,
    preprocess,
    held: ahead,
    order: Array.from({ length: limit }, (_, i) => i),
    ...(workers !== undefined && { workers }),
    ...(decoders !== undefined && { decoders }),
    onSkip(_, reason, index) {
      const picture = skippedPicture(dataset, index, reason)
      skipped.push(picture)
      onSkip?.(picture)
    },
  })
  const decided: Bindings[] = []
  const answered = new Array<number>(classifier.stages ?? 1).fill(0)
  const count = ({ logits, classes, sizes = [], exits = [] }: ForwardResult, labels: Int32Array) => {
    decided.push(...sizes)
    for (const exit of exits) answered[exit] = (answered[exit] as number) + 1
    for (const [b, label] of labels.entries()) {
      const row = logits.subarray(b * classes, (b + 1) * classes)
      const best = topIndices(row, 5)
      if (best[0] === label) top1++
      if (best.includes(label)) top5++
      loss -= logProbability(row, label)
    }
    images += labels.length
    onProgress?.({ images, top1 })
  }
  const underWay: Promise<void>[] = []
  for await (const { pixels, labels } of batches) {
    underWay.push(classifier.forward(pixels).then((result) => count(result, labels)))
    if (underWay.length > ahead) await underWay.shift()
  }
  await Promise.all(underWay)
  const seconds = (performance.now() - start) / 1000
  if (images === 0) fail(`${dataset.name}: no picture could be read: ${countByReason(skipped).join('; ')}`)
  return {
    images,
    skipped,
    leftOut: dataset.leftOut ?? [],
    available: dataset.samples.length,
    warnings: dataset.warnings ?? [],
    top1,
    top5,
    top1Percent: (100 * top1) / images,
    top5Percent: (100 * top5) / images,
    loss: loss / images,
    gmacs: meanMacs(classifier, decided) / 1e9,
    imagesPerSecond: images / seconds,
    model: model.name,
    method: methodText(model.config, classifier.plan.method),
    keepRatios: classifier.keepRatios,
    ...(classifier.stages && { exits: answered }),
    ...(classifier.plan.steps && { steps: classifier.plan.steps }),
    ...(model.thresholds && { thresholds: model.thresholds }),
  }
}

/** MACs of a picture, by the sizes that pictures decided where they do. */
function meanMacs({ model, plan }: Classifier, decided: readonly Bindings[]): number {
  if (decided.length === 0) return modelCost(model.config, plan).macs
  const macs = macsOfPicture(model.config, plan)
  return decided.reduce((sum, sizes) => sum + macs(sizes), 0) / decided.length
}

/** log softmax(z)_label */
function logProbability(logits: Float32Array, label: number): number {
  const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const sum = logits.reduce((s, z) => s + Math.exp(z - max), 0)
  return (logits[label] ?? Number.NaN) - max - Math.log(sum)
}
