/** `idlevit finetune --data D --val V --keep-ratio K --out DIR` */

import type { Command } from 'commander'
import type { Dataset } from '../../data/dataset.js'
import { finishFirst } from '../../ending.js'
import { fail } from '../../errors.js'
import type { Preprocess } from '../../images/preprocess.js'
import { type Sides, sidesOf } from '../../images/sides.js'
import { pictureSize } from '../../models/config.js'
import type { LogEntry } from '../../training/log.js'
import type { Recipe } from '../../training/recipe.js'
import type { Progress as RunProgress, TrainingSummary } from '../../training/run.js'
import type { LoadedModel } from '../../weights/load.js'
import { addFinetuneOptions, type FinetuneOptions } from '../finetune-options.js'
import { recipeChanges } from '../finetune-recipe.js'
import { addExamples } from '../help.js'
import { emit, type Progress, startProgress, table, warn } from '../output.js'

export function addFinetune(program: Command): void {
  const command = program
    .command('finetune')
    .description('train a model to run with fewer tokens, from a pretrained dense one or from scratch')
  addFinetuneOptions(command).action(finetuneCommand)
  addExamples(
    command,
    [
      'idlevit finetune --model demo-dense --data scenes:0:1500 --val scenes:1:256 \\\n    --epochs 4 --keep-ratio 0.5 --out idle',
      'the embedded dense model learns to be idled: about two minutes',
    ],
    [
      'idlevit finetune --model deit-tiny --data train/ --val val/ \\\n    --keep-ratio 0.5..1 --out any',
      'pictures in a folder per class; one model for every keep ratio',
    ],
    [
      'idlevit finetune --model deit-tiny --data train/ --val val/ \\\n    --keep-ratio 0.5..1 --out any --resume',
      'goes on after Ctrl-C and ends in the same bits',
    ],
  )
}

async function finetuneCommand(options: FinetuneOptions): Promise<void> {
  const [{ makeRecipe }, { finetune }, { hasSameClasses }, { openDataset }, { inModelClasses }, setup] =
    await Promise.all([
      import('../../training/options.js'),
      import('../../training/finetune.js'),
      import('../../training/teacher.js'),
      import('../../data/open.js'),
      import('../../data/classes.js'),
      import('../setup.js'),
    ])
  const { checkRunFolder } = await import('../../training/folder.js')
  const { data, val, out, resume, workers, threads, device, recompute } = options
  const asked = makeRecipe(options.preset, recipeChanges(options))
  checkSizes(options)
  await checkRunFolder(out, resume, [options.model ?? '', options.teacher ?? ''])
  const pictures = await openDataset(data)
  const { model, pretrained } = await openStudent(options, pictures, asked.seed)
  const recipe = await withinBudget(options, asked, model.config)
  if (options.plan !== undefined) setup.planFor(options.plan, model)
  const before = pretrained?.idle?.method ?? 'idle'
  if (options.method === undefined && options.plan === undefined && before !== 'idle')
    note(`${model.name}: it was trained with ${before}, and is now with idle; --method ${before} goes on with it`)
  const preprocess = setup.preprocessFor(withoutRatio(options), model)
  const teacher = await openTeacher(options, pretrained ?? model, preprocess)
  const known = { ...model, classes: model.config.classes }
  const training = inModelClasses(pictures, known)
  const validation = inModelClasses(await openDataset(val), known)
  for (const dataset of val === data ? [training] : [training, validation]) setup.tellDataset(dataset)
  const leftOut = [...(training.leftOut ?? []), ...(validation.leftOut ?? [])]
  if (teacher && recipe.loss.distillation > 0 && !hasSameClasses(teacher, model))
    note(`teacher ${teacher.name}: its classes are others, so its features are distilled and its answers are not`)
  const interrupt = new AbortController()
  const release = finishFirst(() => {
    warn('interrupted: saving (once more ends at once)')
    interrupt.abort()
  })
  const display = createDisplay()
  try {
    const summary = await finetune({
      model,
      ...(teacher && { teacher }),
      recipe,
      training,
      validation,
      preprocess,
      out,
      session: { ...(threads !== undefined && { threads }), ...(device && { device }) },
      ...(resume && { resume }),
      ...(workers !== undefined && { workers }),
      ...(recompute && { recompute }),
      ...(options.half && { half: true }),
      ...(options.evalEvery !== undefined && { evaluateEvery: options.evalEvery }),
      ...(options.saveEvery !== undefined && { saveSeconds: options.saveEvery }),
      signal: interrupt.signal,
      warn,
      onEntry: display.onEntry,
      onEvaluation: display.onEvaluation,
    })
    display.stop()
    if (summary.interrupted === undefined) emit(options.json, { ...summaryOf(summary, options), leftOut }, show)
    else tellResume(summary, summary.interrupted)
  } finally {
    display.stop()
    release()
    await training.close()
    await validation.close()
  }
}

