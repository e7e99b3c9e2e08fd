/** `idlevit bench` */

import type { Command } from 'commander'
import type { BenchmarkReport, BenchmarkRow } from '../../bench/models.js'
import { fail } from '../../errors.js'
import type { Precision } from '../../graph/passes/precision.js'
import { type MethodName, methodNames } from '../../reduction/registry.js'
import { addExamples } from '../help.js'
import { addOptions, precisions, readChoice, readOptionsOfAll, type SharedOptions } from '../options.js'
import { emit, startProgress, table } from '../output.js'
import { list, oneOf, positive, ratio, whole } from '../values.js'

interface BenchOptions extends Omit<SharedOptions, 'keepRatio' | 'batch' | 'precision'> {
  readonly methods?: readonly MethodName[]
  readonly keepRatio: readonly number[]
  readonly batch: readonly number[]
  readonly precision: readonly Precision[]
  readonly microBatch?: number
  readonly lanes?: number
  readonly rounds: number
  readonly block: number
  readonly against?: readonly string[]
  readonly elastic?: boolean
  readonly profile?: boolean
  readonly memory: boolean
}

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .description('time a model against the plain dense one, side by side')
    .option('--methods <a,b,…>', 'several methods in one run, each with those of the options that it has', (text) =>
      list(oneOf(...methodNames))(text, '--methods'),
    )
    .option('--keep-ratio <K,…>', 'keep ratios', (text) => list(ratio)(text, '--keep-ratio'), [1, 0.7, 0.5])
    .option('--batch <N,…>', 'batch sizes', (text) => list(whole(1, 4096))(text, '--batch'), [1, 16])
    .option(
      '--precision <name,…>',
      `number formats: ${precisions.join(', ')}`,
      (text) => list(oneOf(...precisions))(text, '--precision'),
      ['fp32', 'int8'],
    )
    .option('--micro-batch <N>', 'pictures per run (default: what the caches hold)', (text) =>
      whole(1, 4096)(text, '--micro-batch'),
    )
    .option('--lanes <N>', 'sessions side by side for batches above 1 (default: one a processor)', (text) =>
      whole(1, 1024)(text, '--lanes'),
    )
    .option('--rounds <N>', 'rounds that count', (text) => whole(1, 10000)(text, '--rounds'), 10)
    .option('--block <ms>', 'least length of a block of consecutive batches', (text) => positive(text, '--block'), 300)
    .option('--against <FILE.onnx...>', "somebody else's models with the same input")
    .option('--elastic', 'time the graph that serves every keep ratio, too')
    .option('--profile', 'time per operator')
    .option('--no-memory', 'do not measure peak memory (each model once more, in a process of its own)')
  addOptions(
    command,
    ['model', 'init', 'heads', 'crop', 'plan', 'method', 'methodOption', 'score', 'device', 'threads'],
    {
      required: ['model'],
    },
  ).action(bench)
  addExamples(
    command,
    ['idlevit bench --model demo --rounds 3', 'the embedded model, a quick look'],
    [
      'idlevit bench --model deit-small --init random:0',
      'the time does not depend on the weights: none are downloaded',
    ],
    ['idlevit bench --model deit-small --init random:0 --batch 16 --profile', 'where the time goes'],
    [
      'idlevit bench --model deit-small --init random:0 --methods idle,evit,tome \\\n    --keep-ratio 0.7',
      'methods side by side',
    ],
  )
}

async function bench(options: BenchOptions): Promise<void> {
  const [{ benchmark }, setup] = await Promise.all([import('../../bench/models.js'), import('../setup.js')])
  const { keepRatio, batch, precision, methods, ...shared } = options
  if (methods && shared.method) fail('--methods and --method: wanted one of them')
  if (methods && shared.plan) fail('--methods and --plan: wanted one of them')
  const model = await setup.openModel(shared)
  const plan = shared.plan === undefined ? undefined : setup.planFor(shared.plan, model, { steps: true })
  const progress = startProgress('benchmark', undefined)
  try {
    const report = await benchmark(model, {
      keepRatios: keepRatio,
      ...(shared.init && { missing: 0 }),
      batches: batch,
      precisions: precision,
      ...(methods ? { methods, ...readOptionsOfAll(shared, methods) } : readChoice(shared)),
      ...(plan && { plan: plan.reduction }),
      ...(shared.device && { device: shared.device }),
      ...(shared.threads !== undefined && { threads: shared.threads }),
      ...(options.microBatch !== undefined && { microBatch: options.microBatch }),
      ...(options.lanes !== undefined && { lanes: options.lanes }),
      ...(options.against && { against: options.against }),
      rounds: options.rounds,
      blockMilliseconds: options.block,
      elastic: options.elastic ?? false,
      profile: options.profile ?? false,
      memory: options.memory,
      onProgress: (done, total, what) => progress.update(done, `of ${total}, ${what}`),
    })
    progress.stop()
    emit(options.json, report, show)
  } finally {
    progress.stop()
  }
}

function show({ model, machine, rows }: BenchmarkReport): void {
  const { cpu, processors, threads, onnxruntime, node, matrixGmacsPerSecond } = machine
  const rates = Object.entries(matrixGmacsPerSecond).map(([name, rate]) => `${name} ${rate.toFixed(0)}`)
  process.stdout.write(
    `${model} on ${cpu}, ${processors} processors, ${threads} threads; ONNX Runtime ${onnxruntime}, Node ${node}\n` +
      `large matrix product, GMAC/s: ${rates.join(', ')}\n\n`,
  )
  table([
    [
      'model',
      'method',
      'precision',
      'K',
      'batch',
      'ms min',
      'median',
      'max',
      'images/s',
      'speedup',
      'GMACs',
      'MAC ratio',
      'of it',
      'of rate',
      'peak MB',
    ],
    ...rows.map(cells),
  ])
  for (const row of rows.filter(({ profile }) => profile)) showProfile(row)
}

const cells = (row: BenchmarkRow) => [
  row.model,
  row.method,
  row.precision ?? '',
  row.step === undefined ? (row.keepRatio ?? '') : `step ${row.step}`,
  row.microBatch < row.batch ? `${row.batch} (${row.lanes} x ${row.microBatch})` : row.batch,
  row.msPerBatch.min.toFixed(1),
  row.msPerBatch.median.toFixed(1),
  row.msPerBatch.max.toFixed(1),
  row.imagesPerSecond.toFixed(1),
  `${row.speedup.toFixed(2)}x`,
  row.gmacs?.toFixed(2),
  row.macRatio && `${row.macRatio.toFixed(2)}x`,
  row.macShare && `${(100 * row.macShare).toFixed(0)} %`,
  row.rateShare && `${(100 * row.rateShare).toFixed(0)} %`,
  row.peakMemoryBytes && (row.peakMemoryBytes / 1e6).toFixed(0),
]

function showProfile({ model, precision, keepRatio, microBatch, profile = [] }: BenchmarkRow): void {
  const total = profile.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
  const name = [model, precision, keepRatio && `K ${keepRatio}`, `${microBatch} pictures`].filter(Boolean).join(', ')
  process.stdout.write(`\n${name}: ${total.toFixed(1)} ms in operators\n`)
  table([
    ['operator', 'nodes', 'ms', 'share'],
    ...profile
      .filter(({ share }) => share >= 0.002)
      .map(({ operator, nodes, milliseconds, share }) => [
        operator,
        nodes,
        milliseconds.toFixed(2),
        `${(100 * share).toFixed(1)} %`,
      ]),
  ])
}
