/**
 * Calibration of steps: which keep ratios are asked one after the other, and how sure each must be, chosen on pictures for a
 * target. What is chosen on the pictures that it is then counted on looks better than it is; so each half is counted, too,
 * under what the other half chooses.
 */

import { fail } from '../errors.js'
import { pairedDifference } from '../evaluation/intervals.js'
import type { StepsOutcome } from '../tune/steps-file.js'
import { type Asked, ofPictures, type StepAnswers } from './answers.js'
import type { StepsTarget } from './target.js'
import { bestStages, type Choice, type Goal, outcomeOf } from './thresholds.js'

/** What was found. */
export interface Calibration {
  /** Steps that are asked, indices of those that could be, and the confidence from which each but the last answers. */
  readonly chosen: readonly number[]
  readonly thresholds: readonly number[]
  /** On all pictures, which had a say in the choice. */
  readonly calibrated: StepsOutcome
  /** Each half under what the other half chooses. */
  readonly heldOut: StepsOutcome
  /** The step that meets the target by itself with the least work, of accuracy targets. */
  readonly alone?: { readonly step: number; readonly gmacs: number }
}

/** Pictures of which halves say something. */
const FEWEST = 4

/**
 * Chooses steps and thresholds.
 *
 * @param most - steps at most
 * @throws InputError where no steps meet the target
 */
export function calibrate(asked: Asked, target: StepsTarget, most: number): Calibration {
  const { pictures } = asked
  if (pictures < FEWEST) fail(`calibrate: wanted at least ${FEWEST} pictures, found ${pictures}`)
  const choice = choose(asked, target, most) ?? fail(unmet(asked, target))
  const halves = [0, 1].map((half) => Array.from({ length: pictures }, (_, i) => i).filter((i) => i % 2 === half))
  const counted = halves.map((own, half) => {
    const other = choose(ofPictures(asked, halves[1 - half] as number[]), target, most)
    return answered(ofPictures(asked, own), other ?? lastAlone(asked))
  })
  const alone = aloneFor(asked, target)
  const { thresholds, chosen } = choice
  return {
    chosen,
    thresholds,
    calibrated: summary([answered(asked, choice)], asked.labelled),
    heldOut: summary(counted, asked.labelled),
    ...(alone && { alone }),
  }
}

const choose = (asked: Asked, target: StepsTarget, most: number): Choice | undefined =>
  bestStages(asked.steps, goalOf(asked, target), most)

/** Where a half finds no steps: its last step answers everything. */
const lastAlone = ({ steps }: Asked): Pick<Choice, 'chosen' | 'thresholds'> => ({
  chosen: [steps.length - 1],
  thresholds: [],
})

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0)

/** Sums of probabilities are rounded. */
const ROUNDING = 1e-6

function goalOf({ dense, pictures }: Asked, target: StepsTarget): Goal {
  if (target.kind === 'accuracy')
    return { kind: 'answers', least: sum(dense.good) - (pictures * target.points) / 100 - ROUNDING }
  return { kind: 'work', most: target.kind === 'share' ? target.share * dense.work : target.gmacs * 1e9 }
}

/** What becomes of pictures in chosen steps. */
interface Answered {
  readonly work: number
  readonly same: readonly boolean[]
  readonly right?: readonly boolean[]
  readonly denseRight?: readonly boolean[]
  readonly exits: readonly number[]
  readonly chosen: readonly number[]
}

function answered({ steps, dense }: Asked, { chosen, thresholds }: Pick<Choice, 'chosen' | 'thresholds'>): Answered {
  const asked = chosen.map((k) => steps[k] as StepAnswers)
  const { exits, work } = outcomeOf(asked, thresholds)
  const of = (what: 'same' | 'right') => exits.map((exit, i) => asked[exit]?.[what]?.[i] ?? false)
  return {
    work,
    exits,
    chosen,
    same: of('same'),
    ...(dense.right && { right: of('right'), denseRight: dense.right }),
  }
}

function summary(parts: readonly Answered[], labelled: boolean): StepsOutcome {
  const exits = parts.flatMap((part) => part.exits)
  const pictures = exits.length
  const right = parts.flatMap((part) => part.right ?? []).map(Number)
  const denseRight = parts.flatMap((part) => part.denseRight ?? []).map(Number)
  const difference = labelled ? pairedDifference(right, denseRight) : undefined
  const [{ chosen }] = parts as [Answered, ...Answered[]]
  const sameSteps = parts.every((part) => String(part.chosen) === String(chosen))
  return {
    pictures,
    agreementPercent: (100 * sum(parts.flatMap((part) => part.same).map(Number))) / pictures,
    top1: labelled ? sum(right) : null,
    denseTop1: labelled ? sum(denseRight) : null,
    pointsToDense: difference ? 100 * difference.difference : null,
    pointsInterval: difference ? [100 * difference.interval[0], 100 * difference.interval[1]] : null,
    gmacs: sum(parts.map((part) => part.work)) / pictures / 1e9,
    ...(sameSteps && { exits: chosen.map((_, k) => exits.filter((exit) => exit === k).length) }),
  }
}

function aloneFor(asked: Asked, target: StepsTarget): Calibration['alone'] {
  const goal = goalOf(asked, target)
  if (goal.kind !== 'answers') return undefined
  const fitting = asked.steps.map(({ good, work }, step) => ({ step, work, good: sum(good) }))
  const [least] = fitting.filter(({ good }) => good >= goal.least).sort((a, b) => a.work - b.work)
  return least && { step: least.step, gmacs: least.work / 1e9 }
}

function unmet(asked: Asked, target: StepsTarget): string {
  const works = asked.steps.map(({ work }) => work / 1e9)
  if (target.kind === 'accuracy') {
    const last = asked.steps.at(-1) as StepAnswers
    const lost = (100 * (sum(asked.dense.good) - sum(last.good))) / asked.pictures
    return `--target -${target.points}%: no steps lose so little, the last one by itself loses ${lost.toFixed(2)} points; wanted larger --steps (1 is the dense model)`
  }
  return `--target: the smallest step alone does ${Math.min(...works).toFixed(3)} GMACs, wanted smaller --steps or a larger target`
}
