/** `idlevit compare --data D` */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { CompareReport } from '../../compare/compare.js'
import type { Entrant } from '../../compare/participants.js'
import { matchCells, matchHeadings } from '../../compare/results.js'
import { countByReason } from '../../data/left-out.js'
import { fail } from '../../errors.js'
import type { Precision } from '../../graph/passes/precision.js'
import { type MethodName, methodNames } from '../../reduction/registry.js'
import { addExamples } from '../help.js'
import {
  addOptions,
  addRequired,
  dataText,
  pictureOptions,
  precisions,
  readOptionsOfAll,
  type SharedOptions,
} from '../options.js'
import { createStages, emit, table, warn } from '../output.js'
import { list, oneOf, ratio, text, whole } from '../values.js'

interface CompareOptions extends Omit<SharedOptions, 'model' | 'keepRatio' | 'precision' | 'plan'> {
  readonly plan?: readonly string[]
  readonly data: string
  readonly model: string
  readonly methods?: readonly MethodName[]
  readonly keepRatio: readonly number[]
  readonly matchGmacs?: boolean
  readonly precision: readonly Precision[]
  readonly limit?: number
  readonly rounds: number
  readonly workers?: number
  readonly out?: string
  readonly resume?: boolean
}

export function addCompare(program: Command): void {
  const command = program
    .command('compare')
    .description('methods side by side on your pictures and machine: accuracy, work and speed, as a table and a page')
  addRequired(
    command,
    '--model <a,b,…>',
    'what every method is tried on: demo (embedded), a preset (deit-tiny), a hub id (owner/name[@revision]), a weights ' +
      'file or a model folder; behind it models of your own, each under its own plan',
    text('a preset, a hub id or a path'),
  )
  addRequired(command, '--data <D>', dataText, text('a path'))
  command
    .option(
      '--methods <a,b,…>',
      `token reduction: ${methodNames.join(', ')} (default: all that the model can run)`,
      (given) => list(oneOf(...methodNames))(given, '--methods'),
    )
    .option('--keep-ratio <K,…>', 'keep ratios', (given) => list(ratio)(given, '--keep-ratio'), [0.9, 0.7, 0.5])
    .option('--plan <file,…>', 'plans that tune wrote for the first model, a row each', (given) =>
      list(text('a path'))(given, '--plan'),
    )
    .option('--match-gmacs', "adjust every method's rate to the multiply-adds of idle (or of the first method)")
    .option(
      '--precision <name,…>',
      `number formats: ${precisions.join(', ')}`,
      (given) => list(oneOf(...precisions))(given, '--precision'),
      ['fp32'],
    )
    .option('--limit <N>', 'only the first N pictures', (given) => whole(1)(given, '--limit'))
    .option('--rounds <N>', 'rounds of timing that count', (given) => whole(1, 10000)(given, '--rounds'), 10)
    .option(
      '--out <DIR>',
      'folder for the page, the numbers and the answers: new, or with an earlier comparison',
      (given) => text('a path')(given, '--out'),
    )
    .option('--resume', 'go on where --out stopped: answers are kept, more rows may join; the timing is done again')
    .option('--workers <N>', 'threads that decode pictures (default: a quarter of the cores)', (given) =>
      whole(1, 64)(given, '--workers'),
    )
  addOptions(
    command,
    ['init', 'heads', 'score', 'methodOption', 'labels', ...pictureOptions, 'device', 'threads', 'batch'],
    {
      defaults: { batch: 16 },
    },
  ).action(runCompare)
  addExamples(
    command,
    ['idlevit compare --model demo --data scenes:2:200', 'the embedded model on generated pictures'],
    [
      'idlevit compare --model demo --data scenes:2:200 \\\n    --precision fp32,int8 --out compared',
      'a page of it; with --resume this goes on where it stopped',
    ],
    ['idlevit compare --model deit-tiny --data val/ --match-gmacs', 'all methods at the same multiply-adds'],
    [
      'idlevit compare --model deit-tiny --data val/ --plan tuned/plan.json',
      'a plan that tune found beside what the methods do by themselves',
    ],
    [
      'idlevit compare --model deit-tiny,my-idle --data val/ --methods none',
      'a model of your own beside the dense one',
    ],
  )
}

