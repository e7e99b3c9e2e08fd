/** `idlevit embed IMAGE… | --data D --out FILE` */

import { type Command, Option } from 'commander'
import { countByReason } from '../../data/left-out.js'
import type { Comparison } from '../../embed/compare.js'
import type { EmbedReport } from '../../embed/embed.js'
import type { WrittenFile } from '../../embed/formats.js'
import { finishFirst } from '../../ending.js'
import { fail } from '../../errors.js'
import { present } from '../../present.js'
import { methodOf } from '../../reduction/registry.js'
import type { ClassifierOptions } from '../../runtime/classifier.js'
import { type Pool, pools } from '../../runtime/pool.js'
import type { LoadedModel } from '../../weights/load.js'
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
import { emit, startProgress, table, warn } from '../output.js'
import { checkPictures, openPictures } from '../pictures.js'
import { oneOf, text, whole } from '../values.js'

interface EmbedCommandOptions extends SharedOptions {
  readonly out: string
  readonly data?: string
  readonly pool?: Pool
  readonly tokens?: boolean
  readonly normalize?: boolean
  readonly half?: boolean
  readonly limit?: number
  readonly workers?: number
  readonly resume?: boolean
  readonly report?: boolean
}

export function addEmbed(program: Command): void {
  const command = addRequired(
    program.command('embed').description('features of pictures, for search and clustering'),
    '--out <FILE>',
    'what to write: a name that ends in .npy, .parquet or .safetensors',
    text('a path'),
  )
    .argument('[image...]', 'picture files, folders, globs or URLs; - for standard input')
    .option('--data <D>', `labelled pictures instead: ${dataText}`, (given) => text('a path')(given, '--data'))
    .option(
      '--pool <name>',
      'one vector a picture: head (what the classifier reads), class or mean (default: head)',
      (given) => oneOf(...pools)(given, '--pool'),
    )
    .addOption(new Option('--tokens', 'all image tokens in raster order instead, prefix rows apart').conflicts('pool'))
    .option('--normalize', 'divide every row by its length: products of rows are cosines')
    .option('--half', 'write float16')
    .option(
      '--report',
      'compare with the dense model: cosines, nearest neighbours, tokens by block; also as FILE.report.html',
    )
    .option('--resume', 'go on with a run that was killed')
    .option('--limit <N>', 'only the first N pictures', (given) => whole(1)(given, '--limit'))
    .option('--workers <N>', 'threads that decode pictures (default: a quarter of the cores)', (given) =>
      whole(1, 64)(given, '--workers'),
    )
  addOptions(command, [...modelOptions, ...pictureOptions, ...runtimeOptions], {
    required: ['model'],
    defaults: { batch: 16 },
  }).action(embed)
  addExamples(
    command,
    ['idlevit embed --model demo --data scenes:2:200 --out scenes.npy', 'generated pictures, one vector each'],
    [
      "idlevit embed 'photos/**/*.jpg' --model deit-small --normalize \\\n    --out photos.parquet",
      'for cosine search',
    ],
    [
      'idlevit embed photos/ --model deit-small --keep-ratio 0.7 --tokens --half \\\n    --out dense.safetensors',
      'every token in its place, idled',
    ],
    [
      'idlevit embed --model demo --data scenes:2:200 --keep-ratio 0.5 \\\n    --report --out idle.npy',
      'what idling does to them',
    ],
  )
}

async function embed(images: string[], options: EmbedCommandOptions, command: Command): Promise<void> {
  const { data, out, resume = false } = options
  checkPictures(command, images, data, 'embed')
  const { startDecoders } = await import('../../data/decoder.js')
  const decoders = startDecoders(options.workers) // they start while the model loads
  const [
    setup,
    { openNodeClassifier, throughputLanes },
    { embedPictures, unfinished },
    { checkTarget },
    { beside, formatOf },
  ] = await Promise.all([
    import('../setup.js'),
    import('../../runtime/node.js'),
    import('../../embed/embed.js'),
    import('../../embed/target.js'),
    import('../../embed/formats.js'),
  ])
  formatOf(out)
  const pagePath = options.report ? beside(out, 'report.html') : undefined
  await checkTarget(out, [options.model ?? '', data ?? '', ...images], pagePath)
  const model = await setup.openModel(options)
  const dataset = await openPictures(images, data)
  setup.tellDataset(dataset)
  const asked = setup.classifierOptions(options, model)
  if (options.report && asked.method === 'none')
    fail('--report: compares with the dense model, and this one is dense; --keep-ratio K lets tokens idle')
  const earlier = resume ? await unfinished(out) : undefined
  if (resume && !earlier) warn(`--resume: no unfinished run beside ${out}; starting from the first picture`)
  // The last digits may depend on how a batch is cut: a run goes on as it began.
  const lanes = typeof earlier?.lanes === 'number' ? earlier.lanes : throughputLanes(model, asked)
  const opened = { ...asked, lanes, features: true, trace: options.report ?? false }
  const classifier = await openNodeClassifier(model, opened)
  const dense = options.report ? await openNodeClassifier(model, denseOf(opened)) : undefined
  setup.warnAll(classifier.warnings)
  const total = Math.min(options.limit ?? Infinity, dataset.samples.length)
  const progress = startProgress('embedding', total)
  const interrupt = new AbortController()
  const release = finishFirst(() => {
    warn('interrupted: keeping what is done (once more ends at once)')
    interrupt.abort()
  })
  try {
    const report = await embedPictures(classifier, dataset, {
      out,
      preprocess: setup.preprocessFor(options, model),
      ...(options.pool && { pool: options.pool }),
      tokens: options.tokens ?? false,
      normalize: options.normalize ?? false,
      half: options.half ?? false,
      ...(options.batch !== undefined && { batch: options.batch }),
      decoders,
      limit: total,
      resume,
      ...(dense && { dense }),
      manner: { precision: options.precision ?? 'fp32', device: options.device ?? 'cpu' },
      signal: interrupt.signal,
      onProgress: (done) => progress.update(done),
      onSkip: setup.tellSkips(),
    })
    progress.stop()
    tellShrinking(report)
    const page = pagePath === undefined ? [] : [await writePage(pagePath, report)]
    const files = [...report.files, ...page]
    emit(options.json, { ...report, files, ...described(options, model, setup) }, show)
  } catch (error) {
    if (!interrupt.signal.aborted || error !== interrupt.signal.reason) throw error
    warn(`${out}.partial keeps what is done: the same command with --resume goes on`)
  } finally {
    progress.stop()
    release()
    await Promise.all([classifier.close(), dense?.close(), ...decoders.map((decoder) => decoder.close())])
    await dataset.close()
  }
}

