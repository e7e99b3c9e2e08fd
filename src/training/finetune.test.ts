/** Whole runs of a tiny model on made-up pictures: real step, real loader, real files. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { madeUpPictures } from '../../test/support/made-up.js'
import { randomWeights, tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { evaluateClassifier } from '../evaluation/evaluate.js'
import { imagenetPreprocess } from '../images/preprocess.js'
import type { VitConfig } from '../models/config.js'
import { openNodeClassifier } from '../runtime/node.js'
import { loadModel } from '../weights/load.js'
import { float32, type StateDict } from '../weights/state.js'
import { type FinetuneOptions, finetune } from './finetune.js'
import { readLog } from './log.js'
import { makeRecipe } from './options.js'
import type { RecipeChanges } from './recipe.js'

const root = await mkdtemp(join(tmpdir(), 'idlevit-finetune-'))
after(() => rm(root, { recursive: true }))
const folder = () => mkdtemp(join(root, 'run-'))

const pictures = (count: number, seed: number, broken?: number) => madeUpPictures(count, seed, tiny.classes, broken)

/** A model whose weights lie in shared memory, as those read from a file do. */
const model = (seed: number) => ({
  name: 'tiny',
  config: tiny,
  state: new Map(
    [...randomWeights(tiny, seed, 0.1)].map(([name, { shape, data }]) => [
      name,
      float32(shared(data as Float32Array), shape),
    ]),
  ),
})

function shared(values: Float32Array): Float32Array {
  const data = new Float32Array(new SharedArrayBuffer(4 * values.length))
  data.set(values)
  return data
}

function options(out: string, changes: RecipeChanges = {}, more: Partial<FinetuneOptions> = {}): FinetuneOptions {
  return {
    model: model(1),
    teacher: model(2),
    recipe: makeRecipe('quick', { epochs: 2, batch: 5, accumulate: 1, lr: 1e-3, keep: { keepRatio: 0.5 }, ...changes }),
    training: pictures(33, 1),
    validation: pictures(20, 2),
    preprocess: imagenetPreprocess(tiny.imageSize),
    out,
    session: { threads: 1 },
    workers: 1,
    ...more,
  }
}

test('LV-ViT learns to be idled: its stem, its heads, and the features of the tokens that are computed', async () => {
  const config: VitConfig = { ...tiny, stem: 4, qkvBias: 'none', branchScale: 0.25, auxHead: true, layerNormEps: 1e-5 }
  const named = (seed: number) => ({
    name: 'LV-ViT',
    config,
    state: new Map(
      [...randomWeights(config, seed, 0.1)].map(([name, { shape, data }]) => [
        name,
        float32(data as Float32Array, shape),
      ]),
    ),
  })
  const out = await folder()
  const student = named(1)
  const before = student.state.get('patch_embed.conv1.weight')?.data.slice()
  const changes: RecipeChanges = { epochs: 1, featureRows: 'selected', stages: 'train-script' }
  const run = options(out, changes, { model: student, teacher: named(2) })
  await finetune(run)
  const steps = (await readLog(join(out, 'log.jsonl'))).flatMap((entry) => (entry.kind === 'step' ? [entry.parts] : []))
  for (const parts of steps)
    for (const part of ['classification', 'distillation', 'feature', 'cut'])
      assert.ok((parts[part] as number) > 0 && Number.isFinite(parts[part]), part)
  const loaded = await loadModel(out)
  assert.deepEqual([loaded.config, loaded.warnings], [config, []])
  assert.deepEqual(loaded.idle?.keepRatios, [1, 0.5, 0.25, 0.125])
  assert.notDeepEqual(loaded.state.get('patch_embed.conv1.weight')?.data, before)
})

/** Threads of this process. */
const threads = () => (process.report.getReport() as { readonly workers?: readonly unknown[] }).workers?.length ?? 0

test('a run writes a folder that loads as a model and evaluates to what the log says', async () => {
  const out = await folder()
  const before = threads()
  const warnings: string[] = []
  const settings = options(
    out,
    { epochs: 1 },
    { training: pictures(33, 1, 7), warn: (message) => warnings.push(message) },
  )
  const { progress } = await finetune(settings)
  assert.equal(threads(), before)
  assert.deepEqual(
    (await readdir(out)).sort(),
    ['checkpoints', 'config.json', 'log.jsonl', 'model.safetensors', 'report.html'].sort(),
  )
  assert.deepEqual(progress.skipped, ['picture 7'])
  assert.equal(warnings.length, 1)
  const loaded = await loadModel(out)
  assert.deepEqual(loaded.config, tiny)
  assert.deepEqual(loaded.preprocess, settings.preprocess)
  assert.deepEqual(loaded.idle, { keepRatios: [1, 0.5, 0.25, 0.125], score: 'softmax' })
  const classifier = await openNodeClassifier(loaded, { ...loaded.idle, threads: 1 })
  const report = await evaluateClassifier(classifier, settings.validation, {
    preprocess: settings.preprocess,
    workers: 1,
  })
  await classifier.close()
  assert.equal(report.top1, progress.best?.top1)
  assert.ok(Math.abs(report.loss - (progress.best?.loss as number)) < 1e-5)
  const steps = (await readLog(join(out, 'log.jsonl'))).flatMap((entry) => (entry.kind === 'step' ? [entry] : []))
  assert.equal(steps.length, 6)
  assert.deepEqual(Object.keys(steps[0]?.parts ?? {}).sort(), ['classification', 'cut', 'distillation', 'feature'])
  assert.ok((await readFile(join(out, 'report.html'), 'utf8')).includes('finished'))
})