async function runCompare(options: CompareOptions): Promise<void> {
  const { keepRatio, precision, plan: planFiles = [], ...own } = options
  const { out, resume = false, device, threads, batch = 16 } = own
  if (resume && out === undefined) fail('--resume: wanted --out DIR, the folder of the comparison to go on with')
  const { startDecoders } = await import('../../data/decoder.js')
  const decoders = startDecoders(options.workers) // they start while the models load
  const display = createStages()
  let close = async () => {}
  try {
    const [
      setup,
      { openDataset },
      participants,
      methods,
      { planRows },
      { measuredWork },
      store,
      { compare },
      { drawPage },
    ] = await Promise.all([
      import('../setup.js'),
      import('../../data/open.js'),
      import('../../compare/participants.js'),
      import('../../compare/methods.js'),
      import('../../compare/rows.js'),
      import('../../compare/work.js'),
      import('../../compare/store.js'),
      import('../../compare/compare.js'),
      import('../../compare/page.js'),
    ])
    const entrants: Entrant[] = []
    for (const spec of modelNames(options.model)) {
      const asked = { ...own, model: spec }
      const model = await setup.openModel(asked, { cascades: true })
      entrants.push({ model, preprocess: setup.preprocessFor(asked, model) })
    }
    const [base, ...others] = entrants as [Entrant, ...Entrant[]]
    const plans = planFiles.map((path) => setup.planFor(path, base.model, { steps: true }))
    const data = await openDataset(options.data, { classes: base.model.config.classes })
    close = data.close
    setup.tellDataset(data)
    const all = participants.participantsOf([base, ...others], data, warn)
    const score = options.score ?? base.model.idle?.score
    const settings = readOptionsOfAll({ ...options, ...(score && { score }) }, options.methods ?? methodNames)
    const known = methods.comparedMethods(base.model.config, settings)
    const chosen = methods.chooseMethods(known, options.methods, base.model)
    const { preprocess } = base
    const limit = Math.min(options.limit ?? data.samples.length, data.samples.length)
    const rows = await planRows(all, {
      methods: chosen.methods,
      keepRatios: keepRatio,
      precisions: precision,
      plans: plans.map(({ path, reduction }) => ({ name: path, reduction })),
      matchGmacs: options.matchGmacs ?? false,
      work: measuredWork(data, { limit, preprocess, decoders }),
      onMatched: (done, total) => display.show('matching', done, total),
    })
    const common = participants.commonOf(data, { limit, preprocess, batch, ...(device && { device }) })
    const answers = await store.openStore(out, common, { resume })
    for (const { method, reason } of chosen.refused) warn(`${method} is left out: ${reason}`)
    const measured = await compare({
      rows,
      dataset: data,
      limit,
      preprocess,
      batch,
      rounds: options.rounds,
      decoders,
      store: answers,
      ...(device && { device }),
      ...(threads !== undefined && { threads }),
      onProgress: display.show,
      onSkip: setup.tellSkips(),
      onWarning: warn,
    })
    const report = {
      model: base.model.name,
      matched: options.matchGmacs ?? false,
      refused: chosen.refused,
      ...measured,
      preprocessing: setup.preprocessingReport(base.model) ?? preprocess,
      ...(out !== undefined && { out }),
    }
    if (out !== undefined) await store.writeResults(out, report, await drawPage(report))
    display.stop()
    emit(options.json, report, show)
  } finally {
    display.stop()
    await Promise.all(decoders.map((decoder) => decoder.close()))
    await close()
  }
}

/** The models that a list names; a path that exists may hold commas. */
const modelNames = (text: string): readonly string[] =>
  existsSync(text) ? [text] : text.split(',').map((name) => name.trim())

type Report = CompareReport & { readonly model: string; readonly matched: boolean; readonly out?: string }

function show({ model, data, images, skipped, rows, rounds, batch, matched, out, ...report }: Report): void {
  const { machine, timedTogether, available } = report
  process.stdout.write(
    `${model} on ${images} pictures of ${data}; ${machine.cpu}, ${machine.processors} processors, batch ${batch}\n\n`,
  )
  const several = new Set(rows.map(({ precision }) => precision)).size > 1
  table([
    [
      'row',
      ...(several ? ['numbers'] : []),
      'GMACs',
      'MAC ratio',
      'top-1',
      '95 %',
      'top-5',
      'to dense',
      'p',
      'images/s',
      'speedup',
      'middle half',
      'best',
    ],
    ...rows.map((row) => [
      row.name,
      ...(several ? [row.precision] : []),
      row.gmacs.toFixed(3),
      `${row.macRatio.toFixed(2)}x`,
      `${row.top1Percent.toFixed(2)} %`,
      `±${((row.top1Interval[1] - row.top1Interval[0]) / 2).toFixed(2)}`,
      `${row.top5Percent.toFixed(2)} %`,
      row.toDense && signed(row.toDense.points),
      row.toDense && pValue(row.toDense.p),
      row.imagesPerSecond.toFixed(1),
      `${row.speedup.toFixed(2)}x`,
      row === rows[0] ? undefined : row.speedupQuartiles.map((ratio) => ratio.toFixed(2)).join('–'),
      [row.best.gmacs && 'work', row.best.speed && 'speed'].filter(Boolean).join(', '),
    ]),
  ])
  const matches = rows.filter(({ match }) => match)
  if (matches.length > 0) {
    process.stdout.write('\nmatched in multiply-adds\n')
    table([
      ['row', ...matchHeadings],
      ...matches.map(({ name, gmacs, match }) => (match ? [name, ...matchCells(gmacs, match, signed)] : [])),
    ])
  }
  process.stdout.write(
    `\nto dense: points of top-1 on the same pictures, and McNemar's exact p. speedup: median of ${rounds === 1 ? '1 round' : `${rounds} rounds`} in which ` +
      `${timedTogether === rows.length ? 'all rows' : `up to ${timedTogether} rows`} took turns, and where the middle half lies.\n` +
      'best: no row of the same numbers is as right with less work, or as right and faster.\n',
  )
  const seen = images + skipped.length
  if (seen < available) process.stdout.write(`only the first ${seen} of ${available} pictures\n`)
  if (skipped.length > 0) process.stdout.write(`${skipped.length} pictures skipped\n`)
  for (const line of countByReason(skipped)) process.stdout.write(`  ${line}\n`)
  if (out !== undefined) process.stdout.write(`${join(out, 'compare.html')}\n`)
}

const signed = (value: number): string => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(2)}`
const pValue = (p: number): string => (p < 0.001 ? '<0.001' : p.toFixed(3))
