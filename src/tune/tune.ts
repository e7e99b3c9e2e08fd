/**
 * Finds the plan that fits a target on this device and these pictures, without training: what plans cost is measured
 * here, what they lose is told by the dense model's own answers, and what was found is measured once more on pictures
 * and in a run of their own.
 */

import type { Speed } from '../compare/timing.js'
import { fail } from '../errors.js'
import { Z } from '../evaluation/intervals.js'
import type { VitConfig } from '../models/config.js'
import { executedMacs } from '../models/cost.js'
import type { Reference } from './answers.js'
import { type CostModel, corrected, fitCost, timeAt } from './cost.js'
import { type Candidate, type Chosen, type FrontRequest, openFront } from './front.js'
import type { TunedMethod } from './methods.js'
import type { Checked, Predicted } from './plan-file.js'
import { powerProfile, scaledTo } from './profiles.js'
import { type Found, refuseCost, type Sought, seek } from './seek.js'
import { type Target, targetText } from './target.js'

export interface TuneRequest extends FrontRequest {
  readonly config: VitConfig
  readonly methods: readonly TunedMethod[]
  /** Plans that the search measures at most. */
  readonly tries: number
  /** Rounds of the last timing that count. */
  readonly rounds: number
}

/** How time follows from work, for one method. */
export interface CostReport extends CostModel {
  readonly method: string
}

export interface TuneResult {
  readonly target: string
  readonly method: TunedMethod
  readonly tokens: readonly number[]
  readonly predicted: Predicted
  readonly measured: Checked
  readonly candidates: readonly Candidate[]
  readonly costs: readonly CostReport[]
  /** Plans whose answers the search measured. */
  readonly tries: number
  /** Pictures of each part. */
  readonly pictures: { readonly search: number; readonly prediction: number; readonly measurement: number }
  readonly labelled: boolean
  readonly dense: { readonly gmacs: number; readonly milliseconds: number; readonly top1Percent: number | null }
  /** Why the target could not be met; absent where it was. */
  readonly missed?: string
}

/** At how much work every method is timed, and by which profile: its usual one, or another power. */
const TIMED = [{ work: 0.85 }, { work: 0.67, power: 2 }, { work: 0.5 }] as const
/** Length of a block of the first timing, in milliseconds; it has half the rounds of the last. */
const LOOK = 150
/** Length of a block of the last timing, in milliseconds. */
const BLOCK = 300

/** The cost models of all methods, from graphs that are timed together, and the dense model's time. */
async function timeMethods({ methods, lab, rounds, onProgress }: TuneRequest) {
  const timed = methods.flatMap((method) => {
    const { terms, starts, workOf } = method
    const [usual] = starts as [readonly number[]]
    const counts = TIMED.flatMap(({ work, ...other }) => {
      const weights = 'power' in other ? powerProfile(other.power, terms) : usual
      const found = scaledTo(weights, work, workOf, terms)
      return found ? [found] : []
    })
    const different = [...new Map(counts.map((each) => [String(each), each])).values()]
    return different.map((each) => ({ method, work: workOf(each), plan: method.planOf(each) }))
  })
  const onRound = (done: number, total: number) => onProgress?.('timing', done, total, `${timed.length} plans`)
  const plans = timed.map(({ plan }) => plan)
  const [dense, ...speeds] = (await lab.speeds('cost', plans, {
    rounds: Math.ceil(rounds / 2),
    blockMilliseconds: LOOK,
    onRound,
  })) as [Speed, ...Speed[]]
  const costs = new Map(
    methods.map(({ name }) => {
      const own = timed.flatMap(({ method, work }, i) =>
        method.name === name ? [{ work, time: 1 / (speeds[i] as Speed).speedup }] : [],
      )
      return [name, fitCost(own)] as const
    }),
  )
  return { costs, milliseconds: 1000 / dense.imagesPerSecond }
}

/** The most that a plan may cost, as a share of what the dense model does. */
function mostFor(target: Target, denseMilliseconds: number): number | undefined {
  switch (target.kind) {
    case 'work':
      return target.share
    case 'speed':
      return 1 / target.ratio
    case 'milliseconds':
      if (target.milliseconds >= denseMilliseconds)
        fail(
          `--target: wanted less than the ${denseMilliseconds.toFixed(2)} ms a picture that the dense model takes here, found ${targetText(target)}`,
        )
      return target.milliseconds / denseMilliseconds
    case 'accuracy':
      return undefined
  }
}

export async function tune(request: TuneRequest): Promise<TuneResult> {
  const { config, methods, target, tries, lab, onProgress } = request
  if (target.kind === 'work') refuseCost(target, methods, new Map(), target.share) // before anything is measured
  const { costs, milliseconds } = await timeMethods(request)
  const sought = await seek({
    methods,
    costs,
    target,
    most: mostFor(target, milliseconds),
    tries,
    change: lab.change,
    onTry: (done, note) => onProgress?.('searching', Math.min(done, tries), tries, note),
  })
  const denseGmacs = executedMacs(config, { method: 'none' }) / 1e9
  const front = await openFront(request, sought, costs, milliseconds, denseGmacs)
  const chosen = target.kind === 'accuracy' ? await front.least(target.points) : await settle(request, sought, costs)
  const { method, counts, cost } = chosen
  const expected = await front.expect(method, counts)
  const [searched, predicting] = [await lab.reference('search'), await lab.reference('prediction')]
  const labelled = searched.right !== undefined && predicting.right !== undefined
  const denseTop1 = labelled ? share([searched, predicting]) : null
  const time = timeAt(cost, method.workOf(counts))
  const predicted: Predicted = {
    ...expected,
    pictures: predicting.best.length,
    top1Percent: denseTop1 === null ? null : denseTop1 + expected.pointsToDense,
    source: labelled ? 'labels' : 'confidence',
    milliseconds: milliseconds * time,
    speedup: 1 / time,
    timeErrorPercent: 100 * cost.error,
    gmacs: denseGmacs * method.workOf(counts),
  }
  const measured = await check(request, method, counts, denseGmacs)
  const missed = missedBy(target, predicted, measured)
  return {
    target: targetText(target),
    method,
    tokens: counts,
    predicted,
    measured,
    candidates: front.candidates(chosen),
    costs: [...costs].map(([name, model]) => ({ method: name, ...model })),
    tries: sought.tries,
    pictures: {
      search: searched.best.length,
      prediction: predicting.best.length,
      measurement: measured.pictures,
    },
    labelled,
    dense: { gmacs: denseGmacs, milliseconds, top1Percent: denseTop1 },
    ...(missed !== undefined && { missed }),
  }
}

