/** `idlevit eval --data D` */

import type { Command } from 'commander'
import { countByReason } from '../../data/left-out.js'
import { fail } from '../../errors.js'
import type { EvaluationReport } from '../../evaluation/evaluate.js'
import { present } from '../../present.js'
import { addExamples } from '../help.js'
import {
  addOptions,
  addRequired,
  dataText,
  modelOptions,
  pictureOptions,
  runtimeOptions,
  type SharedOptions,
} from '../options.js'
import { emit, startProgress, table } from '../output.js'
import { positive, text, whole } from '../values.js'

interface EvalOptions extends SharedOptions {
  readonly data: string
  readonly limit?: number
  readonly workers?: number
  readonly exitBudget?: number
  readonly out?: string
}

export function addEval(program: Command): void {
  const command = addRequired(
    program.command('eval').description('accuracy on labelled pictures'),
    '--data <D>',
    dataText,
    text('a path'),
  )
    .option('--limit <N>', 'only the first N pictures', (given) => whole(1)(given, '--limit'))
    .option(
      '--exit-budget <p>',
      'of a cascade (DVT) or steps: find thresholds on these pictures, so that net k answers a share proportional to (p/20)^k: ' +
        '1 nearly all at the first, 20 equal shares, 59 most at the last',
      (given) => positive(given, '--exit-budget'),
    )
    .option('--out <DIR>', 'with --exit-budget: a new folder for the model with these thresholds', (given) =>
      text('a path')(given, '--out'),
    )
    .option('--workers <N>', 'threads that decode pictures (default: a quarter of the cores)', (given) =>
      whole(1, 64)(given, '--workers'),
    )
  addOptions(command, [...modelOptions, 'labels', ...pictureOptions, 'thresholds', ...runtimeOptions], {
    required: ['model'],
    defaults: { batch: 16 },
  }).action(evaluate)
  addExamples(
    command,
    ['idlevit eval --model demo --data scenes:2:200', 'the embedded model on generated pictures'],
    ['idlevit eval --model demo --data scenes:2:200 --keep-ratio 0.5', 'the same with fewer tokens'],
    ['idlevit eval --model deit-tiny --data val/ --precision int8 --limit 500', 'a folder per class'],
  )
}

async function evaluate(options: EvalOptions): Promise<void> {
  const { exitBudget, out } = options
  if (out !== undefined && exitBudget === undefined) fail('--out: wanted --exit-budget, whose thresholds it stores')
  if (exitBudget !== undefined && options.thresholds)
    fail('--exit-budget and --thresholds: wanted one of them, both say where nets answer')
  const { startDecoders } = await import('../../data/decoder.js')
  const decoders = startDecoders(options.workers) // they start while the model loads
  const [
    { openDataset },
    { inModelClasses },
    setup,
    { openNodeClassifier, throughputLanes },
    { evaluateClassifier },
    { checkHead },
  ] = await Promise.all([
    import('../../data/open.js'),
    import('../../data/classes.js'),
    import('../setup.js'),
    import('../../runtime/node.js'),
    import('../../evaluation/evaluate.js'),
    import('../../runtime/classifier.js'),
  ])
  const loaded = await setup.openModel(options, { cascades: true })
  checkHead(loaded)
  const { classes } = loaded.config
  const dataset = inModelClasses(await openDataset(options.data, { classes }), { ...loaded, classes })
  setup.tellDataset(dataset)
  const asked = setup.classifierOptions(options, loaded, { steps: true })
  const opening = { ...asked, lanes: throughputLanes(loaded, asked) }
  const total = Math.min(options.limit ?? dataset.samples.length, dataset.samples.length)
  const pictures = {
    preprocess: setup.preprocessFor(options, loaded),
    ...(options.batch !== undefined && { batch: options.batch }),
    decoders,
    limit: total,
  }
  const model =
    exitBudget === undefined
      ? loaded
      : await (await import('../cascade.js')).withThresholds(loaded, dataset, { ...pictures, opening, exitBudget, out })
  const found = exitBudget === undefined ? {} : present({ thresholds: model.thresholds })
  const classifier = await openNodeClassifier(model, { ...opening, ...found })
  setup.warnAll(classifier.warnings)
  const progress = startProgress('evaluating', total)
  try {
    const report = await evaluateClassifier(classifier, dataset, {
      ...pictures,
      onProgress: ({ images, top1 }) => progress.update(images, `top-1 ${((100 * top1) / images).toFixed(1)} %`),
      onSkip: setup.tellSkips(),
    })
    progress.stop()
    const preprocessing = setup.preprocessingReport(model)
    emit(options.json, { ...report, preprocessing, precision: options.precision ?? 'fp32' }, (shown) => {
      show(shown)
      if (preprocessing) process.stdout.write(`${setup.preprocessingLine(preprocessing)}\n`)
    })
  } finally {
    progress.stop()
    await Promise.all([classifier.close(), ...decoders.map((decoder) => decoder.close())])
    await dataset.close()
  }
}

function show(report: EvaluationReport): void {
  const { top1, top5, images, skipped, available } = report
  table([
    ['model', 'method', 'pictures', 'top-1', 'top-5', 'loss', 'GMACs', 'images/s'],
    [
      report.model,
      report.method,
      images,
      `${report.top1Percent.toFixed(2)} % (${top1})`,
      `${report.top5Percent.toFixed(2)} % (${top5})`,
      report.loss.toFixed(4),
      report.gmacs.toFixed(3),
      report.imagesPerSecond.toFixed(1),
    ],
  ])
  if (report.exits) {
    const at =
      report.thresholds?.map((threshold) => (threshold > 1 ? 'never' : `from ${threshold.toPrecision(4)}`)) ?? []
    table([
      [report.steps ? 'step' : 'net', 'answers', 'of the pictures', 'at confidence'],
      ...report.exits.map((count, k) => [
        k + 1,
        count,
        `${((100 * count) / images).toFixed(1)} %`,
        at[k] ?? (k + 1 === report.exits?.length ? 'any' : 'never'),
      ]),
    ])
  }
  const seen = images + skipped.length
  if (seen < available) process.stdout.write(`only the first ${seen} of ${available} pictures\n`)
  if (skipped.length > 0) process.stdout.write(`${skipped.length} pictures skipped\n`)
  for (const line of countByReason(skipped)) process.stdout.write(`  ${line}\n`)
}