/** A line on stderr about what was found and decided. */
const note = (line: string): void => void process.stderr.write(`${line}\n`)

/** The recipe with the keep ratio that `--max-gmacs` allows. */
async function withinBudget({ maxGmacs }: FinetuneOptions, recipe: Recipe, config: LoadedModel['config']) {
  if (maxGmacs === undefined) return recipe
  const { largestKeepRatio } = await import('../../models/budget.js')
  const { method = 'idle', settings } = recipe
  return { ...recipe, keep: { keepRatio: largestKeepRatio(config, { ...settings, method }, maxGmacs) } }
}

const withoutRatio = ({ keepRatio: _, ...options }: FinetuneOptions) => options

/** Sizes are for random weights only; the heads of a checkpoint may be told. */
function checkSizes({ init, patch, width, depth }: FinetuneOptions): void {
  if (init !== undefined) return
  for (const [name, value] of Object.entries({ patch, width, depth }))
    if (value !== undefined) fail(`--${name}: only random weights can have other sizes: --init random`)
}

/**
 * The model to train: pretrained, with its own head or a new one for the classes of the pictures, or random in the sizes
 * that are asked for. `pretrained` is the model as it was loaded.
 */
async function openStudent(options: FinetuneOptions, pictures: Dataset, runSeed: number) {
  const { init, crop, patch, width, depth, heads, head, classes } = options
  const [setup, { planClasses }] = await Promise.all([import('../setup.js'), import('../../training/classes.js')])
  const labels = options.labels === undefined ? undefined : await setup.readLabels(options.labels)
  const asked = { ...(head && { head }), ...(classes !== undefined && { classes }), ...(labels && { labels }) }
  if (init === undefined) {
    const { labels: _, ...rest } = withoutRatio(options)
    const pretrained = await setup.openModel(rest)
    const plan = planClasses(asked, pictures, { ...pretrained, classes: pretrained.config.classes })
    const seen = `${pictures.name}: ${plan.because}`
    if (plan.head === 'keep') {
      note(`${seen}: the head of ${plan.classes} classes is kept`)
      return { model: plan.labels ? { ...pretrained, labels: plan.labels } : pretrained, pretrained }
    }
    note(`${seen}: a new head of ${plan.classes} (${pretrained.name} has ${pretrained.config.classes})`)
    const { withNewHead } = await import('../../weights/head.js')
    return { model: withNewHead(pretrained, plan.classes, runSeed, plan.labels), pretrained }
  }
  const plan = planClasses(asked, pictures, undefined)
  const { scratchModel } = await import('../../training/scratch.js')
  const sizes = {
    ...(crop !== undefined && squareOrNot(crop)),
    ...(patch !== undefined && { patchSize: patch }),
    ...(width !== undefined && { width }),
    ...(depth !== undefined && { depth }),
    ...(heads !== undefined && { heads }),
    classes: plan.classes,
  }
  const [, digits] = init.split(':')
  const model = scratchModel(options.model ?? '', sizes, digits === undefined ? runSeed : Number(digits))
  return { model: plan.labels ? { ...model, labels: plan.labels } : model, pretrained: undefined }
}

/** A picture size as a model's config tells it. */
function squareOrNot(size: Sides) {
  const [height, width] = sidesOf(size)
  return { imageSize: width, ...(height !== width && { imageHeight: height }) }
}

/** The teacher: the model itself before training, another one, or none. */
async function openTeacher(options: FinetuneOptions, model: LoadedModel, pictures: Preprocess) {
  const { teacher, init } = options
  if (teacher === 'none' || (teacher === undefined && init !== undefined)) return undefined
  if (teacher === undefined) return model
  const [{ loadModel }, { sameStatistics, withStatistics }] = await Promise.all([
    import('../../weights/load.js'),
    import('../../weights/statistics.js'),
  ])
  const loaded = await loadModel(teacher, { imageSize: pictureSize(model.config) })
  for (const warning of loaded.warnings ?? []) warn(warning)
  const { preprocess, origins } = loaded
  // A guess is worse than what is known of the student.
  if (!preprocess || origins?.preprocess.guessed || sameStatistics(preprocess, pictures)) return loaded
  note(`teacher ${loaded.name}: its pictures are normalised otherwise, which its first layer now makes up for`)
  return { ...loaded, state: withStatistics(loaded.state, preprocess, pictures, `teacher ${loaded.name}`) }
}