test('a run tells what it is held against: the model before, under the plan, and the dense teacher', async () => {
  const out = await folder()
  const settings = options(out, { epochs: 1 })
  await finetune(settings)
  const log = await readLog(join(out, 'log.jsonl'))
  const [start] = log
  assert.ok(start?.kind === 'start' && start.pictures === 33 && start.dropped === 3)
  const right = async (of: Pick<FinetuneOptions, 'model'>['model'], idle: { keepRatio?: number }) => {
    const classifier = await openNodeClassifier(of, { ...idle, threads: 1 })
    const { preprocess, validation } = settings
    const report = await evaluateClassifier(classifier, validation, { preprocess, workers: 1 })
    await classifier.close()
    return [report.top1, report.images, Math.fround(report.loss)]
  }
  assert.deepEqual(
    log.flatMap((entry) =>
      entry.kind === 'reference'
        ? [[entry.name, entry.evaluation.top1, entry.evaluation.images, Math.fround(entry.evaluation.loss)]]
        : [],
    ),
    [
      ['before', ...(await right(model(1), { keepRatio: 0.5 }))],
      ['dense', ...(await right(model(2), {}))],
    ],
  )
  const before = log.findIndex(({ kind }) => kind === 'reference')
  assert.ok(before < log.findIndex(({ kind }) => kind === 'step'))

  // Nothing idles and the teacher is the model itself: once is enough.
  const dense = await folder()
  await finetune(options(dense, { epochs: 1, keep: { keepRatio: 1 } }, { teacher: model(1), model: model(1) }))
  assert.equal((await readLog(join(dense, 'log.jsonl'))).filter(({ kind }) => kind === 'reference').length, 2)
  const same = model(1)
  const one = await folder()
  await finetune(options(one, { epochs: 1, keep: { keepRatio: 1 } }, { teacher: same, model: same }))
  assert.equal((await readLog(join(one, 'log.jsonl'))).filter(({ kind }) => kind === 'reference').length, 1)
})

/** Everything at once: mixing, every augmentation, accumulation, dropped branches, elastic ratios. */
const everything: RecipeChanges = {
  batch: 4,
  accumulate: 2,
  dropPath: 0.2,
  emaDecay: 0,
  keep: { keepRatio: { low: 0.4, high: 1 } },
  mix: { mixup: 0.8, cutmix: 1 },
  smoothing: 0.1,
  repeats: 2,
  augment: makeRecipe('paper').augment,
  freeze: ['pos_embed'],
}

test('interrupted anywhere and resumed, with other numbers of workers = never interrupted', async () => {
  const training = pictures(33, 1, 7)
  const whole = await folder()
  await finetune(options(whole, everything, { training, evaluateEvery: 2 }))
  const out = await folder()
  for (const last of [2]) {
    const stop = new AbortController()
    const onEntry: FinetuneOptions['onEntry'] = ({ kind, step }) => {
      if (kind === 'step' && step === last) stop.abort()
    }
    const { interrupted } = await finetune(
      options(out, everything, { training, resume: true, evaluateEvery: 2, workers: 2, signal: stop.signal, onEntry }),
    )
    assert.ok(interrupted, `not interrupted at ${last}`)
  }
  const { progress } = await finetune(options(out, everything, { training, evaluateEvery: 2, resume: true }))
  assert.equal(progress.epoch, 2)
  assert.deepEqual(Object.keys(progress.best?.byKeepRatio ?? {}).sort(), ['0.4', '1'])
  for (const file of ['model.safetensors', 'config.json'])
    assert.deepEqual(await readFile(join(out, file)), await readFile(join(whole, file)), file)
  assert.deepEqual((await loadModel(out)).idle, { score: 'softmax' })
})

test('without a teacher and with every token kept only the classification loss is left, and it falls', async () => {
  const out = await folder()
  const { teacher: _, ...rest } = options(out, { keep: { keepRatio: 1 }, epochs: 3, lr: 6e-3, emaDecay: 0 })
  const { progress } = await finetune({ ...rest, evaluateEvery: 3 })
  const epochs = (await readLog(join(out, 'log.jsonl'))).flatMap((entry) => (entry.kind === 'epoch' ? [entry] : []))
  assert.deepEqual(Object.keys(epochs[0]?.parts ?? {}), ['classification'])
  const [first, last] = [epochs[0]?.loss as number, epochs[2]?.loss as number]
  assert.ok(last < 0.8 * first, `loss from ${first} to ${last}`)
  assert.ok(progress.best)
})

test('frozen parameters stay, the others move', async () => {
  const out = await folder()
  await finetune(options(out, { epochs: 1, freeze: ['blocks.0.*', 'cls_token'], emaDecay: 0 }))
  const before = model(1).state
  const { state } = await loadModel(out)
  const moved = [...state].filter(
    ([name, { data }]) => !Buffer.from(data.buffer, data.byteOffset, data.byteLength).equals(bytesOf(before, name)),
  )
  const names = moved.map(([name]) => name)
  assert.ok(names.length > 20 && !names.includes('cls_token') && !names.some((name) => name.startsWith('blocks.0.')))
})

const bytesOf = (state: StateDict, name: string): Buffer => {
  const data = state.get(name)?.data as Float32Array
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

test('a teacher that does not fit is refused', async () => {
  const other = { ...tiny, width: 48, heads: 4, hidden: 96 }
  const teacher = { name: 'wide', config: other, state: randomWeights(other, 2, 0.1) }
  await assert.rejects(
    finetune(options(await folder(), {}, { teacher })),
    new InputError(
      '--teacher wide: wanted 24 channels as the student has, found 48; --feature-weight 0 distils the logits alone',
    ),
  )
  await finetune(options(await folder(), { epochs: 1, emaDecay: 0, loss: { feature: 0 } }, { teacher }))
})
