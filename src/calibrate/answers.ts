/** What an elastic model answers in every step that could be one, to the same pictures, beside the dense model. */

import type { Dataset } from '../data/dataset.js'
import type { Decoder } from '../data/decoder.js'
import { loadBatches } from '../data/loader.js'
import type { Preprocess } from '../images/preprocess.js'
import { confidencesOf } from '../models/exits.js'
import { type Classifier, topIndices } from '../runtime/classifier.js'
import type { StageAnswers } from './thresholds.js'

/** Answers of one step, by picture. */
export interface StepAnswers extends StageAnswers {
  /** Whether the answer is right; absent where pictures have no labels. */
  readonly right?: readonly boolean[]
  /** Whether it is the dense model's. */
  readonly same: readonly boolean[]
}

/** Answers to the pictures of a data set. */
export interface Asked {
  readonly steps: readonly StepAnswers[]
  readonly dense: StepAnswers
  readonly pictures: number
  readonly labelled: boolean
}

export interface AskingOptions {
  readonly batch: number
  readonly preprocess: Preprocess
  readonly decoders: readonly Decoder[]
  readonly onPictures?: (done: number) => void
  readonly onSkip?: (index: number, reason: string) => void
}

/** Tokens by block, and the multiply-adds of a picture. */
export interface StepPlan {
  readonly keep: readonly number[]
  readonly macs: number
}

/**
 * Asks about every picture in every step.
 *
 * An answer is good where it is right; of pictures without labels, as far as the dense model takes it to be.
 *
 * @param dense - every token in every block
 */
export async function askInSteps(
  elastic: Pick<Classifier, 'forward'>,
  plans: readonly StepPlan[],
  dense: StepPlan,
  dataset: Dataset,
  { onPictures, onSkip, ...loading }: AskingOptions,
): Promise<Asked> {
  const all = [...plans, dense]
  const best: number[][] = all.map(() => [])
  const sure: number[][] = all.map(() => [])
  const credit: number[][] = all.map(() => [])
  const labels: number[] = []
  const batches = loadBatches(dataset, { ...loading, onSkip: (_, reason, index) => onSkip?.(index, reason) })
  for await (const { pixels, labels: own } of batches) {
    const answers: Float32Array[] = []
    for (const { keep } of all) {
      const known = all.findIndex((each) => String(each.keep) === String(keep)) // the dense model may be a step
      const { logits } = answers[known]
        ? { logits: answers[known] }
        : await elastic.forward(pixels, { keepTokens: keep })
      answers.push(logits)
    }
    const classes = (answers[0] as Float32Array).length / own.length
    const row = (logits: Float32Array, b: number) => logits.subarray(b * classes, (b + 1) * classes)
    const reference = answers.at(-1) as Float32Array
    const certain = confidencesOf(reference, classes)
    for (const [k, logits] of answers.entries()) {
      sure[k]?.push(...confidencesOf(logits, classes))
      for (let b = 0; b < own.length; b++) {
        const [answer = 0] = topIndices(row(logits, b), 1)
        const [first = 0] = topIndices(row(reference, b), 1)
        const gap = (row(reference, b)[answer] as number) - (row(reference, b)[first] as number)
        best[k]?.push(answer)
        credit[k]?.push((certain[b] as number) * Math.exp(gap))
      }
    }
    labels.push(...own)
    onPictures?.(labels.length)
  }
  const labelled = labels.length > 0 && labels.every((label) => label >= 0)
  const steps = all.map(({ macs }, k): StepAnswers => {
    const answers = best[k] as number[]
    const right = answers.map((answer, i) => answer === labels[i])
    return {
      work: macs,
      confidence: sure[k] as number[],
      good: labelled ? right.map(Number) : (credit[k] as number[]),
      ...(labelled && { right }),
      same: answers.map((answer, i) => answer === best.at(-1)?.[i]),
    }
  })
  return { steps: steps.slice(0, -1), dense: steps.at(-1) as StepAnswers, pictures: labels.length, labelled }
}

/** The answers to some of the pictures. */
export function ofPictures({ steps, dense, labelled }: Asked, pictures: readonly number[]): Asked {
  const pick = (step: StepAnswers): StepAnswers => ({
    work: step.work,
    confidence: pictures.map((i) => step.confidence[i] as number),
    good: pictures.map((i) => step.good[i] as number),
    ...(step.right && { right: pictures.map((i) => step.right?.[i] ?? false) }),
    same: pictures.map((i) => step.same[i] ?? false),
  })
  return { steps: steps.map(pick), dense: pick(dense), pictures: pictures.length, labelled }
}
