/** `idlevit demo`: the embedded model at work, and `--finetune`: how a model learns to be idled. */

import type { Command } from 'commander'
import type { FinetuneFindings } from '../../demo/finetune.js'
import type { Row } from '../../demo/measure.js'
import type { Findings } from '../../demo/report.js'
import { withTemporaryFolder } from '../../files.js'
import { addExamples } from '../help.js'
import { createStages, emit, table } from '../output.js'
import { text, whole } from '../values.js'

interface DemoOptions {
  readonly images: number
  readonly out?: string
  readonly finetune?: boolean
  readonly trainImages: number
  readonly json?: boolean
}

/** Of the pictures: how many have their tokens followed, and how many are drawn. */
const WATCHED = 128
const SHOWN = 4

export function addDemo(program: Command): void {
  const path = text('a path')
  const command = program
    .command('demo')
    .description('the embedded model on generated pictures, dense and idled: accuracy, speed and a report')
    .option('--images <N>', 'pictures to classify', (given) => whole(16, 10_000)(given, '--images'), 1280)
    .option(
      '--out <path>',
      'the report (default: idlevit-demo.html); with --finetune a folder for the model (default: kept nowhere)',
      (given) => path(given, '--out'),
    )
    .option('--finetune', 'instead: finetune the dense model for about two minutes, so that it can be idled')
    .option(
      '--train-images <N>',
      'pictures to finetune on',
      (given) => whole(128, 1_000_000)(given, '--train-images'),
      6000,
    )
    .option('--json', 'one JSON document on stdout')
    .action((options: DemoOptions) => (options.finetune ? finetuneDemo(options) : demo(options)))
  addExamples(
    command,
    ['idlevit demo', 'half a minute on two cores'],
    ['idlevit demo --images 2000 --out demo.html', 'more pictures, a steadier answer'],
    ['idlevit demo --finetune --out idle', 'train a model to be idled, and keep it'],
  )
}

async function demo({ images, out = 'idlevit-demo.html', json }: DemoOptions): Promise<void> {
  const { runDemo } = await import('../../demo/demo.js')
  const display = createStages()
  try {
    const found = await runDemo(out, { images, watched: WATCHED, shown: SHOWN, onProgress: display.show })
    display.stop()
    emit(json, { ...found, report: out }, show)
  } finally {
    display.stop()
  }
}

function show({ images, rounds, rows, reference, watched, report }: Findings & { readonly report: string }): void {
  const { coverage, selfCorrection, pictures, keepRatio } = watched
  process.stdout.write(`${images} generated pictures that nothing was trained on\n\n`)
  table([
    ['keep ratio', 'numbers', 'top-1', '95 %', 'GMACs', 'images/s', 'ratio', 'middle half'],
    ...[...rows, reference].map((row) => [
      row === reference ? '1, before it learned to be idled' : row.keepRatio,
      row.precision,
      `${row.top1Percent.toFixed(1)} %`,
      `±${((row.top1Interval[1] - row.top1Interval[0]) / 2).toFixed(1)}`,
      row.gmacs.toFixed(3),
      row.imagesPerSecond.toFixed(0),
      `${row.speedup.toFixed(2)}x`,
      row === rows[0] ? undefined : row.speedupQuartiles.map((ratio) => ratio.toFixed(2)).join('–'),
    ]),
  ])
  const most = Math.max(...rows.map(({ ratios }) => ratios))
  const often = most > rounds ? `; the first row and k = 0.5 in fp32 took ${most / rounds} turns in each` : ''
  process.stdout.write(
    `\nAll rows took turns in ${rounds} rounds${often}.\n` +
      'ratio: the median of the ratios to the first row inside the rounds, and their middle half.\n' +
      "images/s: the first row's median times the ratio.\n",
  )
  process.stdout.write(`\nObject pixels in computed tokens at keep ratio ${keepRatio}, over ${pictures} pictures\n\n`)
  table([
    ['block', 'tokens', 'idle model', 'dense order', 'random'],
    ...coverage.map(({ block, kept, idle, dense, random }) => [
      block,
      kept,
      ...[idle, dense, random].map((share) => percent(share)),
    ]),
  ])
  const { all, object } = selfCorrection
  process.stdout.write(
    `\n${percent(all.returned)} of all tokens idle and are computed again later; of the object's tokens that idle, ` +
      `${percent(object.recovered)} are recovered.\n${report}\n`,
  )
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

async function finetuneDemo(options: DemoOptions): Promise<void> {
  const { out } = options
  if (out === undefined) return withTemporaryFolder((folder) => finetuneInto(folder, options))
  const { checkRunFolder } = await import('../../training/folder.js')
  await checkRunFolder(out)
  return finetuneInto(out, options)
}

async function finetuneInto(folder: string, { images, out, trainImages, json }: DemoOptions): Promise<void> {
  const { finetuneDense } = await import('../../demo/finetune.js')
  const display = createStages()
  try {
    const found = await finetuneDense({
      testImages: images,
      trainImages,
      out: folder,
      onProgress: display.show,
      onAccuracy({ epoch, top1Percent, images }) {
        display.stop()
        const when = epoch === 0 ? 'before finetuning' : `after epoch ${epoch}`
        process.stderr.write(`${when}: top-1 ${top1Percent.toFixed(1)} % of ${images} pictures\n`)
      },
    })
    display.stop()
    emit(json, { ...found, ...(out !== undefined && { out }) }, showFinetuned)
  } finally {
    display.stop()
  }
}

function showFinetuned({ before, after, ...found }: FinetuneFindings & { readonly out?: string }): void {
  const { keepRatio, trainImages, testImages, seconds, out } = found
  const accuracy = (row: Row | undefined) => row && `${row.top1Percent.toFixed(1)} %`
  process.stdout.write(
    `The dense model, finetuned at keep ratio ${keepRatio} for ${seconds.toFixed(0)} s on ${trainImages} pictures, ` +
      `tested on ${testImages} others\n\n`,
  )
  table([
    ['keep ratio', 'top-1 before', 'top-1 after'],
    ...before.map((row, i) => [row.keepRatio, accuracy(row), accuracy(after[i])]),
  ])
  if (out !== undefined) process.stdout.write(`\nmodel and report are in ${out}\n`)
}
