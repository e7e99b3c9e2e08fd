/** Worker threads that run from dist as they are, and from the TypeScript sources through tsx. */

import { Worker } from 'node:worker_threads'

/**
 * Starts a worker.
 *
 * @param module - its compiled module, `new URL('./worker.js', import.meta.url)`
 * @param caller - the caller's `import.meta.url`, which tells sources from dist
 */
export function startThread(module: URL, caller: string, workerData: unknown): Worker {
  if (!caller.endsWith('.ts')) return new Worker(module, { workerData })
  // tsx does not reach into workers by itself.
  const tsx = import.meta.resolve('tsx/esm/api')
  const script = `import('${tsx}').then((tsx) => { tsx.register(); return import('${module.href}') })`
  return new Worker(script, { eval: true, workerData })
}
