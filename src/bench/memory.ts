/** Peak memory of a process that does nothing but load a model and run it. */

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { beforeEnd } from '../ending.js'
import { withTemporaryFolder } from '../files.js'
import { runtimeOptions, type SessionOptions } from '../runtime/session.js'

/** Loads a model, runs a batch three times in pieces, in as many threads as there are lanes, and prints its peak. */
const script = `
const { Worker, isMainThread } = require('node:worker_threads')
const { readFileSync } = require('node:fs')
const [ort, file, shape, piece, lanes, options] = process.argv.slice(-6)
const { InferenceSession, Tensor } = require(ort)
async function run() {
  const [batch, ...picture] = JSON.parse(shape)
  const session = await InferenceSession.create(file, JSON.parse(options))
  const length = picture.reduce((a, b) => a * b, 1)
  const mine = Math.ceil(batch / lanes)
  const pixels = new Float32Array(mine * length)
  for (let run = 0; run < 3; run++) {
    for (let i = 0; i < mine; i += Number(piece)) {
      const n = Math.min(Number(piece), mine - i)
      const data = pixels.subarray(i * length, (i + n) * length)
      await session.run({ [session.inputNames[0]]: new Tensor('float32', data, [n, ...picture]) })
    }
  }
  await session.release()
}
function peak() {
  try { // resourceUsage also counts the process that started this one, up to its first instruction
    return 1024 * /VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
  } catch {
    return 1024 * process.resourceUsage().maxRSS
  }
}
async function main() {
  if (lanes === '1') await run()
  else {
    const thread = () => new Worker(process._eval, { eval: true, argv: process.argv.slice(-6) })
    await Promise.all(Array.from({ length: Number(lanes) }, () => new Promise((resolve, reject) => {
      thread().on('error', reject).on('exit', resolve)
    })))
  }
  process.stdout.write(String(peak()))
}
if (isMainThread) main()
else run()
`

/**
 * glibc hands large blocks back when they are freed, until the first such block; from then on it keeps blocks of that
 * size, which adds up to 60 MB of freed weights to a peak, by chance. A fixed threshold keeps it to the first habit.
 */
const steady = { MALLOC_MMAP_THRESHOLD_: String(2 ** 17) }

export interface FootprintOptions {
  /** `[B, 3, S, S]` */
  readonly shape: readonly number[]
  /** Pictures per run of the session. */
  readonly microBatch: number
  /** How the model is opened. */
  readonly session?: SessionOptions
}

/** Peak resident bytes of a fresh process that loads an ONNX model, weights included, and runs batches. */
export async function peakBytes(
  model: Uint8Array,
  { shape, microBatch, session = {} }: FootprintOptions,
): Promise<number> {
  const { lanes = 1, device = 'cpu', threads = lanes > 1 ? 1 : undefined } = session
  return withTemporaryFolder(async (folder) => {
    const file = join(folder, 'model.onnx')
    await writeFile(file, model)
    const ort = createRequire(import.meta.url).resolve('onnxruntime-node')
    const piece = Math.min(microBatch, shape[0] ?? 1)
    const options = runtimeOptions({ ...session, ...(threads && { threads }), executionProviders: [device] })
    const args = ['-e', script, ort, file, ...[shape, piece, lanes, options].map((value) => JSON.stringify(value))]
    return Number(await outputOf(args))
  })
}

/** What a Node process prints. It ends with this one, and only then: a Ctrl-C in the terminal does not reach it. */
function outputOf(args: readonly string[]): Promise<string> {
  const options = { env: { ...process.env, ...steady }, detached: true, windowsHide: true }
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, args, options, (error, stdout) => {
      release()
      if (error) reject(error)
      else resolve(stdout)
    })
    const gone = new Promise((resolve) => child.on('close', resolve))
    const release = beforeEnd(() => {
      child.kill('SIGKILL')
      return gone
    })
  })
}
