/** What the rows of a comparison reached. */

import { type Interval, pairedDifference, wilson } from '../evaluation/intervals.js'
import { methodText } from '../models/cascade.js'
import type { MethodName } from '../reduction/registry.js'
import { type Answers, countRight } from './answers.js'
import { bestPoints } from './front.js'
import { mcNemar } from './mcnemar.js'
import type { Match, PlannedRow } from './rows.js'
import type { Speed } from './timing.js'

/** What a row reached. All accuracies are of the same pictures. */
export interface CompareRow extends Speed {
  readonly name: string
  readonly kind: PlannedRow['kind']
  readonly model: string
  readonly method: MethodName | 'dvt'
  /** Base keep ratio; null where a model's own plan has none. */
  readonly keepRatio: number | null
  readonly precision: string
  /** Image tokens of every block. */
  readonly tokens: readonly number[]
  readonly params: number
  /** 10⁹ multiply-adds for one picture of the graph that runs; the mean, where pictures decide. */
  readonly gmacs: number
  /** Multiply-adds of the dense row by those of this one. */
  readonly macRatio: number
  readonly match?: Match
  /** Right answers. */
  readonly top1: number
  readonly top5: number
  readonly top1Percent: number
  readonly top5Percent: number
  /** 95 % interval of `top1Percent` (Wilson). */
  readonly top1Interval: Interval
  /** Top-1 beside the dense row's, picture by picture; absent for the dense row. */
  readonly toDense?: ToDense
  /** Whether no other row of its precision is as right with less work or time. */
  readonly best: { readonly gmacs: boolean; readonly speed: boolean }
}

/** A row's answers beside those of the dense row to the same pictures. */
export interface ToDense {
  /** Pictures that it gets right and the dense row does not, and the other way round. */
  readonly gained: number
  readonly lost: number
  /** Difference in points of top-1 accuracy, and its 95 % interval for pairs. */
  readonly points: number
  readonly interval: Interval
  /** McNemar's exact test, two-sided. */
  readonly p: number
}

/** What every row reached, from its answers and its speed. */
export function rowsOf(
  rows: readonly PlannedRow[],
  answers: readonly Answers[],
  speeds: readonly Speed[],
): CompareRow[] {
  const denseAnswers = answers[0] as Answers
  const denseGmacs = rows[0]?.cost.gmacs ?? Number.NaN
  const measured = rows.map((row, i): Omit<CompareRow, 'best'> => {
    const { name, kind, participant, reduction, keepRatio, match, precision, cost } = row
    const own = answers[i] as Answers
    const { images, top1, top5 } = countRight(own)
    const gmacs = own.gmacs === undefined ? cost.gmacs : own.gmacs / images
    return {
      name,
      kind,
      model: participant.model.name,
      method: methodText(participant.model.config, reduction.method),
      keepRatio: keepRatio ?? null,
      precision,
      tokens: cost.tokens,
      params: cost.params,
      gmacs,
      macRatio: denseGmacs / gmacs,
      ...(match && { match }),
      top1,
      top5,
      top1Percent: (100 * top1) / images,
      top5Percent: (100 * top5) / images,
      top1Interval: percent(wilson(top1, images)),
      ...(i > 0 && { toDense: compareAnswers(own, denseAnswers) }),
      ...(speeds[i] as Speed),
    }
  })
  const front = (cost: (row: (typeof measured)[number]) => number) => {
    const best = [...new Set(rows.map(({ precision }) => precision))].flatMap((precision) => {
      const own = measured.filter((row) => row.precision === precision)
      const points = own.map((row) => ({ cost: cost(row), gain: row.top1Percent }))
      return bestPoints(points).map((i) => own[i])
    })
    return new Set(best)
  }
  const [byWork, byTime] = [front(({ gmacs }) => gmacs), front(({ imagesPerSecond }) => -imagesPerSecond)]
  return measured.map((row) => ({ ...row, best: { gmacs: byWork.has(row), speed: byTime.has(row) } }))
}

const percent = ([low, high]: Interval): Interval => [100 * low, 100 * high]

/** Top-1 of two rows, picture by picture. */
export function compareAnswers(now: Pick<Answers, 'places'>, before: Pick<Answers, 'places'>): ToDense {
  const right = ({ places }: Pick<Answers, 'places'>) =>
    Uint8Array.from(
      [...places].filter((place) => place !== 'x'),
      (place) => Number(place === '1'),
    )
  const [own, other] = [right(now), right(before)]
  const { difference, interval } = pairedDifference(own, other)
  const count = (a: Uint8Array, b: Uint8Array) => a.reduce((sum, each, i) => sum + (each && !b[i] ? 1 : 0), 0)
  const [gained, lost] = [count(own, other), count(other, own)]
  return { gained, lost, points: 100 * difference, interval: percent(interval), p: mcNemar(gained, lost) }
}

/** Headings of {@link matchCells}. */
export const matchHeadings = ['matched to', 'knob', 'value', 'GMACs', 'wanted', 'off'] as const

/**
 * A row's match for a table.
 *
 * @param signed - how a number with its sign is written
 */
export const matchCells = (
  gmacs: number,
  { to, knob, value, gmacs: wanted }: Match,
  signed: (value: number) => string,
): (string | number)[] => [
  to,
  knob,
  value,
  gmacs.toFixed(4),
  wanted.toFixed(4),
  `${signed(100 * (gmacs / wanted - 1))} %`,
]
