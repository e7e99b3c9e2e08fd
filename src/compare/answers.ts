/**
 * Answers of several classifiers to the same pictures.
 *
 * Every batch is decoded once and goes through all of them. A chain of hashes over the decoded pictures goes with the
 * answers, so that "the same pictures" is known and not hoped for, even where a comparison was interrupted.
 */

import { createHash } from 'node:crypto'
import type { Dataset } from '../data/dataset.js'
import type { Decoder } from '../data/decoder.js'
import { loadBatches } from '../data/loader.js'
import type { Bindings } from '../graph/dims.js'
import type { Preprocess } from '../images/preprocess.js'
import { type Classifier, topIndices } from '../runtime/classifier.js'

/** What a classifier said of the pictures so far. */
export interface Answers {
  /** By picture of the data: the place of its label among the five best answers, `1` … `5`, else `-`; `x`: unreadable. */
  readonly places: string
  /** SHA-256 over the decoded pictures, chained from batch to batch. */
  readonly pictures: string
  /** 10⁹ multiply-adds of all of them together, where each picture decides how many tokens are computed. */
  readonly gmacs?: number
}

/** Nothing is answered yet. */
export const noAnswers: Answers = { places: '', pictures: '' }

/** Who answers, and what would be right. */
export interface Answerer {
  readonly classifier: Pick<Classifier, 'forward'>
  /** Label of every picture of the data, as the classifier counts its classes. */
  readonly labels: ArrayLike<number>
  /** Multiply-adds of a picture by what it decided, where pictures do. */
  readonly gmacsOf?: (sizes: Bindings) => number
}

export interface AskOptions {
  readonly batch: number
  readonly preprocess: Preprocess
  readonly decoders: readonly Decoder[]
  /** Pictures of the data that take part: the first so many. */
  readonly limit: number
  /** Called behind every batch, with the answers of all so far. */
  readonly onBatch?: (answers: readonly Answers[]) => Promise<void>
  /** Told of every picture that cannot be read, and why. */
  readonly onSkip?: (index: number, reason: string) => void
}

/** Counts of answers. */
export interface Counts {
  /** Pictures that could be read. */
  readonly images: number
  /** Of these, whose label came first, and among the first five. */
  readonly top1: number
  readonly top5: number
}

export function countRight({ places }: Pick<Answers, 'places'>): Counts {
  const counts = { images: 0, top1: 0, top5: 0 }
  for (const place of places) {
    if (place !== 'x') counts.images++
    if (place === '1') counts.top1++
    if (place >= '1' && place <= '5') counts.top5++
  }
  return counts
}

/**
 * Asks all answerers about the pictures behind those that they have answered.
 *
 * @param before - their answers so far, to the same pictures
 * @returns the answers of each
 */
export async function ask(
  answerers: readonly Answerer[],
  before: readonly Answers[],
  dataset: Dataset,
  { batch, limit, preprocess, decoders, onBatch, onSkip }: AskOptions,
): Promise<Answers[]> {
  let answers = [...before]
  const first = before[0]?.places.length ?? 0
  const batches = loadBatches(dataset, {
    batch,
    preprocess,
    decoders,
    order: Array.from({ length: Math.max(0, limit - first) }, (_, i) => first + i),
    onSkip: (_, reason, index) => onSkip?.(index, reason),
  })
  for await (const { pixels, indices } of batches) {
    const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength)
    const seen = createHash('sha256').update(bytes).digest()
    const next: Answers[] = []
    for (const [i, { classifier, labels, gmacsOf }] of answerers.entries()) {
      const { places, pictures, gmacs = 0 } = answers[i] ?? noAnswers
      const { logits, classes, sizes = [] } = await classifier.forward(pixels)
      const more = Array.from(indices, (index, b) => {
        const place = topIndices(logits.subarray(b * classes, (b + 1) * classes), 5).indexOf(labels[index] as number)
        return { index, place: place < 0 ? '-' : String(place + 1) }
      })
      next.push({
        places: more.reduce((all, { index, place }) => all.padEnd(index, 'x') + place, places),
        pictures: createHash('sha256').update(pictures).update(seen).digest('hex').slice(0, 32),
        ...(gmacsOf && { gmacs: sizes.reduce((sum, each) => sum + gmacsOf(each), gmacs) }),
      })
    }
    answers = next
    await onBatch?.(answers)
  }
  return answers.map((each) => ({ ...each, places: each.places.padEnd(limit, 'x') }))
}
