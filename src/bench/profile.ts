/** Time per operator, from ONNX Runtime's own profile. */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withTemporaryFolder } from '../files.js'
import type { Session } from '../runtime/session.js'
import { median } from './interleave.js'

export interface OperatorTime {
  readonly operator: string
  /** Nodes of the graph after ONNX Runtime's optimisations. */
  readonly nodes: number
  /** Milliseconds of one run: the sum over nodes of their medians. */
  readonly milliseconds: number
  /** Share of all operators, 0 to 1. */
  readonly share: number
}

/** Runs that are measured, after one that is not. */
const RUNS = 7

/**
 * Profiles a session, slowest operator first.
 *
 * @param open - opens the session with a profile under the given file prefix
 */
export function profileOperators(
  open: (prefix: string) => Promise<Session>,
  run: (session: Session) => Promise<unknown>,
): Promise<OperatorTime[]> {
  return withTemporaryFolder(async (folder) => {
    const session = await open(join(folder, 'ort'))
    for (let i = 0; i <= RUNS; i++) await run(session)
    await session.close()
    const [file] = await readdir(folder)
    if (file === undefined) throw new Error('ONNX Runtime wrote no profile')
    return summarise(JSON.parse(await readFile(join(folder, file), 'utf8')))
  })
}

/** An entry of the profile; `dur` is in microseconds. */
interface TraceEvent {
  readonly cat: string
  readonly name: string
  readonly dur: number
  readonly args?: { readonly op_name?: string }
}

/** Sums a profile's events by operator. */
export function summarise(events: readonly TraceEvent[]): OperatorTime[] {
  const nodes = new Map<string, { operator: string; times: number[] }>()
  for (const { cat, name, dur, args } of events) {
    if (cat !== 'Node' || !name.endsWith('_kernel_time') || args?.op_name === undefined) continue
    if (args.op_name === 'If') continue // the operators of its body are listed themselves
    const node = nodes.get(name) ?? { operator: args.op_name, times: [] }
    node.times.push(dur)
    nodes.set(name, node)
  }
  const operators = new Map<string, { nodes: number; milliseconds: number }>()
  for (const { operator, times } of nodes.values()) {
    const sum = operators.get(operator) ?? { nodes: 0, milliseconds: 0 }
    sum.nodes++
    sum.milliseconds += median(times.length > 1 ? times.slice(1) : times) / 1000
    operators.set(operator, sum)
  }
  const total = [...operators.values()].reduce((all, { milliseconds }) => all + milliseconds, 0)
  return [...operators]
    .map(([operator, sum]) => ({ operator, ...sum, share: sum.milliseconds / total }))
    .sort((a, b) => b.milliseconds - a.milliseconds)
}
