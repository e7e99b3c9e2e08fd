/** `idlevit calibrate --data D --target -0.25%` */

import { type Command, Option } from 'commander'
import type { CalibrateReport } from '../../calibrate/run.js'
import { parseStepsTarget, type StepsTarget, stepsTargets } from '../../calibrate/target.js'
import { countByReason } from '../../data/left-out.js'
import { fail } from '../../errors.js'
import type { StepsOutcome } from '../../tune/steps-file.js'
import { addExamples, addSection, columns, mustBeGiven } from '../help.js'
import { addOptions, dataText, pictureOptions, readChoice, runtimeOptions, type SharedOptions } from '../options.js'
import { emit, startProgress, table, warn } from '../output.js'
import { checkPictures, openPictures } from '../pictures.js'
import { list, ratio, text, whole } from '../values.js'

interface CalibrateOptions extends SharedOptions {
  readonly data?: string
  readonly target: StepsTarget
  readonly steps: readonly number[]
  readonly atMost: number
  readonly limit: number
  readonly workers?: number
  readonly out: string
}

export function addCalibrate(program: Command): void {
  const command = program
    .command('calibrate')
    .description(
      'steps for every picture: few tokens first, more where the answer is uncertain, thresholds from your pictures',
    )
    .argument('[image...]', 'pictures without labels instead of --data: files, folders, globs or URLs')
    .addOption(
      mustBeGiven(
        new Option('--target <T>', 'what the steps are for: -0.5%, 0.6x or 0.65gmacs (see below)').argParser((given) =>
          parseStepsTarget(given),
        ),
      ),
    )
    .option('--data <D>', `labelled pictures: ${dataText}`, (given) => text('a path')(given, '--data'))
    .option(
      '--steps <K,K,…>',
      'keep ratios to choose the steps among, rising; 1 is the dense model',
      (given) => list(ratio)(given, '--steps'),
      [0.5, 0.6, 0.7, 0.8, 1],
    )
    .option('--at-most <N>', 'steps at most', (given) => whole(2, 4)(given, '--at-most'), 2)
    .option(
      '--limit <N>',
      'pictures that take part, drawn by --seed from all',
      (given) => whole(4)(given, '--limit'),
      1000,
    )
    .option(
      '--out <FILE>',
      'the file to write: new, or of an earlier calibration',
      (given) => text('a path')(given, '--out'),
      'steps.json',
    )
    .option('--workers <N>', 'threads that decode pictures (default: a quarter of the cores)', (given) =>
      whole(1, 64)(given, '--workers'),
    )
  addOptions(
    command,
    [
      'model',
      'init',
      'heads',
      'method',
      'score',
      'methodOption',
      'labels',
      ...pictureOptions,
      ...runtimeOptions,
      'seed',
    ],
    { required: ['model'], defaults: { batch: 16, seed: 0 }, otherwise: { method: "the model's, or idle" } },
  ).action(runCalibrate)
  addSection(command, 'Targets:', columns(stepsTargets))
  addExamples(
    command,
    ['idlevit calibrate --model demo --data scenes:2:200 --target -1%', 'the embedded model on generated pictures'],
    [
      'idlevit calibrate --model deit-tiny --data val/ --method group \\\n    --target -0.25% --out steps.json',
      'as right as the dense model but for a quarter of a point',
    ],
    [
      'idlevit calibrate photos/ --model deit-tiny --method group --target 0.6x',
      'a mean work, by pictures without labels',
    ],
    [
      'idlevit eval --model deit-tiny --data val/ --plan steps.json',
      'what was found; also in classify, compare and bench',
    ],
  )
}

