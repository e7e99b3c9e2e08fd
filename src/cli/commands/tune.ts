/** `idlevit tune --data D --target 1.5x` */

import { type Command, Option } from 'commander'
import { fail } from '../../errors.js'
import { tunable } from '../../tune/methods.js'
import type { TuneReport } from '../../tune/report.js'
import { parseTarget, type Target, targetForms } from '../../tune/target.js'
import { addExamples, addSection, columns, mustBeGiven } from '../help.js'
import {
  addOptions,
  dataText,
  pictureOptions,
  readOptionsOfAll,
  runtimeOptions,
  type SharedOptions,
} from '../options.js'
import { createStages, emit, table, warn } from '../output.js'
import { checkPictures, openPictures } from '../pictures.js'
import { list, oneOf, text, whole } from '../values.js'

interface TuneOptions extends SharedOptions {
  readonly data?: string
  readonly target: Target
  readonly methods?: readonly (typeof tunable)[number][]
  readonly limit: number
  readonly tries: number
  readonly rounds: number
  readonly workers?: number
  readonly out: string
  readonly resume?: boolean
}

export function addTune(program: Command): void {
  const command = program
    .command('tune')
    .description('find the plan that fits a target on this device and your pictures, without training')
    .argument('[image...]', 'pictures without labels instead of --data: files, folders, globs or URLs')
    .addOption(
      mustBeGiven(
        new Option('--target <T>', 'what the plan is for: 0.7x, 1.8x, 12ms or -0.5% (see below)').argParser((given) =>
          parseTarget(given),
        ),
      ),
    )
    .option('--data <D>', `labelled pictures: ${dataText}`, (given) => text('a path')(given, '--data'))
    .option(
      '--methods <a,b,…>',
      `methods to seek among: ${tunable.join(', ')} (default: all that the model can run)`,
      (given) => list(oneOf(...tunable))(given, '--methods'),
    )
    .option(
      '--limit <N>',
      'pictures that take part, drawn by --seed from all: a third to search, to predict and to measure on',
      (given) => whole(6)(given, '--limit'),
      600,
    )
    .option('--tries <N>', 'plans whose answers the search measures', (given) => whole(1, 100000)(given, '--tries'), 64)
    .option('--rounds <N>', 'rounds of timing that count', (given) => whole(1, 10000)(given, '--rounds'), 10)
    .option(
      '--out <DIR>',
      'folder for plan.json, a page, the numbers and a journal: new, or with an earlier tuning',
      (given) => text('a path')(given, '--out'),
      'tuned',
    )
    .option('--resume', 'go on where --out stopped; nothing is measured twice, also for another target')
    .option('--workers <N>', 'threads that decode pictures (default: a quarter of the cores)', (given) =>
      whole(1, 64)(given, '--workers'),
    )
  addOptions(
    command,
    ['model', 'init', 'heads', 'score', 'methodOption', 'labels', ...pictureOptions, ...runtimeOptions, 'seed'],
    { required: ['model'], defaults: { batch: 16, seed: 0 } },
  ).action(runTune)
  addSection(command, 'Targets:', columns(targetForms))
  addExamples(
    command,
    [
      'idlevit tune --model demo --data scenes:2:120 --target 0.6x --tries 12',
      'a plan of little more than half the work',
    ],
    ['idlevit tune --model deit-tiny --data val/ --target 1.5x --out tuned', 'half as fast again, on this machine'],
    [
      'idlevit tune --model deit-tiny --data val/ --target -0.5% \\\n    --out tuned --resume',
      'another target: what was measured is used',
    ],
    ['idlevit tune photos/ --model deit-tiny --target 12ms --batch 1', 'a deadline, by pictures without labels'],
    ['idlevit eval --model deit-tiny --data val/ --plan tuned/plan.json', 'what was found, in any command'],
  )
}

