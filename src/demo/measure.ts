/** Accuracy and speed of several settings on the same pictures, measured in turns. */

import { type Contender, interleave } from '../bench/interleave.js'
import type { Precision } from '../graph/passes/precision.js'
import { modelCost } from '../models/cost.js'
import { type Classifier, type Model, topIndices } from '../runtime/classifier.js'
import { openNodeClassifier, throughputLanes } from '../runtime/node.js'
import { type Interval, pairedDifference, wilson } from './intervals.js'
import { slicePictures, type TestPictures } from './pictures.js'
import { type Speed, speeds } from './speed.js'

/** A model and how it is run. */
export interface Setting {
  readonly model: Model
  readonly keepRatio: number
  readonly precision: Precision
}

/** What a setting reached. */
export interface Row extends Speed {
  readonly model: string
  readonly keepRatio: number
  readonly precision: Precision
  /** 10⁹ multiply-adds for one picture. */
  readonly gmacs: number
  readonly top1: number
  readonly top1Percent: number
  /** Wilson's 95 % interval of the accuracy, in percent. */
  readonly top1Interval: Interval
  /** Points of accuracy above the first setting on the same pictures, and the 95 % interval of that difference. */
  readonly top1Gain: number
  readonly top1GainInterval: Interval
}

/** What settings reached, and in how many rounds. */
export interface Measurement {
  readonly rows: Row[]
  readonly rounds: number
}

/** Pictures that run at once; a round times one such batch of every setting. */
const BATCH = 32
/** Sessions side by side of one setting, at most: every setting has its own, and all are open at once. */
const MOST_LANES = 4

/**
 * Classifies all pictures under every setting.
 *
 * The settings take turns, batch by batch: of every two batches of a setting the first refills the caches and the second
 * is timed, and both count for its accuracy. Short batches make many rounds: of twenty the median repeats.
 *
 * @returns a row for every setting, in their order
 */
export async function measure(
  settings: readonly Setting[],
  pictures: TestPictures,
  onRound?: (done: number, total: number) => void,
): Promise<Measurement> {
  const count = pictures.labels.length
  const rounds = Math.max(1, Math.round(count / (2 * BATCH)))
  const bounds = Array.from({ length: 2 * rounds + 1 }, (_, i) => Math.floor((i * count) / (2 * rounds)))
  const runs: Run[] = []
  try {
    for (const setting of settings) runs.push(await openRun(setting, pictures, bounds))
    const timings = await interleave(runs, {
      rounds,
      warmup: 0,
      blockMilliseconds: 0,
      settleMilliseconds: 0,
      ...(onRound && { onRound }),
    })
    const timed = Array.from({ length: rounds }, (_, i) => (bounds[2 * i + 2] as number) - (bounds[2 * i + 1] as number))
    const found = speeds(timings, timed)
    const percent = ([low, high]: Interval): Interval => [100 * low, 100 * high]
    const rows = runs.map(({ classifier, setting, right }, i): Row => {
      const top1 = right.reduce((sum, each) => sum + each, 0)
      const gain = pairedDifference(right, (runs[0] as Run).right)
      return {
        model: setting.model.name,
        keepRatio: setting.keepRatio,
        precision: setting.precision,
        gmacs: modelCost(setting.model.config, classifier.plan).macs / 1e9,
        top1,
        top1Percent: (100 * top1) / count,
        top1Interval: percent(wilson(top1, count)),
        top1Gain: 100 * gain.difference,
        top1GainInterval: percent(gain.interval),
        ...(found[i] as Speed),
      }
    })
    return { rows, rounds }
  } finally {
    await Promise.all(runs.map(({ classifier }) => classifier.close()))
  }
}

/** A setting under way: every run classifies the next batch. */
interface Run extends Contender {
  readonly setting: Setting
  readonly classifier: Classifier
  /** By picture: 1 where it is classified as it is labelled. */
  readonly right: Uint8Array
}

/** @param bounds - where batches begin and end */
async function openRun(setting: Setting, pictures: TestPictures, bounds: readonly number[]): Promise<Run> {
  const { model, keepRatio, precision } = setting
  const classifier = await openNodeClassifier(model, {
    keepRatio,
    precision,
    method: keepRatio === 1 ? 'none' : 'idle',
    lanes: Math.min(MOST_LANES, throughputLanes(model, {})),
  })
  const right = new Uint8Array(pictures.labels.length)
  let batch = 0
  return {
    setting,
    classifier,
    right,
    async run() {
      const [first, last] = bounds.slice(batch, batch + 2) as [number, number]
      batch++
      const { logits, classes } = await classifier.forward(slicePictures(pictures, first, last))
      for (const [b, label] of pictures.labels.subarray(first, last).entries())
        if (topIndices(logits.subarray(b * classes, (b + 1) * classes), 1)[0] === label) right[first + b] = 1
    },
  }
}
