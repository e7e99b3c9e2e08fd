/**
 * What a training step costs: its rate beside the plain matrix product of the same runtime, the optimizer's share, and
 * the gathered form beside the masked one. Everything takes turns, ratios are formed within a round.
 *
 *   npx tsx bench/step.ts [--model deit-small] [--batch 32] [--forms-batch 16] [--keep-ratio 0.7] [--rounds 5]
 *                         [--threads 2] [--profile]
 *
 * `--profile` prints the largest operators of the dense step instead.
 */

import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { interleave } from '../src/bench/interleave.js'
import { createGraph, input, output, totalMacs } from '../src/graph/graph.js'
import { matmul } from '../src/graph/ops/linear.js'
import { buildGraph } from '../src/models/build.js'
import { imageTokens } from '../src/models/config.js'
import { presets } from '../src/models/presets.js'
import { createRandom } from '../src/random.js'
import { planKeep } from '../src/reduction/schedule.js'
import { createSession } from '../src/runtime/node.js'
import type { Values } from '../src/runtime/session.js'
import { globalNorm } from '../src/training/accumulate.js'
import { adamWStep, createAdamWState } from '../src/training/adamw.js'
import { updateAverage } from '../src/training/ema.js'
import { createParameters } from '../src/training/parameters.js'
import { type Batch, buildStep, createStep, type TrainingStep } from '../src/training/step.js'
import { randomVit } from '../src/weights/init.js'
import { spread } from './statistics.js'

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'deit-small' },
    batch: { type: 'string', default: '32' },
    'forms-batch': { type: 'string', default: '16' },
    'keep-ratio': { type: 'string', default: '0.7' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string' },
    profile: { type: 'boolean', default: false },
  },
})
const { config } = presets[options.model] ?? unknownModel()
const rounds = Number(options.rounds)
const session = options.threads ? { threads: Number(options.threads) } : {}
const tokens = imageTokens(config)
const dense = Array.from({ length: config.depth }, () => tokens)
const random = createRandom(1)

const parameters = createParameters(randomVit(config, 1))
const gradients = new Float32Array(parameters.values.length)

function unknownModel(): never {
  throw new Error(`--model: wanted one of ${Object.keys(presets).join(', ')}, found ${options.model}`)
}

const randoms = (...shape: number[]): Values => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform() - 0.5),
  shape,
})

function batchOf(size: number): Batch {
  const { imageSize, classes, width } = config
  return {
    pixels: randoms(size, 3, imageSize, imageSize),
    targets: { data: new Float32Array(size * classes).fill(1 / classes), shape: [size, classes] },
    teacher: { logits: randoms(size, classes), features: randoms(size, 1, width) },
  }
}

/** Multiply-adds of one picture's forward pass, every row of every block computed. */
const forwardMacs = (keep: readonly number[]): number =>
  totalMacs(buildGraph(config, randomVit(config, 1), { keep, features: true, official: true }))

/** 2048³ multiply-adds: what the runtime makes of this machine. */
async function matrixProduct() {
  const n = 2048
  const graph = createGraph()
  output('y', matmul(input(graph, 'a', [n, n]), input(graph, 'b', [n, n])))
  const opened = await createSession(graph, session)
  const [feeds, fetches] = [{ a: randoms(n, n), b: randoms(n, n) }, { y: randoms(n, n) }]
  return { macs: n ** 3, run: () => opened.run(feeds, fetches) }
}

const percent = (ratios: readonly number[]): string =>
  spread(
    ratios.map((x) => 100 * x),
    1,
  ).text

async function speed(): Promise<void> {
  const size = Number(options.batch)
  const plan = { config, keep: dense }
  const step = await createStep(plan, parameters, gradients, session)
  const batch = batchOf(size)
  const state = createAdamWState(parameters)
  const average = parameters.values.slice()
  const product = await matrixProduct()
  const update = async () => adamWStep(parameters, gradients, state, 1e-6)
  const extras = async () => {
    globalNorm(gradients)
    updateAverage(average, parameters.values, 0.999)
  }
  const contenders = [product, { run: () => step.run(batch) }, { run: update }, { run: extras }]
  const [matrix, steps, updates, others] = await interleave(contenders, { rounds, warmup: 1, blockMilliseconds: 500 })
  if (!matrix || !steps || !updates || !others) return
  const macs = {
    counted: 3 * forwardMacs(dense),
    executed: totalMacs(buildStep(plan, parameters).graph),
  }
  /** Share of the machine's rate, with the update counted into the time. */
  const share = (perPicture: number) =>
    steps.rounds.map((time, i) => {
      const rate = (size * perPicture) / (time + (updates.rounds[i] as number))
      return rate / (product.macs / (matrix.rounds[i] as number))
    })
  console.log(`${options.model}, batch ${size}, dense, ${rounds} rounds: median (min … max)`)
  console.log(`step                      ${spread(steps.rounds, 0).text} ms`)
  console.log(
    `matrix product 2048³      ${
      spread(
        matrix.rounds.map((t) => (2e-6 * product.macs) / t),
        0,
      ).text
    } GFLOP/s`,
  )
  console.log(
    `share of that rate        ${percent(share(macs.counted))} % counting 3 × forward (${gigas(macs.counted)})`,
  )
  console.log(
    `                          ${percent(share(macs.executed))} % counting what is executed (${gigas(macs.executed)})`,
  )
  console.log(
    `AdamW                     ${percent(updates.rounds.map((t, i) => t / (steps.rounds[i] as number)))} % of the step`,
  )
  console.log(
    `norm and moving average   ${percent(others.rounds.map((t, i) => t / (steps.rounds[i] as number)))} % of the step`,
  )
  await step.close()
  console.log(`peak memory               ${(process.resourceUsage().maxRSS / 1e6).toFixed(2)} GB`)
}