async function runTune(images: string[], options: TuneOptions, command: Command): Promise<void> {
  const { data, out, resume = false, device, threads, precision = 'fp32', batch = 16, seed = 0 } = options
  checkPictures(command, images, data, 'tune on')
  const { startDecoders } = await import('../../data/decoder.js')
  const decoders = startDecoders(options.workers) // they start while the model loads
  const display = createStages()
  let close = async () => {}
  try {
    const [setup, { checkHead }, { chooseMethods }, { tunableMethods, tunedMethod }, { runTuning }] = await Promise.all(
      [
        import('../setup.js'),
        import('../../runtime/classifier.js'),
        import('../../compare/methods.js'),
        import('../../tune/methods.js'),
        import('../../tune/run.js'),
      ],
    )
    const model = await setup.openModel(options)
    checkHead(model)
    const dataset = await openPictures(images, data, model.config.classes)
    close = dataset.close
    setup.tellDataset(dataset)
    const score = options.score ?? model.idle?.score
    const settings = readOptionsOfAll({ ...options, ...(score && { score }) }, options.methods ?? tunable)
    const { methods, refused } = chooseMethods(tunableMethods(model.config, settings), options.methods, model)
    if (methods.length === 0) fail(`--methods: wanted a method that ${model.name} can run: ${refused[0]?.reason}`)
    for (const { method, reason } of refused) warn(`${method} is left out: ${reason}`)
    const { target, limit, tries, rounds } = options
    const report = await runTuning({
      ...{
        model,
        methods,
        refused,
        dataset,
        target,
        limit,
        seed,
        batch,
        precision,
        tries,
        rounds,
        decoders,
        out,
        resume,
      },
      methods: methods.map((method) => tunedMethod(model.config, method)),
      preprocess: setup.preprocessFor(options, model),
      ...(device && { device }),
      ...(threads !== undefined && { threads }),
      onProgress: display.show,
      onSkip: setup.tellSkips(),
      onResume: (count) => process.stderr.write(`going on with ${count} measurements of ${out}\n`),
      onWarning: warn,
    })
    display.stop()
    if (report.missed !== undefined) warn(`the target was missed: ${report.missed}`)
    emit(options.json, report, show)
  } finally {
    display.stop()
    await Promise.all(decoders.map((decoder) => decoder.close()))
    await close()
  }
}

function show(report: TuneReport): void {
  const { model, method, target, tokens, predicted, measured, pictures, costs, candidates } = report
  process.stdout.write(
    `${model.name}, ${method} for ${target}: ${report.tries} plans of ${report.methods.join(', ')} tried on ${pictures.search} ` +
      `pictures of ${report.data}; ${report.machine.cpu}, ${report.machine.processors} processors, batch ${report.batch}\n\n`,
  )
  table([
    ['', 'as dense', 'top-1', 'to dense', '95 %', 'GMACs', 'ms', 'times as fast'],
    [
      'predicted',
      `${predicted.agreementPercent.toFixed(2)} %`,
      predicted.top1Percent === null ? undefined : `${predicted.top1Percent.toFixed(2)} %`,
      signed(predicted.pointsToDense),
      predicted.pointsInterval.map(signed).join(' to '),
      predicted.gmacs.toFixed(3),
      predicted.milliseconds.toFixed(2),
      `${predicted.speedup.toFixed(2)}x`,
    ],
    [
      'measured',
      `${measured.agreementPercent.toFixed(2)} %`,
      measured.top1Percent === null ? undefined : `${measured.top1Percent.toFixed(2)} %`,
      measured.pointsToDense === null ? undefined : signed(measured.pointsToDense),
      measured.pointsInterval?.map(signed).join(' to '),
      measured.gmacs.toFixed(3),
      measured.milliseconds.toFixed(2),
      `${measured.speedup.toFixed(2)}x`,
    ],
    [
      'dense',
      undefined,
      measured.denseTop1Percent === null ? undefined : `${measured.denseTop1Percent.toFixed(2)} %`,
      undefined,
      undefined,
      measured.denseGmacs.toFixed(3),
      measured.denseMilliseconds.toFixed(2),
      '1.00x',
    ],
  ])
  process.stdout.write(`\ntokens by block: ${tokens.join(',')}\n\n`)
  table([
    ['the front', 'GMACs', 'ms', 'as dense', 'to dense', 'tokens by block'],
    ...candidates
      .filter(({ best, chosen }) => best.speed || best.gmacs || chosen)
      .sort((a, b) => a.milliseconds - b.milliseconds)
      .map((each) => [
        each.chosen ? `${each.method} *` : each.method,
        each.gmacs.toFixed(3),
        each.milliseconds.toFixed(2),
        `${each.agreementPercent.toFixed(1)} %`,
        signed(each.pointsToDense),
        each.tokens.join(','),
      ]),
  ])
  const errors = costs.map(({ method, error }) => `${method} ${(100 * error).toFixed(1)} %`).join(', ')
  process.stdout.write(
    `\npredicted from ${pictures.prediction} pictures that had no say in the search, measured on ${pictures.measurement} others. ` +
      `${report.labelled ? '' : 'No labels: points to dense are what its own probabilities let expect. '}` +
      `Time follows from work by a line for each method, off by: ${errors}.\n`,
  )
  if (report.skipped.length > 0) process.stdout.write(`${report.skipped.length} pictures skipped\n`)
  process.stdout.write(`${report.plan}\n`)
}

const signed = (value: number): string => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(2)}`
