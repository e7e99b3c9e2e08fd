/** Large batches in pieces that stay in the processor's caches. */

import type { TensorData } from '../graph/graph.js'
import type { Session, Values } from './session.js'

/**
 * A session that runs at most `size` pictures at a time and puts the results together.
 *
 * Between two operators the rows of a batch travel through memory; those of a few pictures stay in the caches. Every
 * output, and every input but those in `whole`, must have the batch as its first dimension.
 */
export function inMicroBatches(session: Session, size: number, whole: readonly string[] = []): Session {
  const { lanes = 1 } = session
  return {
    ...session,
    async run(feeds, wanted) {
      const batched = Object.entries(feeds).filter(([name]) => !whole.includes(name))
      const batch = batched[0]?.[1].shape[0] ?? 0
      const names = wanted === undefined || Array.isArray(wanted)
      const piece = Math.min(size, Math.ceil(batch / lanes)) // no lane stays idle
      if (batch <= piece || !names) return session.run(feeds, wanted)
      const starts = Array.from({ length: Math.ceil(batch / piece) }, (_, i) => i * piece)
      const runs = starts.map((first) => () => {
        const part = batched.map(([name, values]) => [name, pictures(values, first, Math.min(batch, first + piece))])
        return session.run({ ...feeds, ...Object.fromEntries(part) }, wanted)
      })
      const parts = await inOrder(runs, lanes)
      const outputs = Object.keys(parts[0] as Record<string, Values>)
      return Object.fromEntries(outputs.map((name) => [name, joined(parts.map((part) => part[name] as Values))]))
    },
  }
}

/** Results of all tasks in their order; at most `atOnce` are under way. */
async function inOrder<T>(tasks: readonly (() => Promise<T>)[], atOnce: number): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const worker = async () => {
    while (next < tasks.length) {
      const i = next++
      results[i] = await (tasks[i] as () => Promise<T>)()
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, tasks.length) }, worker))
  return results
}

/** A view of pictures `first … last - 1`. */
function pictures({ data, shape }: Values, first: number, last: number): Values {
  const [batch = 1, ...rest] = shape
  const stride = data.length / batch
  return { data: data.subarray(first * stride, last * stride), shape: [last - first, ...rest] }
}

function joined(parts: readonly Values[]): Values {
  const [{ data, shape }] = parts as [Values, ...Values[]]
  const length = parts.reduce((sum, part) => sum + part.data.length, 0)
  const all = new (data.constructor as new (length: number) => TensorData)(length)
  let offset = 0
  for (const part of parts) {
    all.set(part.data as never, offset)
    offset += part.data.length
  }
  return { data: all, shape: [parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0), ...shape.slice(1)] }
}

/** Bytes of the widest activations that a processor's caches hold beside the weights they meet. */
const CACHED_BYTES = 2.5e6

/** Pictures per run whose widest rows, `rows` of `width` float32, still fit. */
export const cachedPictures = (rows: number, width: number): number =>
  Math.max(1, Math.floor(CACHED_BYTES / (4 * rows * width)))
