/** `idlevit classify IMAGE…` */

import type { Command } from 'commander'
import { countByReason, type LeftOut } from '../../data/left-out.js'
import { fail, InputError } from '../../errors.js'
import type { Prediction } from '../../runtime/classifier.js'
import { addExamples } from '../help.js'
import { addOptions, modelOptions, pictureOptions, type SharedOptions } from '../options.js'
import { emit, startProgress, table } from '../output.js'
import { whole } from '../values.js'

interface Classified {
  readonly image: string
  readonly predictions: readonly Prediction[]
  /** From the decoded picture to its labels. */
  readonly milliseconds: number
  /** Of a cascade or in steps: the net or step that answered, from 0, and 10⁹ multiply-adds up to it. */
  readonly exit?: number
  readonly gmacs?: number
}

export function addClassify(program: Command): void {
  const command = program
    .command('classify')
    .description('name what is in pictures')
    .argument('<image...>', 'picture files, folders, globs or URLs; - for standard input')
    .option('--top <N>', 'labels per picture', (given) => whole(1)(given, '--top'), 5)
  addOptions(command, [...modelOptions, 'labels', ...pictureOptions, 'precision', 'device', 'threads', 'thresholds'], {
    required: ['model'],
  }).action(classify)
  addExamples(
    command,
    ['idlevit classify photo.jpg --model demo', 'the embedded model: it knows sixteen kinds of objects'],
    ['idlevit classify photo.jpg --model deit-small --keep-ratio 0.7 --top 3', 'ImageNet, fewer tokens'],
    ["idlevit classify 'holiday/*.jpg' --model deit-tiny --json", 'many pictures, for a program'],
  )
}

async function classify(images: string[], options: SharedOptions & { readonly top: number }): Promise<void> {
  const { readPicture, startDecoder } = await import('../../data/decoder.js')
  const decoder = startDecoder()
  const [{ closeStdin, expandPictures, sourceNamed }, setup] = await Promise.all([
    import('../../data/pictures.js'),
    import('../setup.js'),
  ])
  const { pictures: paths, leftOut } = await expandPictures(images)
  setup.tellLeftOut(leftOut)
  // The weights are read while the runtime loads.
  const [model, { openNodeClassifier }, { checkHead, topPredictions }, { EXIT, macsOfPicture }] = await Promise.all([
    setup.openModel(options, { cascades: true }),
    import('../../runtime/node.js'),
    import('../../runtime/classifier.js'),
    import('../../models/cost.js'),
  ])
  checkHead(model)
  const preprocess = setup.preprocessFor(options, model)
  // The first picture is decoded while the session loads, every other one while its predecessor is classified.
  const load = (i: number) => {
    const path = paths[i]
    return path === undefined
      ? undefined
      : settle(sourceNamed(path).then((source) => readPicture(decoder, path, preprocess, source)))
  }
  let next = load(0)
  const asked = setup.classifierOptions(options, model, { steps: true })
  // A graph that is not rewritten has other last digits in float16.
  const once = paths.length === 1 && (asked.precision ?? 'fp32') === 'fp32'
  const classifier = await openNodeClassifier(model, { ...asked, once }).catch((error) => {
    closeStdin(paths)
    throw error
  })
  setup.warnAll(classifier.warnings)
  const macs = classifier.stages ? macsOfPicture(model.config, classifier.plan) : undefined
  const gmacsAt = (exit: number) => (macs?.({ [EXIT]: exit }) ?? Number.NaN) / 1e9
  const results: Classified[] = []
  const failures: LeftOut[] = []
  const progress = startProgress('classifying', paths.length)
  for (const [i, image] of paths.entries()) {
    const picture = await next
    next = load(i + 1)
    if (!next) void decoder.close() // it leaves while the last picture is classified
    if (picture instanceof Float32Array) {
      const start = performance.now()
      const { logits, exits: [exit] = [] } = await classifier.forward(picture)
      const predictions = topPredictions(logits, options.top, model.labels)
      const milliseconds = performance.now() - start
      results.push({ image, predictions, milliseconds, ...(exit !== undefined && { exit, gmacs: gmacsAt(exit) }) })
    } else if (picture) failures.push({ path: image, reason: withoutName(picture.message, image) })
    progress.update(i + 1)
  }
  progress.stop()
  await classifier.close()
  const [first] = failures
  if (paths.length === 1 && first) fail(`${first.path}: ${first.reason}`)
  emit(options.json, results, (shown) => show(shown, asked.steps ? 'step' : 'net'))
  if (failures.length > 0)
    fail(
      `${failures.length} of ${paths.length} pictures: ${toldOneByOne(failures) ?? countByReason(failures).join('; ')}`,
    )
}

/** A few failures with all there is to say; of many the kinds are told. */
const toldOneByOne = (failures: readonly LeftOut[]): string | undefined =>
  failures.length > 5 ? undefined : failures.map(({ path, reason }) => `${path}: ${reason}`).join('; ')

const withoutName = (message: string, name: string): string =>
  message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message

/** A picture's pixels, or what is wrong with it. */
const settle = (loading: Promise<Float32Array>): Promise<Float32Array | InputError> =>
  loading.catch((error: unknown) => {
    if (error instanceof InputError) return error
    throw error
  })

function show(results: readonly Classified[], stage: 'net' | 'step'): void {
  for (const [i, { image, predictions, milliseconds, exit, gmacs }] of results.entries()) {
    if (i > 0) process.stdout.write('\n')
    const depth = exit === undefined ? '' : `, ${stage} ${exit + 1}, ${gmacs?.toFixed(3)} GMACs`
    process.stdout.write(`${image}  (${milliseconds.toFixed(0)} ms${depth})\n`)
    table([['', 'label', 'score'], ...predictions.map(({ label, score }, rank) => row(rank, label, score))].slice(1))
  }
  const work = results.flatMap(({ gmacs }) => gmacs ?? [])
  if (work.length > 1)
    process.stdout.write(`\nmean ${(work.reduce((a, b) => a + b, 0) / work.length).toFixed(3)} GMACs\n`)
}

const row = (rank: number, label: string, score: number) => [`  ${rank + 1}.`, label, `${(100 * score).toFixed(1)} %`]
