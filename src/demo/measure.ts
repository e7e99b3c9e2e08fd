/** Accuracy and speed of several settings on the same pictures, measured in turns. */

import { type Contender, interleave, speedup, type Timing } from '../bench/interleave.js'
import type { Precision } from '../graph/passes/precision.js'
import { modelCost } from '../models/cost.js'
import { type Classifier, type Model, topIndices } from '../runtime/classifier.js'
import { openNodeClassifier, throughputLanes } from '../runtime/node.js'
import { slicePictures, type TestPictures } from './pictures.js'

/** A model and how it is run. */
export interface Setting {
  readonly model: Model
  readonly keepRatio: number
  readonly precision: Precision
}

/** What a setting reached. */
export interface Row {
  readonly model: string
  readonly keepRatio: number
  readonly precision: Precision
  /** 10⁹ multiply-adds for one picture. */
  readonly gmacs: number
  readonly top1: number
  readonly top1Percent: number
  readonly imagesPerSecond: number
  /** How many times faster than the first setting: the median over rounds of the ratio in each. */
  readonly speedup: number
}

/** About how many pictures run at once; a round times one such batch of every setting. */
const BATCH = 64
/** Sessions side by side of one setting, at most: every setting has its own, and all are open at once. */
const MOST_LANES = 4

/**
 * Classifies all pictures under every setting.
 *
 * The settings take turns, batch by batch: of every two batches of a setting the first refills the caches and the second
 * is timed, and both count for its accuracy.
 *
 * @returns a row for every setting, in their order
 */
export async function measure(
  settings: readonly Setting[],
  pictures: TestPictures,
  onRound?: (done: number, total: number) => void,
): Promise<Row[]> {
  const count = pictures.labels.length
  const rounds = Math.max(1, Math.round(count / (2 * BATCH)))
  const runs: Run[] = []
  try {
    for (const setting of settings) runs.push(await openRun(setting, pictures, 2 * rounds))
    const timings = await interleave(runs, {
      rounds,
      warmup: 0,
      blockMilliseconds: 0,
      settleMilliseconds: 0,
      ...(onRound && { onRound }),
    })
    return runs.map(({ classifier, setting, right }, i) => ({
      model: setting.model.name,
      keepRatio: setting.keepRatio,
      precision: setting.precision,
      gmacs: modelCost(setting.model.config, classifier.plan).macs / 1e9,
      top1: right(),
      top1Percent: (100 * right()) / count,
      imagesPerSecond: (1000 * count) / (2 * rounds) / (timings[i] as Timing).median,
      speedup: speedup(timings[0] as Timing, timings[i] as Timing),
    }))
  } finally {
    await Promise.all(runs.map(({ classifier }) => classifier.close()))
  }
}

/** A setting under way: every run classifies the next batch. */
interface Run extends Contender {
  readonly setting: Setting
  readonly classifier: Classifier
  /** Pictures classified as they are labelled. */
  right(): number
}

async function openRun(setting: Setting, pictures: TestPictures, batches: number): Promise<Run> {
  const { model, keepRatio, precision } = setting
  const classifier = await openNodeClassifier(model, {
    keepRatio,
    precision,
    method: keepRatio === 1 ? 'none' : 'idle',
    lanes: Math.min(MOST_LANES, throughputLanes(model, {})),
  })
  const count = pictures.labels.length
  let batch = 0
  let right = 0
  return {
    setting,
    classifier,
    right: () => right,
    async run() {
      const [first, last] = [batch, batch + 1].map((b) => Math.floor((b * count) / batches)) as [number, number]
      batch++
      const { logits, classes } = await classifier.forward(slicePictures(pictures, first, last))
      for (const [b, label] of pictures.labels.subarray(first, last).entries())
        if (topIndices(logits.subarray(b * classes, (b + 1) * classes), 1)[0] === label) right++
    },
  }
}
