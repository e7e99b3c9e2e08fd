/** Questions to a worker and its answers, by number; it takes one at a time, in their order. */

import type { Engine } from './messages.js'

interface Question {
  readonly id: number
  readonly name: keyof Engine
  readonly args: readonly unknown[]
}

type Reply =
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }

/** What a handler gets besides the question: a way to say something before its answer. */
export type Handlers = {
  readonly [N in keyof Engine]: (
    emit: (event: unknown) => void,
    ...args: Parameters<Engine[N]>
  ) => ReturnType<Engine[N]>
}

/** Answers questions, on the worker's side. */
export function serve(handlers: Handlers, port: Pick<Worker, 'postMessage' | 'onmessage'>): void {
  let tail: Promise<void> = Promise.resolve()
  port.onmessage = ({ data }: MessageEvent<Question>) => {
    const { id, name, args } = data
    const handler = handlers[name] as (emit: (event: unknown) => void, ...args: unknown[]) => Promise<unknown>
    const work = async () => {
      try {
        const value = await handler((event) => port.postMessage({ id, event }), ...args)
        port.postMessage({ id, value })
      } catch (error) {
        port.postMessage({ id, error: messageOf(error) })
      }
    }
    tail = tail.then(work)
  }
}

/** What went wrong, in the words of whoever threw it. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Asks the engine. */
export type Ask = <N extends keyof Engine>(
  name: N,
  args: Parameters<Engine[N]>,
  onEvent?: (event: never) => void,
) => ReturnType<Engine[N]>

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
  return ((name, args, onEvent) =>
    new Promise((resolve, reject) => {
      const id = count++
      open.set(id, { resolve, reject, onEvent })
      worker.postMessage({ id, name, args } satisfies Question)
    })) as Ask
}