/** Says how to go on. */
function tellResume({ progress, updates }: TrainingSummary, checkpoint: string): void {
  const quoted = process.argv
    .slice(2)
    .map((arg) => (/^[\w./:=,@+-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`))
  const again = ['idlevit', ...quoted.filter((arg) => arg !== '--resume'), '--resume'].join(' ')
  process.stderr.write(`saved update ${progress.step} of ${updates} as ${checkpoint}\ngo on with: ${again}\n`)
}

/** Progress on stderr: a bar per epoch and per evaluation, a line for every epoch that is done. */
function createDisplay() {
  let bar: Progress | undefined
  let evaluating = false
  let first: { readonly step: number; readonly time: number } | undefined
  const stop = () => {
    bar?.stop()
    bar = undefined
  }
  const onEntry = (entry: LogEntry, progress: RunProgress, updates: number) => {
    const { epochs } = progress.recipe
    const perEpoch = updates / epochs
    if (entry.kind === 'resume') process.stderr.write(`going on behind update ${entry.step} of ${updates}\n`)
    if (entry.kind === 'reference') {
      stop()
      const { name, evaluation } = entry
      const what = name === 'before' ? 'before finetuning' : 'the dense model'
      process.stderr.write(`${what}: top-1 ${evaluation.top1Percent.toFixed(2)} %\n`)
    }
    if (entry.kind === 'step') {
      if (evaluating) stop()
      evaluating = false
      first ??= { step: entry.step, time: Date.now() }
      bar ??= startProgress(`epoch ${entry.epoch + 1}/${epochs}`, perEpoch)
      const perUpdate = (Date.now() - first.time) / (entry.step - first.step || Number.NaN)
      bar.update(progress.stepInEpoch, noteOf(entry, (updates - entry.step) * perUpdate))
    }
    if (entry.kind === 'epoch') {
      stop()
      const { evaluation, average } = entry
      const parts = [
        `epoch ${entry.epoch + 1}/${epochs}: loss ${entry.loss.toFixed(4)}`,
        evaluation && `top-1 ${evaluation.top1Percent.toFixed(2)} %`,
        average && `of the average ${average.top1Percent.toFixed(2)} %`,
        `${entry.imagesPerSecond.toFixed(1)} pictures/s`,
      ]
      process.stderr.write(`${parts.filter(Boolean).join(', ')}\n`)
    }
  }
  const onEvaluation = (images: number, total: number) => {
    if (!evaluating || images === 0) stop()
    evaluating = true
    bar ??= startProgress('evaluating', total)
    bar.update(images)
  }
  return { onEntry, onEvaluation, stop }
}

/** Loss and its parts, learning rate, speed, and the time that the whole run still takes. */
function noteOf(entry: Extract<LogEntry, { kind: 'step' }>, left: number): string {
  const parts = Object.entries(entry.parts).map(([part, value]) => `${part} ${value.toPrecision(3)}`)
  const minutes = Number.isFinite(left) ? `, ${Math.ceil(left / 60_000)} min for all` : ''
  const rate = `${entry.imagesPerSecond.toFixed(1)} pictures/s`
  return `loss ${entry.loss.toFixed(3)} (${parts.join(', ')}), lr ${entry.lr.toExponential(1)}, ${rate}${minutes}`
}

function summaryOf({ progress }: TrainingSummary, { out }: FinetuneOptions) {
  const { step, epoch, best, skipped, seconds, recipe } = progress
  return {
    epochs: epoch,
    updates: step,
    best,
    imagesPerSecond: (step * recipe.batch * recipe.accumulate) / seconds,
    seconds,
    skipped: skipped.length,
    out,
  }
}

function show({ epochs, updates, best, imagesPerSecond, skipped, out }: ReturnType<typeof summaryOf>): void {
  table([
    ['epochs', 'updates', 'best top-1', 'best top-5', 'of', 'pictures/s'],
    [
      epochs,
      updates,
      best && `${best.top1Percent.toFixed(2)} % (${best.top1})`,
      best && `${best.top5Percent.toFixed(2)} % (${best.top5})`,
      best && `epoch ${best.epoch + 1}, ${best.of}`,
      imagesPerSecond.toFixed(1),
    ],
  ])
  if (skipped > 0) process.stdout.write(`${skipped} unreadable pictures skipped, see log.jsonl\n`)
  process.stdout.write(`model and report are in ${out}\n`)
}
