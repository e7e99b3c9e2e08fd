/**
 * What plans answer beside the dense model, picture by picture.
 *
 * The pictures are drawn once and parted in three: plans are sought on the first part, predictions are made from the
 * second, which had no say in the search, and the winner is measured on the third, which had a say in nothing.
 */

import { createHash } from 'node:crypto'
import type { Dataset } from '../data/dataset.js'
import type { Decoder } from '../data/decoder.js'
import { loadBatches } from '../data/loader.js'
import type { Preprocess } from '../images/preprocess.js'
import { createRandom, shuffle } from '../random.js'
import { type Classifier, callsAhead, type ForwardResult } from '../runtime/classifier.js'

/** The parts of the pictures, by what they are for. */
export const partNames = ['search', 'prediction', 'measurement'] as const

export type PartName = (typeof partNames)[number]

/** Pictures drawn from all over a data set, `count` at most, in the order of `seed`. */
export function drawn(dataset: Dataset, count: number, seed: number): Dataset {
  const order = shuffle([...dataset.samples.keys()], createRandom(seed)).slice(0, count)
  return {
    ...dataset,
    samples: order.map((index) => dataset.samples[index] as Dataset['samples'][number]),
    source: (i) => dataset.source(order[i] as number),
  }
}

/** Which pictures of so many belong to which part: a third each. */
export function partsOf(count: number): Record<PartName, readonly number[]> {
  const all = Array.from({ length: count }, (_, i) => i)
  const [first, second] = [Math.ceil(count / 3), Math.ceil((2 * count) / 3)]
  return { search: all.slice(0, first), prediction: all.slice(first, second), measurement: all.slice(second) }
}

/** Pictures of a part, decoded. B in every batch, fewer in the last. */
export interface Pictures {
  /** `[B, 3, S, S]` */
  readonly batches: readonly Float32Array[]
  /** Label of every picture, below 0 where it has none. */
  readonly labels: Int32Array
  /** Says which pictures they are, to the bit. */
  readonly hash: string
}

/** Decodes the pictures of a part. */
export async function readPart(
  dataset: Dataset,
  order: readonly number[],
  options: {
    readonly batch: number
    readonly preprocess: Preprocess
    readonly decoders: readonly Decoder[]
    readonly onSkip?: (name: string, reason: string, index: number) => void
    readonly onPictures?: (count: number) => void
  },
): Promise<Pictures> {
  const { onPictures, ...how } = options
  const batches: Float32Array[] = []
  const labels: number[] = []
  const hash = createHash('sha256')
  for await (const batch of loadBatches(dataset, { ...how, order })) {
    batches.push(batch.pixels.slice())
    labels.push(...batch.labels)
    hash.update(new Uint8Array(batch.pixels.buffer, batch.pixels.byteOffset, batch.pixels.byteLength))
    onPictures?.(labels.length)
  }
  return { batches, labels: Int32Array.from(labels), hash: hash.digest('hex').slice(0, 24) }
}

/** Logits of all pictures `[n, classes]`. */
export async function logitsOf(
  classifier: Pick<Classifier, 'forward' | 'lanes'>,
  { batches }: Pictures,
): Promise<{ readonly logits: Float32Array; readonly classes: number }> {
  const results: ForwardResult[] = []
  const underWay: Promise<ForwardResult>[] = []
  const ahead = callsAhead(classifier)
  for (const pixels of batches) {
    underWay.push(classifier.forward(pixels))
    if (underWay.length > ahead) results.push((await underWay.shift()) as ForwardResult)
  }
  results.push(...(await Promise.all(underWay)))
  const logits = new Float32Array(results.reduce((sum, each) => sum + each.logits.length, 0))
  let at = 0
  for (const each of results) {
    logits.set(each.logits, at)
    at += each.logits.length
  }
  return { logits, classes: results[0]?.classes ?? 0 }
}

/** The dense model's answers: what plans are held against. */
export interface Reference {
  /** Log probabilities `[n, classes]`. */
  readonly logs: Float32Array
  readonly classes: number
  /** Its first answer to every picture. */
  readonly best: Int32Array
  /** Label of every picture, below 0 where it has none. */
  readonly labels: Int32Array
  /** Pictures that it gets right; absent where they have no labels. */
  readonly right?: number
}

export function referenceOf(logits: Float32Array, classes: number, labels: Int32Array): Reference {
  const logs = logSoftmax(logits, classes)
  const best = bestOfRows(logs, classes)
  const labelled = labels.length > 0 && labels.every((label) => label >= 0)
  const right = best.reduce((sum, answer, i) => sum + Number(answer === labels[i]), 0)
  return { logs, classes, best, labels, ...(labelled && { right }) }
}

/** How a plan's answers differ from the dense model's. */
export interface Change {
  readonly pictures: number
  /** Pictures whose first answer is another one. */
  readonly changed: number
  /**
   * Of these, how many the dense model alone gets right, and the plan alone: counted where pictures have labels, else as
   * many as the dense model's own probabilities let expect.
   */
  readonly lost: number
  readonly gained: number
  /** Mean Kullback-Leibler divergence of the answers from the dense model's, in nats: what the search goes by. */
  readonly divergence: number
}

/** Compares a plan's logits `[n, classes]` with the dense model's. */
export function changeOf(logits: Float32Array, reference: Reference): Change {
  const { logs, classes, best, labels, right } = reference
  const own = logSoftmax(logits, classes)
  const answers = bestOfRows(own, classes)
  let [changed, lost, gained, divergence] = [0, 0, 0, 0]
  for (const [i, answer] of answers.entries()) {
    const at = (index: number) => i * classes + index
    for (let c = 0; c < classes; c++) {
      const log = logs[at(c)] as number
      divergence += Math.exp(log) * (log - (own[at(c)] as number))
    }
    const dense = best[i] as number
    if (answer === dense) continue
    changed++
    const credit = (index: number) =>
      right === undefined ? Math.exp(logs[at(index)] as number) : Number(labels[i] === index)
    lost += credit(dense)
    gained += credit(answer)
  }
  const pictures = answers.length
  return { pictures, changed, lost, gained, divergence: divergence / Math.max(1, pictures) }
}

function logSoftmax(logits: Float32Array, classes: number): Float32Array {
  const logs = new Float32Array(logits.length)
  for (let start = 0; start < logits.length; start += classes) {
    const row = logits.subarray(start, start + classes)
    const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    const log = max + Math.log(row.reduce((sum, z) => sum + Math.exp(z - max), 0))
    for (let c = 0; c < classes; c++) logs[start + c] = (row[c] as number) - log
  }
  return logs
}

const bestOfRows = (logs: Float32Array, classes: number): Int32Array =>
  Int32Array.from({ length: logs.length / classes }, (_, i) => {
    const row = logs.subarray(i * classes, (i + 1) * classes)
    return row.indexOf(row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY))
  })