const gigas = (macs: number): string => `${(macs / 1e9).toFixed(2)} GMACs a picture`

async function forms(): Promise<void> {
  const size = Number(options['forms-batch'])
  const keepRatio = Number(options['keep-ratio'])
  const { keep } = planKeep({ keepRatio }, config.depth, tokens)
  const batch = batchOf(size)
  const open = async (form: 'masked' | 'gathered') => {
    const into = new Float32Array(gradients.length)
    return { into, step: await createStep({ config, keep, form }, parameters, into, session) }
  }
  const [masked, gathered] = [await open('masked'), await open('gathered')]
  const run = ({ step }: { step: TrainingStep }) => ({ run: () => step.run(batch) })
  const options_ = { rounds, warmup: 1, blockMilliseconds: 1 }
  const [slow, fast] = await interleave([run(masked), run(gathered)], options_)
  if (!slow || !fast) return
  const losses = [await masked.step.run(batch), await gathered.step.run(batch)].map(({ loss }) => loss)
  console.log(
    `\nk = ${keepRatio}, batch ${size}: masked ${spread(slow.rounds, 0).text} ms, gathered ${spread(fast.rounds, 0).text} ms`,
  )
  const ratios = slow.rounds.map((time, i) => time / (fast.rounds[i] as number))
  console.log(`gathered is faster by     ${spread(ratios, 2).text}`)
  console.log(`losses                    ${losses.join(' and ')}`)
  let worst = 0
  for (const { start, end } of parameters.trained) {
    const [a, b] = [masked.into.subarray(start, end), gathered.into.subarray(start, end)]
    const largest = a.reduce((max, g) => Math.max(max, Math.abs(g)), 0)
    worst = Math.max(worst, b.reduce((max, g, i) => Math.max(max, Math.abs(g - (a[i] as number))), 0) / largest)
  }
  console.log(`gradients differ by       ${worst.toExponential(1)} of a tensor's largest entry, at most`)
  await masked.step.close()
  await gathered.step.close()
}

/** Time by operator and by shape, of the last of several runs. */
async function profile(): Promise<void> {
  const prefix = `idlevit-step-${process.pid}`
  const plan = { config, keep: dense }
  const step = await createStep(plan, parameters, gradients, { ...session, profile: join(tmpdir(), prefix) })
  const batch = batchOf(Number(options.batch))
  const runs = 4
  for (let i = 0; i < runs; i++) await step.run(batch)
  await step.close()
  const file = join(tmpdir(), readdirSync(tmpdir()).find((name) => name.startsWith(prefix)) ?? '')
  const events = JSON.parse(readFileSync(file, 'utf8')) as ProfileEvent[]
  rmSync(file)
  const kernels = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'))
  const times = new Map<string, number>()
  for (const { args, dur } of kernels.slice(-kernels.length / runs)) {
    const shapes = args.input_type_shape?.map((type) => Object.values(type)[0]?.join('×')).join(', ')
    const name = `${args.op_name} ${shapes}`
    times.set(name, (times.get(name) ?? 0) + dur / 1000)
  }
  const total = [...times.values()].reduce((a, b) => a + b, 0)
  console.log(`${total.toFixed(0)} ms in operators`)
  for (const [name, time] of [...times].sort(([, a], [, b]) => b - a).slice(0, 25))
    console.log(`${((100 * time) / total).toFixed(1).padStart(5)} %  ${time.toFixed(1).padStart(7)} ms  ${name}`)
}

interface ProfileEvent {
  readonly cat: string
  readonly name: string
  /** Microseconds. */
  readonly dur: number
  readonly args: { readonly op_name: string; readonly input_type_shape?: readonly Record<string, readonly number[]>[] }
}

if (options.profile) await profile()
else {
  await speed()
  await forms()
}