/** Says where rows are not what a dense model's would be: where a method drops or merges tokens. */
function tellShrinking({ method, gone, tokens, pool }: EmbedReport): void {
  if (tokens === undefined && pool !== 'mean') return
  if (gone > 0) {
    const told = tokens === undefined ? 'the mean is of the others' : 'their rows are zeros'
    warn(`${method} drops tokens: ${(100 * gone).toFixed(1)} % have no features; ${told}`)
  } else if (methodOf(method).shrinks) warn(`${method} merges tokens: those that were merged have the same features`)
}

/** The dense model, computed in the same way. */
const denseOf = ({ device, precision, threads, lanes, features, trace }: ClassifierOptions): ClassifierOptions => ({
  ...present({ device, precision, threads, lanes, features, trace }),
  method: 'none',
})

/** Writes the comparison as a page for people. */
async function writePage(path: string, report: EmbedReport): Promise<WrittenFile> {
  const [{ drawComparison }, { writeFileAtomic }] = await Promise.all([
    import('../../embed/page.js'),
    import('../../files.js'),
  ])
  const content = await drawComparison(report, report.report as Comparison)
  await writeFileAtomic(path, content)
  return { path, bytes: Buffer.byteLength(content) }
}

/** What the report says of the numbers and the pictures. */
function described(options: SharedOptions, model: LoadedModel, setup: typeof import('../setup.js')) {
  const preprocessing = setup.preprocessingReport(model)
  return { precision: options.precision ?? 'fp32', ...(preprocessing && { preprocessing }) }
}

function show(report: EmbedReport): void {
  const { images, width, files, skipped, available, resumed, tokens, prefix, pool, dtype, normalize } = report
  const each = tokens === undefined ? `${pool} rows` : `${tokens} tokens and ${prefix} prefix rows`
  const rows = `${each} of ${width} ${dtype} values${normalize ? ', length 1' : ''}`
  process.stdout.write(`${images} pictures: ${rows}; ${report.imagesPerSecond.toFixed(1)} images/s\n`)
  if (resumed > 0) process.stdout.write(`${resumed} of them from an earlier run\n`)
  const seen = images + skipped.length
  if (seen < available) process.stdout.write(`only the first ${seen} of ${available} pictures\n`)
  if (skipped.length > 0) process.stdout.write(`${skipped.length} pictures skipped: they have no row\n`)
  for (const line of countByReason(skipped)) process.stdout.write(`  ${line}\n`)
  process.stdout.write('\n')
  table([['file', 'bytes'], ...files.map(({ path, bytes }) => [path, bytes])])
  if (report.report) showComparison(report.report)
}

function showComparison({ cosine, worst, neighbours, blocks }: Comparison): void {
  const digits = (value: number | null) => (value === null ? '–' : value.toFixed(4))
  const { mean, min, p5, median, max } = cosine
  process.stdout.write('\ncosine with the dense features\n')
  table([
    ['mean', 'min', '5 %', 'median', 'max', 'recall@1', 'recall@10'],
    [...[mean, min, p5, median, max].map(digits), digits(neighbours.recallAt1), digits(neighbours.recallAt10)],
  ])
  process.stdout.write('\nfarthest from the dense features\n')
  table([['picture', 'cosine'], ...worst.map((each) => [each.path, digits(each.cosine)])])
  process.stdout.write('\ntokens behind every block\n')
  table([
    ['block', 'cosine', 'gone', 'alike', 'alike, dense'],
    ...blocks.map((b) => [
      b.block,
      digits(b.cosine),
      `${(100 * b.gone).toFixed(1)} %`,
      digits(b.alike),
      digits(b.denseAlike),
    ]),
  ])
  process.stdout.write('alike: mean cosine over all pairs of a picture’s tokens (over-smoothing)\n')
}