async function runCalibrate(images: string[], options: CalibrateOptions, command: Command): Promise<void> {
  const { data, steps, target, limit, out, atMost, device, threads, precision = 'fp32', batch = 16, seed = 0 } = options
  checkPictures(command, images, data, 'calibrate on')
  checkSteps(steps)
  const { startDecoders } = await import('../../data/decoder.js')
  const decoders = startDecoders(options.workers) // they start while the model loads
  const progress = startProgress('calibrating', undefined)
  let close = async () => {}
  try {
    const [setup, { checkHead }, { runCalibration }, { choiceOf }, { withStored }] = await Promise.all([
      import('../setup.js'),
      import('../../runtime/classifier.js'),
      import('../../calibrate/run.js'),
      import('../../models/steps.js'),
      import('../../reduction/registry.js'),
    ])
    const model = await setup.openModel(options)
    checkHead(model)
    const dataset = await openPictures(images, data, model.config.classes)
    close = dataset.close
    setup.tellDataset(dataset)
    const report = await runCalibration({
      ...{ model, target, dataset, limit, seed, batch, precision, decoders, out },
      choice: withStored(readChoice(options), choiceOf(model.idle)),
      ratios: steps,
      most: atMost,
      preprocess: setup.preprocessFor(options, model),
      ...(device && { device }),
      ...(threads !== undefined && { threads }),
      onProgress: (done, total) => progress.update(done, `of ${total} pictures`),
      onSkip: setup.tellSkips(),
      onWarning: warn,
    })
    progress.stop()
    if (report.alone && report.alone.gmacs <= report.calibrated.gmacs)
      warn(
        `keep ratio ${report.alone.keepRatio} for every picture does as much for less: ${report.alone.gmacs.toFixed(3)} GMACs`,
      )
    emit(options.json, report, show)
  } finally {
    progress.stop()
    await Promise.all(decoders.map((decoder) => decoder.close()))
    await close()
  }
}

/** Refuses a single step, and steps that do not rise. */
function checkSteps(steps: readonly number[]): void {
  if (steps.length < 2 || steps.length > 8) fail(`--steps: wanted two to eight keep ratios, found ${steps.length}`)
  const at = steps.findIndex((step, i) => i > 0 && step <= (steps[i - 1] as number))
  if (at > 0) fail(`--steps: wanted rising keep ratios, found ${steps[at]} after ${steps[at - 1]}`)
}

function show(report: CalibrateReport): void {
  const { model, method, target, asked, thresholds, calibrated, heldOut, denseGmacs, data, alone, skipped } = report
  process.stdout.write(`${model.name}, ${method} in steps for ${target}: ${data.pictures} pictures of ${data.name}\n\n`)
  table([
    ['step', 'keep ratio', 'GMACs', 'answers', 'from'],
    ...asked.map(({ keepRatio, gmacs }, k) => [
      k + 1,
      keepRatio,
      gmacs.toFixed(3),
      calibrated.exits?.[k],
      thresholds[k] === undefined ? 'any' : thresholds[k] > 1 ? 'never' : thresholds[k].toFixed(4),
    ]),
  ])
  process.stdout.write('\n')
  const row = (name: string, each: StepsOutcome) => [
    name,
    `${each.agreementPercent.toFixed(2)} %`,
    each.top1 === null ? undefined : `${((100 * each.top1) / each.pictures).toFixed(2)} % (${each.top1})`,
    each.pointsToDense === null ? undefined : signed(each.pointsToDense),
    each.pointsInterval?.map(signed).join(' to '),
    each.gmacs.toFixed(3),
    `${(100 * (each.gmacs / denseGmacs)).toFixed(1)} %`,
  ]
  table([
    ['', 'as dense', 'top-1', 'to dense', '95 %', 'mean GMACs', 'of dense'],
    row('these pictures', calibrated),
    row('each half by the other', heldOut),
    [
      'dense',
      undefined,
      calibrated.denseTop1 === null
        ? undefined
        : `${((100 * calibrated.denseTop1) / calibrated.pictures).toFixed(2)} % (${calibrated.denseTop1})`,
      undefined,
      undefined,
      denseGmacs.toFixed(3),
      '100.0 %',
    ],
  ])
  if (alone)
    process.stdout.write(`\none keep ratio for every picture: ${alone.keepRatio}, ${alone.gmacs.toFixed(3)} GMACs\n`)
  if (skipped.length > 0) process.stdout.write(`${skipped.length} pictures skipped\n`)
  for (const line of countByReason(skipped)) process.stdout.write(`  ${line}\n`)
  process.stdout.write(`\n${report.out}\n`)
}

const signed = (value: number): string => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(2)}`
