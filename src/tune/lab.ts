/** Where plans are measured: their answers to a part of the pictures, and their speed in turns with the dense model. */

import type { Reduction } from '../compare/methods.js'
import { createPool, type Runnable } from '../compare/pool.js'
import { type Batches, type Speed, speedsOf, timeAll } from '../compare/timing.js'
import { fail } from '../errors.js'
import type { Precision } from '../graph/passes/precision.js'
import { executedMacs } from '../models/cost.js'
import type { Model } from '../runtime/classifier.js'
import { checkMemory } from '../runtime/free-memory.js'
import { openNodeClassifier, throughputLanes } from '../runtime/node.js'
import type { SessionOptions } from '../runtime/session.js'
import {
  type Change,
  changeOf,
  logitsOf,
  type PartName,
  type Pictures,
  type Reference,
  referenceOf,
} from './answers.js'
import type { Journal } from './journal.js'
import type { Plan } from './methods.js'

export interface LabOptions extends Pick<SessionOptions, 'device' | 'threads'> {
  readonly precision: Precision
  readonly batch: number
  readonly journal: Journal
  /** The pictures of a part. */
  readonly pictures: (part: PartName) => Promise<Pictures>
  readonly onOpen?: (done: number, total: number) => void
  readonly onWarning?: (message: string) => void
}

export interface Lab {
  /** Sessions side by side. */
  readonly lanes: number
  /** Pictures of a timed batch. */
  readonly batch: number
  /** The dense model's answers. */
  reference(part: PartName): Promise<Reference>
  /** How a plan's answers differ from the dense model's. */
  change(part: PartName, plan: Plan): Promise<Change>
  /** Speeds in turns in one run: the dense model's, then those of the plans. */
  speeds(purpose: string, plans: readonly Plan[], how: TimingHow): Promise<readonly Speed[]>
}

export interface TimingHow {
  readonly rounds: number
  readonly blockMilliseconds: number
  readonly onRound?: (done: number, total: number) => void
}

/** So many multiply-adds in all are not worth threads of their own: about a second. */
const LITTLE = 4e10

/** Batches of different pictures that plans are timed on. */
const TIMED_BATCHES = 4

export function openLab(model: Model, options: LabOptions): Lab {
  const { precision, batch, journal, pictures, onOpen, onWarning, ...session } = options
  const references = new Map<PartName, Promise<Reference>>()
  const lanes = Math.min(batch, throughputLanes(model, session))
  const dense: Reduction = { method: 'none' }
  const perPicture = executedMacs(model.config, dense)
  const runnable = (name: string, reduction: Reduction): Runnable => ({
    name,
    reduction,
    precision,
    participant: { model },
  })

  async function answer(part: PartName, reduction: Reduction) {
    const asked = await pictures(part)
    // Lanes are threads with a session each: to open them takes longer than so little work.
    const side = asked.labels.length * perPicture < LITTLE ? 1 : lanes
    const classifier = await openNodeClassifier(model, { ...reduction, precision, lanes: side, ...session })
    try {
      checkMemory([classifier], batch)
      return await logitsOf(classifier, asked)
    } finally {
      await classifier.close()
    }
  }

  function reference(part: PartName): Promise<Reference> {
    const known =
      references.get(part) ??
      answer(part, dense).then(async ({ logits, classes }) =>
        referenceOf(logits, classes, (await pictures(part)).labels),
      )
    references.set(part, known)
    return known
  }

  return {
    lanes,
    batch,
    reference,
    change: (part, plan) =>
      journal.change(`${part} ${JSON.stringify(plan)}`, async () =>
        changeOf((await answer(part, plan)).logits, await reference(part)),
      ),
    speeds: (purpose, plans, how) =>
      journal.speeds(`${purpose} ${how.rounds} ${JSON.stringify(plans)}`, async () => {
        const rows = [runnable('dense', dense), ...plans.map((plan) => runnable(plan.method, plan))]
        const pool = createPool(rows, { batch, ...session, ...(onOpen && { onOpen }), ...(onWarning && { onWarning }) })
        try {
          const { timings } = await timeAll(pool, timedBatches(await pictures('search')), how)
          return speedsOf(timings, batch)
        } finally {
          await pool.close()
        }
      }),
  }

  /** Whole batches to time with. */
  function timedBatches({ batches }: Pictures): Batches {
    const whole = batches.filter(({ length }) => length === batches[0]?.length).slice(0, TIMED_BATCHES)
    const [first, ...others] = whole
    return first ? [first, ...others] : fail('timing: no picture could be read')
  }
}
