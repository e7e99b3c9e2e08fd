/** Accuracy and speed of several settings on the same pictures, measured in turns. */

import { type Contender, interleave, type Timing } from '../bench/interleave.js'
import { type Pairs, type Speed, speeds } from '../bench/speed.js'
import { type Interval, pairedDifference, wilson } from '../evaluation/intervals.js'
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

export interface MeasureOptions {
  /** The setting whose ratio to the first is what counts: both take {@link HEADLINE_TURNS} turns in every round. */
  readonly headline?: number
  readonly onRound?: (done: number, total: number) => void
}

/** Pictures that run at once; a turn times one such batch of a setting. */
const BATCH = 32
/** Turns in a round of the first setting and of the one that counts most, right behind each other. */
export const HEADLINE_TURNS = 3
/** Sessions side by side of one setting, at most: every setting has its own, and all are open at once. */
const MOST_LANES = 4

/**
 * Classifies all pictures under every setting.
 *
 * The settings take turns, batch by batch: of every two batches of a setting the first refills the caches and the second
 * is timed, and both count for its accuracy. Short batches make many rounds: of twenty the median repeats, where one
 * or two would be luck.
 *
 * @returns a row for every setting, in their order
 */
export async function measure(
  settings: readonly Setting[],
  pictures: TestPictures,
  { headline, onRound }: MeasureOptions = {},
): Promise<Measurement> {
  const count = pictures.labels.length
  const rounds = Math.max(1, Math.round(count / (2 * BATCH)))
  const bounds = Array.from({ length: 2 * rounds + 1 }, (_, i) => Math.floor((i * count) / (2 * rounds)))
  const runs: Run[] = []
  try {
    for (const setting of settings) runs.push(await openRun(setting, pictures, bounds))
    // The first setting and the one that counts begin a round together and take their further turns at its end.
    const leading = headline === undefined ? [0] : [0, headline]
    const others = settings.flatMap((_, i) => (leading.includes(i) ? [] : [i]))
    const further = Array.from({ length: headline === undefined ? 0 : HEADLINE_TURNS - 1 }, () => leading).flat()
    const turns = [...leading, ...others, ...further]
    const timings = await interleave(
      turns.map((i) => runs[i] as Run),
      {
        rounds,
        warmup: 0,
        blockMilliseconds: 0,
        settleMilliseconds: 0,
        ...(onRound && { onRound }),
      },
    )
    const found = speeds(settings.map((_, i) => pairsOf(i, turns, timings, runs[i] as Run)))
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

/** Every turn of a setting beside the turn of the first that came last before it. */
function pairsOf(setting: number, turns: readonly number[], timings: readonly Timing[], { sizes }: Run): Pairs {
  const pairs = turns.flatMap((of, turn) =>
    of === setting
      ? [{ own: (timings[turn] as Timing).rounds, first: (timings[turns.lastIndexOf(0, turn)] as Timing).rounds }]
      : [],
  )
  const rounds = pairs[0]?.own.length ?? 0
  // Runs come in pairs, of which the second is timed; a round holds as many as there are turns.
  const images = pairs.flatMap((_, turn) =>
    Array.from({ length: rounds }, (_, round) => sizes[2 * (round * pairs.length + turn) + 1] as number),
  )
  return { own: pairs.flatMap(({ own }) => own), first: pairs.flatMap(({ first }) => first), images }
}

/** A setting under way: every run classifies the next batch, after the last one the first again. */
interface Run extends Contender {
  /** Pictures of every run so far. */
  readonly sizes: readonly number[]
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
  const sizes: number[] = []
  return {
    setting,
    classifier,
    right,
    sizes,
    async run() {
      const batch = sizes.length % (bounds.length - 1)
      const [first, last] = bounds.slice(batch, batch + 2) as [number, number]
      sizes.push(last - first)
      const { logits, classes } = await classifier.forward(slicePictures(pictures, first, last))
      for (const [b, label] of pictures.labels.subarray(first, last).entries())
        if (topIndices(logits.subarray(b * classes, (b + 1) * classes), 1)[0] === label) right[first + b] = 1
    },
  }
}
