/** The classifiers of a comparison's rows, as many of them open at once as memory holds. */

import { freemem } from 'node:os'
import type { Classifier } from '../runtime/classifier.js'
import { openNodeClassifier, throughputLanes } from '../runtime/node.js'
import type { SessionOptions } from '../runtime/session.js'
import type { PlannedRow } from './rows.js'

/** What can be opened: a model, and how it runs. */
export interface Runnable extends Pick<PlannedRow, 'name' | 'reduction' | 'precision'> {
  readonly participant: Pick<PlannedRow['participant'], 'model'>
}

/** Memory of a session in sizes of its weights: as they are read, as they are packed, and slack. */
const COPIES = 3

/** Classifiers of rows, as many open at once as memory holds. */
export interface Pool<R extends Runnable = PlannedRow> {
  /** Rows that can be open at once. */
  readonly capacity: number
  /** Sessions side by side of every row. */
  readonly lanes: number
  open(rows: readonly R[]): Promise<Classifier[]>
  /** All rows, the dense one at the head of every group. */
  timingGroups(): R[][]
  close(): Promise<void>
}

/** What a pool opens its classifiers with. */
export interface PoolOptions extends Pick<SessionOptions, 'device' | 'threads'> {
  /** Pictures that are classified at once: there are no more lanes than that. */
  readonly batch: number
  /** Bytes that may be filled; default half of what is free. */
  readonly memory?: number
  readonly onOpen?: (done: number, total: number) => void
  readonly onWarning?: (message: string) => void
}

/** A pool for rows of which the first is dense. Nothing is open yet. */
export function createPool<R extends Runnable>(rows: readonly R[], options: PoolOptions): Pool<R> {
  const { batch, device, threads, memory = freemem() / 2, onOpen, onWarning } = options
  const session = { ...(device && { device }), ...(threads !== undefined && { threads }) }
  const models = [...new Set(rows.map(({ participant }) => participant.model))]
  const lanes = Math.min(batch, ...models.map((model) => throughputLanes(model, session)))
  const largest = Math.max(...models.map(({ state }) => bytesOf(state)))
  const capacity = Math.max(2, Math.floor(memory / (COPIES * lanes * largest)))
  const opened = new Map<R, Classifier>()
  const told = new Set<string>()
  async function close(row: R): Promise<void> {
    await opened.get(row)?.close()
    opened.delete(row)
  }
  return {
    capacity,
    lanes,
    async open(wanted) {
      const missing = wanted.filter((row) => !opened.has(row))
      if (opened.size + missing.length > capacity)
        for (const row of [...opened.keys()]) if (!wanted.includes(row)) await close(row)
      for (const [i, row] of missing.entries()) {
        onOpen?.(i, missing.length)
        const { reduction, precision, participant } = row
        const classifier = await openNodeClassifier(participant.model, { ...reduction, precision, lanes, ...session })
        opened.set(row, classifier)
        for (const warning of classifier.warnings) if (!told.has(warning)) onWarning?.(`${row.name}: ${warning}`)
        for (const warning of classifier.warnings) told.add(warning)
      }
      return wanted.map((row) => opened.get(row) as Classifier)
    },
    timingGroups() {
      const [dense, ...others] = rows as unknown as [R, ...R[]]
      return others.length === 0 ? [[dense]] : inPieces(others, capacity - 1).map((group) => [dense, ...group])
    },
    async close() {
      await Promise.all([...opened.keys()].map(close))
    },
  }
}

const bytesOf = (state: Runnable['participant']['model']['state']): number =>
  [...state.values()].reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0)

/** Neighbours together, `size` at most. */
export function inPieces<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))
}
