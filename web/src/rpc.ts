/** Questions to a worker and its answers, by number; it takes one at a time, in their order. */

import type { Engine } from './messages.js'

interface Question {
  readonly id: number
  readonly name: keyof Engine
  readonly args: readonly unknown[]
}

/** Nobody waits for the answer to this question any more. */
interface GiveUp {
  readonly giveUp: number
}

type Reply =
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }

/** What a handler gets besides the question. */
export interface Context {
  /** Says something before the answer. */
  emit(event: unknown): void
  /** Tells that nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

export type Handlers = {
  readonly [N in keyof Engine]: (context: Context, ...args: Parameters<Engine[N]>) => ReturnType<Engine[N]>
}

/** Answers questions, on the worker's side. */
export function serve(handlers: Handlers, port: Pick<Worker, 'postMessage' | 'onmessage'>): void {
  const asked = new Map<number, AbortController>()
  let tail: Promise<void> = Promise.resolve()

  async function answer({ id, name, args }: Question, signal: AbortSignal): Promise<void> {
    const handler = handlers[name] as (context: Context, ...args: readonly unknown[]) => Promise<unknown>
    try {
      signal.throwIfAborted()
      const value = await handler({ emit: (event) => port.postMessage({ id, event }), signal }, ...args)
      port.postMessage({ id, value })
    } catch (error) {
      port.postMessage({ id, error: messageOf(error) })
    } finally {
      asked.delete(id)
    }
  }

  port.onmessage = ({ data }: MessageEvent<Question | GiveUp>) => {
    if ('giveUp' in data) return asked.get(data.giveUp)?.abort(new Error('Cancelled.'))
    const controller = new AbortController()
    asked.set(data.id, controller)
    tail = tail.then(() => answer(data, controller.signal))
  }
}

/** What went wrong, in the words of whoever threw it. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Asks the engine. */
export type Ask = <N extends keyof Engine>(
  name: N,
  args: Parameters<Engine[N]>,
  options?: AskOptions,
) => ReturnType<Engine[N]>

export interface AskOptions {
  readonly onEvent?: (event: never) => void
  readonly signal?: AbortSignal
}

/**
 * The page's side of a worker.
 *
 * @param broken - told when the worker itself fails; all that was asked of it is then answered with that error
 */
export function connect(worker: Worker, broken: (reason: string) => void): Ask {
  const open = new Map<
    number,
    { resolve(value: unknown): void; reject(error: Error): void; onEvent?: ((event: never) => void) | undefined }
  >()
  let count = 0
  worker.onmessage = ({ data }: MessageEvent<Reply>) => {
    const asked = open.get(data.id)
    if (!asked) return
    if ('event' in data) return asked.onEvent?.(data.event as never)
    open.delete(data.id)
    if ('error' in data) asked.reject(new Error(data.error))
    else asked.resolve(data.value)
  }
  worker.onerror = (event) => {
    event.preventDefault()
    const reason = event.message || 'the worker could not be started'
    for (const { reject } of open.values()) reject(new Error(reason))
    open.clear()
    broken(reason)
  }
  return ((name, args, { onEvent, signal } = {}) =>
    new Promise((resolve, reject) => {
      const id = count++
      open.set(id, { resolve, reject, onEvent })
      worker.postMessage({ id, name, args } satisfies Question)
      signal?.addEventListener('abort', () => worker.postMessage({ giveUp: id } satisfies GiveUp), { once: true })
    })) as Ask
}
