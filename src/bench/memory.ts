/** Peak memory of a process that does nothing but load a model and run it. */

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Loads argv[2], runs a batch of the shape argv[3] three times in pieces of argv[4] pictures, prints its peak. */
const script = `
const [ort, file, shape, piece, device, threads] = process.argv.slice(1)
const { InferenceSession, Tensor } = require(ort)
async function main() {
  const [batch, ...picture] = JSON.parse(shape)
  const session = await InferenceSession.create(file, {
    executionProviders: [device],
    logSeverityLevel: 3,
    ...(threads !== '' && { intraOpNumThreads: Number(threads) }),
  })
  const length = picture.reduce((a, b) => a * b, 1)
  const pixels = new Float32Array(batch * length)
  for (let run = 0; run < 3; run++) {
    for (let i = 0; i < batch; i += Number(piece)) {
      const n = Math.min(Number(piece), batch - i)
      const data = pixels.subarray(i * length, (i + n) * length)
      await session.run({ [session.inputNames[0]]: new Tensor('float32', data, [n, ...picture]) })
    }
  }
  process.stdout.write(String(peak()))
}
function peak() {
  try { // resourceUsage also counts the process that started this one, up to its first instruction
    return 1024 * /VmHWM:\\s*(\\d+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8'))[1]
  } catch {
    return 1024 * process.resourceUsage().maxRSS
  }
}
main()
`

export interface FootprintOptions {
  /** `[B, 3, S, S]` */
  readonly shape: readonly number[]
  /** Pictures per run of the session. */
  readonly microBatch: number
  readonly device?: string
  readonly threads?: number
}

/** Peak resident bytes of a fresh process that loads an ONNX model, weights included, and runs batches. */
export async function peakBytes(
  model: Uint8Array,
  { shape, microBatch, device = 'cpu', threads }: FootprintOptions,
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'idlevit-memory-'))
  try {
    const file = join(folder, 'model.onnx')
    await writeFile(file, model)
    const ort = createRequire(import.meta.url).resolve('onnxruntime-node')
    const piece = Math.min(microBatch, shape[0] ?? 1)
    const args = ['-e', script, ort, file, JSON.stringify(shape), String(piece), device, String(threads ?? '')]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    return Number(stdout)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
