/** What a tuning found, as its files tell it: `plan.json`, `tune.json` and the page. */

import { join } from 'node:path'
import type { Machine } from '../bench/machine.js'
import type { LeftOut } from '../data/left-out.js'
import type { Skipped } from '../evaluation/evaluate.js'
import { writeFileAtomic } from '../files.js'
import { fillFolder } from '../folders.js'
import type { Preprocess } from '../images/preprocess.js'
import { tuneFiles } from './journal.js'
import type { TunedMethod } from './methods.js'
import { PLAN_FORMAT, type PlanFile, settingsIn } from './plan-file.js'
import type { TuneResult } from './tune.js'

/** What the result was found with. */
export interface Circumstances {
  readonly model: PlanFile['model']
  readonly data: string
  readonly preprocessing: Preprocess
  readonly machine: Machine
  readonly device: string
  readonly precision: string
  readonly batch: number
  readonly threads: number | 'default'
  readonly lanes: number
  /** Methods that were sought among, and those that the model cannot run. */
  readonly methods: readonly string[]
  readonly refused: readonly { readonly method: string; readonly reason: string }[]
  /** Pictures that could not be read. */
  readonly skipped: readonly Skipped[]
  readonly leftOut: readonly LeftOut[]
  /** Pictures that the data hold. */
  readonly available: number
  readonly warnings: readonly string[]
}

export interface TuneReport extends Circumstances, Omit<TuneResult, 'method'> {
  /** Where `plan.json` lies. */
  readonly plan: string
  readonly method: TunedMethod['name']
  readonly out: string
}

/** The plan's file. */
export function planFileOf({ method, tokens, ...result }: TuneResult, at: Circumstances): PlanFile {
  const plan = method.planOf(tokens)
  const { target, predicted, measured, pictures, labelled } = result
  const { machine, device, precision, batch, threads, lanes } = at
  return {
    format: PLAN_FORMAT,
    method: plan.method,
    settings: settingsIn(plan),
    keepTokens: plan.keepTokens,
    target,
    predicted,
    measured,
    model: at.model,
    data: { name: at.data, pictures: pictures.search + pictures.prediction + pictures.measurement, labelled },
    device: { ...machine, device, precision, batch, threads, lanes },
  }
}

export const reportOf = (out: string, { method, ...result }: TuneResult, at: Circumstances): TuneReport => ({
  plan: join(out, tuneFiles.plan),
  ...at,
  ...result,
  method: method.name,
  out,
})

/**
 * Puts the plan, the numbers and the page into the folder, all or none.
 *
 * @throws InputError when it cannot be written
 */
export async function writeTuning(out: string, plan: PlanFile, report: TuneReport, page: string): Promise<void> {
  const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`
  await fillFolder(out, async (folder) => {
    await writeFileAtomic(join(folder, tuneFiles.plan), json(plan))
    await writeFileAtomic(join(folder, tuneFiles.report), json(report))
    await writeFileAtomic(join(folder, tuneFiles.page), page)
  })
}