/** Percent of labelled pictures that the dense model gets right. */
const share = (references: readonly Reference[]): number =>
  (100 * references.reduce((sum, { right = 0 }) => sum + right, 0)) /
  references.reduce((sum, { best }) => sum + best.length, 0)

/** How near the measured time must come to what was wanted, and how often the plan is adjusted for it. */
const NEAR = 0.015
const ADJUSTMENTS = 3

/** The best plan at the cost that the target allows; where that is time, adjusted until it takes as long as wanted. */
async function settle(
  { target, lab, rounds, onProgress }: TuneRequest,
  { found, most }: Sought,
  costs: ReadonlyMap<string, CostModel>,
): Promise<Chosen> {
  const [{ method, tried }] = found as [Found]
  let chosen: Chosen = { method, counts: tried.counts, cost: costs.get(method.name) as CostModel }
  if (target.kind === 'work') return chosen
  for (let i = 0; i < ADJUSTMENTS; i++) {
    const onRound = (done: number, total: number) =>
      onProgress?.('adjusting', i * total + done, ADJUSTMENTS * total, `${method.name}, by its measured time`)
    const [, own] = (await lab.speeds(`adjustment ${i}`, [method.planOf(chosen.counts)], {
      rounds,
      blockMilliseconds: BLOCK,
      onRound,
    })) as [Speed, Speed]
    const time =
      target.kind === 'milliseconds'
        ? (most * own.msPerBatch.median) / lab.batch / target.milliseconds
        : 1 / own.speedup
    const cost = corrected(chosen.cost, { work: method.workOf(chosen.counts), time }, spreadOf(own))
    const off = time / most - 1
    if (Math.abs(off) <= NEAR) return { ...chosen, cost }
    const counts = scaledTo(tried.weights, most, (each) => timeAt(cost, method.workOf(each)), method.terms)
    if (!counts) return { ...chosen, cost }
    chosen = { method, counts, cost }
  }
  return chosen
}

/** Half of the range of the middle half of the rounds, as a share of the time. */
const spreadOf = ({ speedup, speedupQuartiles: [low, high] }: Speed): number => (high - low) / 2 / speedup

/** Measures a plan on pictures that had no say in anything, and times it in turns with the dense model. */
async function check(
  { lab, rounds, onProgress }: TuneRequest,
  method: TunedMethod,
  counts: readonly number[],
  denseGmacs: number,
): Promise<Checked> {
  const plan = method.planOf(counts)
  const { pictures, changed, lost, gained } = await lab.change('measurement', plan)
  const { right } = await lab.reference('measurement')
  const onRound = (done: number, total: number) => onProgress?.('measuring', done, total)
  const [dense, own] = (await lab.speeds('measurement', [plan], {
    rounds,
    blockMilliseconds: BLOCK,
    onRound,
  })) as [Speed, Speed]
  const difference = (gained - lost) / pictures
  const half = (Z * Math.sqrt(Math.max(0, lost + gained - (gained - lost) ** 2 / pictures))) / pictures
  return {
    pictures,
    agreementPercent: 100 * (1 - changed / pictures),
    top1Percent: right === undefined ? null : (100 * (right + gained - lost)) / pictures,
    denseTop1Percent: right === undefined ? null : (100 * right) / pictures,
    pointsToDense: right === undefined ? null : 100 * difference,
    pointsInterval: right === undefined ? null : [100 * (difference - half), 100 * (difference + half)],
    milliseconds: own.msPerBatch.median / lab.batch,
    denseMilliseconds: dense.msPerBatch.median / lab.batch,
    speedup: own.speedup,
    speedupQuartiles: own.speedupQuartiles,
    gmacs: denseGmacs * method.workOf(counts),
    denseGmacs,
  }
}

/** How far a measured time may be from what was wanted before it is told. */
const TOLD = 0.05

/** In what a plan misses its target, as it was measured. */
function missedBy(target: Target, { pointsToDense }: Predicted, measured: Checked): string | undefined {
  switch (target.kind) {
    case 'work':
      return undefined
    case 'speed':
      return measured.speedup < target.ratio * (1 - TOLD)
        ? `wanted ${target.ratio}x as fast as dense, measured ${measured.speedup.toFixed(2)}x`
        : undefined
    case 'milliseconds':
      return measured.milliseconds > target.milliseconds * (1 + TOLD)
        ? `wanted ${target.milliseconds} ms a picture, measured ${measured.milliseconds.toFixed(2)} ms`
        : undefined
    case 'accuracy':
      return pointsToDense < -target.points
        ? `wanted to lose at most ${target.points} points, ${(-pointsToDense).toFixed(2)} are expected`
        : undefined
  }
}
