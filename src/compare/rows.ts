/** The rows of a comparison, before anything is measured: which model runs how, and what that costs. */

import { createHash } from 'node:crypto'
import { fail } from '../errors.js'
import { hashWeights } from '../export/earlier.js'
import type { Precision } from '../graph/passes/precision.js'
import { isCascade } from '../models/cascade.js'
import { imageTokens } from '../models/config.js'
import { firstIdleBlock, keptTokens, stageRatios } from '../reduction/schedule.js'
import type { Model } from '../runtime/classifier.js'
import type { StateDict } from '../weights/state.js'
import { matchGmacs } from './matching.js'
import { type ComparedMethod, type Cost, costOf, type Reduction } from './methods.js'

/** A model that takes part. */
export interface Participant {
  readonly model: Model
  /** Its settings when it was finetuned or exported; absent for a model that is dense. */
  readonly stored?: Reduction
  /** Label of every picture of the data among this model's classes. */
  readonly labels: Int32Array
}

/** Where the work of a row was adjusted to that of another. */
export interface Match {
  /** Name of the row whose work was aimed at. */
  readonly to: string
  /** 10⁹ multiply-adds of that row. */
  readonly gmacs: number
  /** What was adjusted, such as `keep ratio`, and its value. */
  readonly knob: string
  readonly value: number
}

/** A model and how it runs. */
export interface PlannedRow {
  /** `dense`, `idle 0.7`, or the name of a model of one's own. */
  readonly name: string
  /** `dense` is what the others are compared with, `method` a method on the first model, `own` a model under its own plan. */
  readonly kind: 'dense' | 'method' | 'own'
  readonly participant: Participant
  readonly reduction: Reduction
  /** Base keep ratio that was asked for; undefined where the plan of a model of one's own has none. */
  readonly keepRatio: number | undefined
  readonly match?: Match
  readonly precision: Precision
  readonly cost: Cost
  /** Says what the row's answers follow from: equal keys, equal answers to the same pictures. */
  readonly key: string
}

export interface RowsRequest {
  readonly methods: readonly ComparedMethod[]
  readonly keepRatios: readonly number[]
  readonly precisions: readonly Precision[]
  /** Plans of the first model that are compared beside the methods' own. */
  readonly plans?: readonly { readonly name: string; readonly reduction: Reduction }[]
  readonly matchGmacs?: boolean
  readonly onMatched?: (done: number, total: number) => void
  /** What a model executes where pictures decide; default: the most that it can be. */
  readonly work?: (model: Model, reduction: Reduction) => Promise<number>
}

/**
 * The rows of a comparison: the first model dense, under every method and keep ratio and under given plans, and every model
 * under its own plan; all of it in every precision.
 *
 * @throws InputError where two models have one name
 */
export async function planRows(
  participants: readonly [Participant, ...Participant[]],
  request: RowsRequest,
): Promise<PlannedRow[]> {
  const [base] = participants
  checkNames(participants)
  if (isCascade(base.model.config))
    fail(
      `--model ${base.model.name}: wanted a single net first, which methods run on; a cascade of nets (DVT) joins behind it, ` +
        `as in --model deit-small,${base.model.name}`,
    )
  const rows = [
    denseRow(base),
    ...(await methodRows(base, request)),
    ...(request.plans ?? []).map((plan) => planRow(base, plan)),
    ...participants.flatMap(ownRow(base)),
  ]
  const identities = new Map(participants.map((each) => [each, identity(each)]))
  return request.precisions.flatMap((precision) =>
    rows.map((row) => ({
      ...row,
      precision,
      key: JSON.stringify([identities.get(row.participant), row.reduction, precision]),
    })),
  )
}

type Row = Omit<PlannedRow, 'precision' | 'key'>

function denseRow(participant: Participant): Row {
  const reduction: Reduction = { method: 'none' }
  const { model } = participant
  return { name: 'dense', kind: 'dense', participant, reduction, keepRatio: 1, cost: costOf(model, reduction) }
}

/** The first model under every method; a keep ratio of 1 is the dense row. */
async function methodRows(participant: Participant, request: RowsRequest): Promise<Row[]> {
  const { methods, keepRatios, matchGmacs: matching = false } = request
  const { model } = participant
  const work = (reduction: Reduction) => request.work?.(model, reduction) ?? costOf(model, reduction).gmacs
  const ratios = [...new Set(keepRatios)].filter((ratio) => ratio < 1).sort((a, b) => b - a)
  const yardstick = methods.find(({ name }) => name === 'idle') ?? methods[0]
  const rows: Row[] = []
  for (const method of methods)
    for (const keepRatio of ratios) {
      const asked = { name: `${method.name} ${keepRatio}`, kind: 'method', participant, keepRatio } as const
      if (!matching || !yardstick || method === yardstick) {
        const reduction = method.at(keepRatio)
        rows.push({ ...asked, reduction, cost: costOf(model, reduction) })
        continue
      }
      const gmacs = await work(yardstick.at(keepRatio))
      const value = await matchGmacs(method.knob, work, gmacs)
      const reduction = method.knob.at(value)
      const match = { to: `${yardstick.name} ${keepRatio}`, gmacs, knob: method.knob.name, value }
      rows.push({ ...asked, reduction, match, cost: costOf(model, reduction) })
      request.onMatched?.(rows.length, methods.length * ratios.length)
    }
  return rows
}

/** The first model under a plan that was found for it. */
const planRow = (participant: Participant, { name, reduction }: { name: string; reduction: Reduction }): Row => ({
  name,
  kind: 'own',
  participant,
  reduction,
  keepRatio: undefined,
  cost: costOf(participant.model, reduction),
})

/** A model under its own plan; the first model without one is the dense row already. */
const ownRow =
  (base: Participant) =>
  (participant: Participant): Row[] => {
    const { model, stored } = participant
    if (participant === base && !stored) return []
    const reduction: Reduction = stored ?? { method: 'none' }
    const keepRatio = stored ? baseRatio(model, stored) : 1
    return [{ name: model.name, kind: 'own', participant, reduction, keepRatio, cost: costOf(model, reduction) }]
  }

/** The base keep ratio of a stored plan, where it is one of the paper's four stages. */
function baseRatio({ config }: Model, { keepRatio, keepRatios, keepTokens }: Reduction): number | undefined {
  if (keepRatio !== undefined) return keepRatio
  const tokens = imageTokens(config)
  const second = firstIdleBlock(config.depth)
  const base = keepRatios?.[second] ?? (keepTokens?.[second] ?? Number.NaN) / tokens
  const stages = keptTokens(tokens, stageRatios(config.depth, base))
  const found = keepTokens ?? keptTokens(tokens, keepRatios ?? [])
  return stages.length === found.length && stages.every((count, l) => count === found[l]) ? base : undefined
}

function checkNames(participants: readonly Participant[]): void {
  const seen = new Set<string>()
  for (const { model } of participants) {
    if (seen.has(model.name)) fail(`--model: wanted models of different names, found ${model.name} twice`)
    seen.add(model.name)
  }
}

/** SHA-256 over a model's weights, the thresholds of a cascade, and the labels it is asked for. */
const identity = ({ model, labels }: Participant): string =>
  createHash('sha256')
    .update(hashWeights(model.state as StateDict))
    .update(model.thresholds ? JSON.stringify(model.thresholds) : '')
    .update(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength))
    .digest('hex')
    .slice(0, 24)
