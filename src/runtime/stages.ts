/**
 * Pictures in stages: every stage answers those that it is confident of, the others go on to the next. The nets of a cascade
 * (DVT, arXiv 2105.15075) are stages, and so are the keep ratios of one elastic model.
 *
 * Pictures of several calls share runs: what goes on from one batch is joined with what goes on from the next, so that the
 * later stages run on full pieces too and no lane stays idle. A picture's answer does not depend on whom it runs with.
 */

import { confidencesOf, NEVER } from '../models/exits.js'
import type { ForwardResult } from './classifier.js'
import type { Session, Values } from './session.js'

/** One stage. */
export interface Stage {
  readonly session: Pick<Session, 'run'>
  /** What it hands on: inputs of the next stage, by the outputs that they are. */
  readonly handsOn?: Readonly<Record<string, string>>
}

export interface StagesOptions {
  /** Confidence from which a stage answers, for every stage but the last. */
  readonly thresholds: readonly number[]
  readonly classes: number
  /** Pictures per run; no more, either, than a call brings. */
  readonly size: number
  /** Runs that may be under way at once. */
  readonly lanes: number
}

/** What becomes of pictures in stages. */
export type StagedResult = Required<Pick<ForwardResult, 'logits' | 'classes' | 'exits' | 'confidences'>>

/** A call that has not been answered yet. */
interface Call {
  readonly logits: Float32Array
  readonly exits: number[]
  readonly confidences: readonly Float64Array[]
  open: number
  done(): void
  fail(error: unknown): void
}

/** A picture on its way: where it belongs, and what the next stage reads of it, `[1, …]` each. */
interface Picture {
  readonly call: Call
  readonly place: number
  readonly feeds: Readonly<Record<string, Values>>
}

/**
 * Asks stage after stage.
 *
 * @returns a function of inputs with the batch as their first dimension
 */
export function inStages(
  stages: readonly Stage[],
  { thresholds, classes, size, lanes }: StagesOptions,
): (feeds: Readonly<Record<string, Values>>) => Promise<StagedResult> {
  const waiting = stages.map((): Picture[] => [])
  let free = lanes
  let largest = 1

  /** The next run: a full piece as late as there is one, else of the first stage that has any, so that later ones fill. */
  function next(): { readonly stage: number; readonly pictures: Picture[] } | undefined {
    const full = Math.min(size, largest)
    const late = waiting.findLastIndex((each) => each.length >= full)
    const stage = late >= 0 ? late : waiting.findIndex((each) => each.length > 0)
    const queue = waiting[stage]
    if (!queue) return undefined
    const share = Math.ceil(waiting.reduce((sum, each) => sum + each.length, 0) / free) // no lane stays idle
    return { stage, pictures: queue.splice(0, Math.min(full, share)) }
  }

  function start(): void {
    while (free > 0) {
      const run = next()
      if (!run) return
      free--
      void ask(run.stage, run.pictures)
        .catch((error) => {
          for (const call of new Set(run.pictures.map((picture) => picture.call))) {
            for (const queue of waiting) remove(queue, call)
            call.fail(error)
          }
        })
        .finally(() => {
          free++
          start()
        })
    }
  }

  async function ask(k: number, pictures: readonly Picture[]): Promise<void> {
    const { session, handsOn = {} } = stages[k] as Stage
    const outputs = await session.run(joined(pictures.map(({ feeds }) => feeds)))
    const answers = outputs.logits?.data as Float32Array // [b, classes]
    const threshold = thresholds[k] ?? -NEVER
    const handed = Object.entries(handsOn).flatMap(([output, name]) => {
      const values = outputs[output]
      return values ? [[name, values] as const] : []
    })
    for (const [i, confidence] of confidencesOf(answers, classes).entries()) {
      const { call, place, feeds } = pictures[i] as Picture
      ;(call.confidences[k] as Float64Array)[place] = confidence
      if (k < stages.length - 1 && !(confidence >= threshold)) {
        const given = handed.map(([name, values]) => [name, picture(values, i)])
        const { pixel_values } = feeds as { readonly pixel_values: Values }
        waiting[k + 1]?.push({ call, place, feeds: { pixel_values, ...Object.fromEntries(given) } })
        continue
      }
      call.exits[place] = k
      call.logits.set(answers.subarray(i * classes, (i + 1) * classes), place * classes)
      if (--call.open === 0) call.done()
    }
  }

  return (feeds) => {
    const batch = feeds.pixel_values?.shape[0] ?? 0
    largest = Math.max(largest, batch)
    return new Promise((resolve, reject) => {
      const logits = new Float32Array(batch * classes)
      const exits = new Array<number>(batch).fill(0)
      const confidences = stages.map(() => new Float64Array(batch).fill(Number.NaN))
      const done = () => resolve({ logits, classes, exits, confidences })
      const call: Call = { logits, exits, confidences, open: batch, done, fail: reject }
      for (let place = 0; place < batch; place++) {
        const own = Object.entries(feeds).map(([name, values]) => [name, picture(values, place)])
        waiting[0]?.push({ call, place, feeds: Object.fromEntries(own) })
      }
      start()
    })
  }
}

/** Takes what belongs to a call out of a queue. */
function remove(queue: Picture[], call: Call): void {
  const left = queue.filter((each) => each.call !== call)
  queue.splice(0, queue.length, ...left)
}

/** A view of picture i. */
function picture({ data, shape }: Values, i: number): Values {
  const [batch = 1, ...rest] = shape
  const stride = data.length / batch
  return { data: data.subarray(i * stride, (i + 1) * stride), shape: [1, ...rest] }
}

/** Single pictures as one batch; those that lie behind each other in one memory stay there. */
function joined(parts: readonly Readonly<Record<string, Values>>[]): Record<string, Values> {
  const [first = {}] = parts
  return Object.fromEntries(
    Object.entries(first).map(([name, { shape }]) => {
      const all = parts.map((part) => part[name]?.data as Float32Array)
      return [name, { data: adjacent(all) ?? copied(all), shape: [parts.length, ...shape.slice(1)] }]
    }),
  )
}

function adjacent(parts: readonly Float32Array[]): Float32Array | undefined {
  const [first] = parts as [Float32Array, ...Float32Array[]]
  const follows = parts.every(
    (part, i) => part.buffer === first.buffer && part.byteOffset === first.byteOffset + i * first.byteLength,
  )
  return follows ? new Float32Array(first.buffer, first.byteOffset, parts.length * first.length) : undefined
}

function copied(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
