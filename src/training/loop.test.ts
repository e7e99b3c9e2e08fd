import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { toyRun, weightsHash } from '../../test/support/toy-run.js'
import { InputError } from '../errors.js'
import { readSafetensorsFile } from '../weights/files.js'
import { readCheckpoint } from './checkpoint.js'
import { type EpochEntry, readLog, type StepEntry } from './log.js'
import { train } from './loop.js'
import { makeRecipe } from './options.js'
import type { TrainingRun } from './run.js'
import { learningRate } from './update.js'

const root = await mkdtemp(join(tmpdir(), 'idlevit-train-'))
after(() => rm(root, { recursive: true }))
const folder = () => mkdtemp(join(root, 'run-'))

const steps = async (path: string) =>
  (await readLog(join(path, 'log.jsonl'))).filter((entry): entry is StepEntry => entry.kind === 'step')
const epochs = async (path: string) =>
  (await readLog(join(path, 'log.jsonl'))).filter((entry): entry is EpochEntry => entry.kind === 'epoch')

test('a run learns, keeps the best of weights and average, and tells what it did', async () => {
  const out = await folder()
  const { progress, updates, interrupted } = await train(toyRun(out))
  assert.deepEqual([progress.step, progress.epoch, updates, interrupted], [24, 4, 24, undefined])
  const logged = await steps(out)
  assert.deepEqual(
    logged.map(({ step }) => step),
    Array.from({ length: 24 }, (_, i) => i + 1),
  )
  const [first, last] = [logged[0]?.loss as number, logged[23]?.loss as number]
  assert.ok(last < 0.2 * first, `loss from ${first} to ${last}`)
  const evaluated = (await epochs(out)).flatMap(({ epoch, evaluation, average }) => [
    { ...evaluation, epoch, of: 'weights' },
    { ...average, epoch, of: 'average' },
  ])
  const best = evaluated.reduce((a, b) => ((b.top1 as number) > (a.top1 as number) ? b : a))
  assert.deepEqual(progress.best, best)
  const { state } = await readSafetensorsFile(join(out, 'model.safetensors'))
  assert.deepEqual([...state.keys()].sort(), ['ballast', 'fc.bias', 'fc.weight'])
  assert.equal((await readdir(join(out, 'checkpoints'))).length, 2)
})

test('the log begins with what training does not see', async () => {
  const out = await folder()
  const leftOut = [{ path: 'train/notes.txt', reason: '.txt is not a picture format that is read' }]
  const run = toyRun(out, { epochs: 1 }, { leftOut })
  await train(run)
  const [start] = await readLog(join(out, 'log.jsonl'))
  assert.ok(start?.kind === 'start')
  assert.deepEqual([start.leftOut, start.pictures, start.dropped], [leftOut, 51, 3])
})

test('weight decay is for matrices alone', async () => {
  const run = toyRun(await folder())
  await train(run)
  const ballast = run.parameters.trained.find(({ name }) => name === 'ballast')?.start as number
  // Its gradient is zero, so only decay moves it: the product of 1 - lr · 0.05 over all updates.
  const expected = (await steps(run.folder)).reduce((weight, { lr }) => weight * (1 - lr * 0.05), 1)
  assert.ok(
    Math.abs((run.parameters.values[ballast] as number) - expected) < 1e-5,
    `${run.parameters.values[ballast]} instead of ${expected}`,
  )
})

for (const changes of [{}, { accumulate: 3, dropPath: 0.1, keep: { keepRatio: { low: 0.5, high: 1 } } }]) {
  test(`interrupted at any update and resumed = never interrupted ${JSON.stringify(changes)}`, async () => {
    const whole = toyRun(await folder(), changes)
    await train(whole)
    const out = await folder()
    for (const last of [1, 6, 7, 12, 20]) {
      const stop = new AbortController()
      const onEntry = ({ step, kind }: { step: number; kind: string }) => {
        if (kind === 'step' && step === last) stop.abort()
      }
      const { interrupted, progress } = await train(
        toyRun(out, changes, { resume: true, signal: stop.signal, onEntry }),
      )
      assert.match(interrupted as string, new RegExp(`step-0*${last}\\.safetensors$`))
      assert.equal(progress.step, last)
    }
    const resumed = toyRun(out, changes, { resume: true })
    const { progress } = await train(resumed)
    assert.equal(weightsHash(resumed), weightsHash(whole))
    assert.deepEqual(
      await readFile(join(out, 'model.safetensors')),
      await readFile(join(whole.folder, 'model.safetensors')),
    )
    const lastOf = (path: string) => readCheckpoint(join(path, 'checkpoints', 'step-000000024.safetensors'))
    assert.deepEqual((await lastOf(out)).tensors, (await lastOf(whole.folder)).tensors)
    const told = (entries: StepEntry[]) =>
      entries.map(({ step, loss, lr, keepRatio }) => ({ step, loss, lr, keepRatio }))
    assert.deepEqual(told(await steps(out)), told(await steps(whole.folder)))
    assert.equal((await epochs(out)).length, 4)
    assert.equal(progress.epoch, 4)
  })
}

test('an interrupt during an evaluation does not wait for it, and the evaluation is done after resuming', async () => {
  const out = await folder()
  const stop = new AbortController()
  const evaluate: TrainingRun['evaluate'] = () => {
    stop.abort()
    return new Promise(() => {})
  }
  const { interrupted, progress } = await train(toyRun(out, {}, { evaluate, signal: stop.signal }))
  assert.match(interrupted as string, /step-000000006/)
  assert.equal(progress.epoch, 0)
  const whole = toyRun(await folder())
  await train(whole)
  const resumed = toyRun(out, {}, { resume: true })
  await train(resumed)
  assert.equal(weightsHash(resumed), weightsHash(whole))
  assert.equal((await epochs(out)).length, 4)
})

test('however many epochs, nothing listens to the signal any more', async () => {
  const { signal } = new AbortController()
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  const listening: number[] = []
  const onEntry: TrainingRun['onEntry'] = ({ kind }) => {
    if (kind === 'epoch') listening.push(getEventListeners(signal, 'abort').length)
  }
  await train(toyRun(await folder(), { epochs: 12 }, { signal, onEntry }))
  await setImmediate() // warnings are told a little later
  process.off('warning', warned)
  assert.deepEqual(listening, Array(12).fill(0))
  assert.deepEqual(warnings, [])
})

test('references are evaluated once before the first update, and change no bit', async () => {
  const out = await folder()
  const asked: string[] = []
  const reference = (name: 'before' | 'dense') => ({
    name,
    async evaluate() {
      asked.push(name)
      return { images: 10, top1: 5, top5: 9, top1Percent: 50, top5Percent: 90, loss: 1 }
    },
  })
  const references = [reference('before'), reference('dense')]
  const logged = async () =>
    (await readLog(join(out, 'log.jsonl'))).flatMap((entry) => (entry.kind === 'reference' ? [entry.name] : []))

  // Interrupted in the second: resuming catches up with it alone.
  const early = new AbortController()
  const hanging = {
    name: 'dense' as const,
    evaluate() {
      early.abort()
      return new Promise<never>(() => {})
    },
  }
  const first = await train(toyRun(out, {}, { references: [reference('before'), hanging], signal: early.signal }))
  assert.deepEqual([first.progress.step, asked, await logged()], [0, ['before'], ['before']])
  assert.ok(first.interrupted)

  const later = new AbortController()
  const onEntry = ({ step }: { step: number }) => {
    if (step === 7) later.abort()
  }
  await train(toyRun(out, {}, { references, resume: true, signal: later.signal, onEntry }))
  const resumed = toyRun(out, {}, { references, resume: true })
  await train(resumed)
  assert.deepEqual(
    [asked, await logged()],
    [
      ['before', 'dense'],
      ['before', 'dense'],
    ],
  )
  const plain = toyRun(await folder())
  await train(plain)
  assert.equal(weightsHash(resumed), weightsHash(plain))
})

test('a damaged newest checkpoint costs time, not correctness', async () => {
  const out = await folder()
  const whole = toyRun(out)
  await train(whole)
  const checkpoints = join(out, 'checkpoints')
  await writeFile(join(checkpoints, 'step-000000024.safetensors'), 'not a checkpoint')
  const warnings: string[] = []
  const resumed = toyRun(out, {}, { resume: true, warn: (message) => warnings.push(message) })
  await train(resumed)
  assert.equal(weightsHash(resumed), weightsHash(whole))
  assert.equal(warnings.length, 1)
  assert.equal((await steps(out)).length, 24)
})

test('a run that died between the end of an epoch and its checkpoint tells the epoch once', async () => {
  const out = await folder()
  const onEntry = ({ kind }: { kind: string }) => {
    if (kind === 'epoch') throw new Error('crash')
  }
  await assert.rejects(train(toyRun(out, {}, { saveSeconds: 0, onEntry })), /crash/)
  assert.equal((await epochs(out)).length, 1)
  await train(toyRun(out, {}, { resume: true }))
  assert.deepEqual(
    (await epochs(out)).map(({ epoch }) => epoch),
    [0, 1, 2, 3],
  )
})

test('dropped branches: anew at every batch, more of them with depth, the others scaled up', async () => {
  const run = toyRun(await folder(), { dropPath: 0.3, accumulate: 2, epochs: 1, batch: 100 })
  const seen: Float32Array[] = []
  const student: TrainingRun['student'] = {
    run(batch) {
      assert.deepEqual(batch.dropPath?.shape, [4, 2, 100])
      seen.push(batch.dropPath?.data as Float32Array)
      return run.student.run(batch)
    },
  }
  await train({ ...run, student })
  assert.equal(new Set(seen.map(String)).size, 12)
  for (let l = 0; l < 4; l++) {
    const rate = 0.1 * l
    const factors = seen.flatMap((data) => [...data.subarray(l * 200, (l + 1) * 200)])
    const dropped = factors.filter((factor) => factor === 0).length
    assert.ok(Math.abs(dropped / factors.length - rate) < 0.04, `block ${l}: ${dropped} of ${factors.length}`)
    const kept = Math.fround(1 / (1 - rate))
    assert.ok(
      factors.every((factor) => factor === 0 || Math.abs(factor - kept) < 1e-6),
      `block ${l}: kept`,
    )
  }
})

test('resuming what is done does nothing more', async () => {
  const out = await folder()
  await train(toyRun(out))
  const student: TrainingRun['student'] = { run: () => assert.fail('no step is needed') }
  const { progress } = await train(toyRun(out, {}, { resume: true, student }))
  assert.equal(progress.step, 24)
})

test('a folder with a run is not started anew by mistake, nor gone on with under another recipe', async () => {
  const out = await folder()
  const stop = new AbortController()
  stop.abort()
  await train(toyRun(out, {}, { signal: stop.signal, fingerprint: 'a' }))
  await assert.rejects(
    train(toyRun(out)),
    new InputError(`${out}: holds a run already; --resume goes on with it, another --out starts a new one`),
  )
  await assert.rejects(
    train(toyRun(out, { lr: 0.1 }, { resume: true, fingerprint: 'a' })),
    new InputError(`${out}: the run was started with other options, so it cannot go on exactly: lr: 0.2 became 0.1`),
  )
  await assert.rejects(train(toyRun(out, {}, { resume: true, fingerprint: 'b' })), /another model, teacher or pictures/)
})

test('a loss that is not finite stops the run and names update, part and checkpoint', async () => {
  const out = await folder()
  const run = toyRun(out)
  let calls = 0
  const student: TrainingRun['student'] = {
    async run(batch) {
      const result = await run.student.run(batch)
      calls++
      return calls < 9 ? result : { ...result, loss: Number.NaN, parts: { classification: 1, cut: Number.NaN } }
    },
  }
  await assert.rejects(train({ ...run, student }), (error) => {
    assert.ok(error instanceof InputError)
    assert.match(
      error.message,
      /^update 9: the loss is not finite \(cut is NaN\); the last good checkpoint is .*-000000006\./,
    )
    return true
  })
  const { progress } = await train(toyRun(out, {}, { resume: true }))
  assert.equal(progress.step, 24)
})

test('a gradient that is not finite stops it as well', async () => {
  const run = toyRun(await folder())
  const student: TrainingRun['student'] = {
    async run(batch) {
      const result = await run.student.run(batch)
      result.gradients[2] = Number.POSITIVE_INFINITY
      return result
    },
  }
  await assert.rejects(train({ ...run, student }), /update 1: .*\(the gradient is Infinity\).*checkpoint is none/)
})

test('accumulated batches make the update of one large batch', async () => {
  const one = toyRun(await folder(), { batch: 24, lr: 0.05, epochs: 1 })
  await train(one)
  const three = toyRun(await folder(), { accumulate: 3, lr: 0.05, epochs: 1 })
  await train(three)
  for (const [i, value] of one.parameters.values.entries())
    assert.ok(Math.abs(value - (three.parameters.values[i] as number)) < 1e-4)
})

test('fewer pictures than an update takes are refused', async () => {
  const run = toyRun(await folder())
  await assert.rejects(
    train({ ...run, data: { ...run.data, pictures: 7 } }),
    new InputError('7 training pictures are fewer than one update takes (--batch 8 × --accumulate 1 = 8)'),
  )
})

test('learning rates: cosine over updates, or by epoch and one late as the official loop has it', () => {
  const smooth = makeRecipe('quick', { epochs: 10, lr: 1, minLr: 0, warmupEpochs: 2, warmupLr: 0 })
  assert.equal(learningRate(smooth, 1, 0), 0.5)
  assert.equal(learningRate(smooth, 1, 0.5), 0.75)
  assert.ok(Math.abs(learningRate(smooth, 5, 0) - 0.5) < 1e-12)
  const official = makeRecipe('official', { epochs: 10, lr: 1, minLr: 0 })
  assert.deepEqual([learningRate(official, 0, 0.9), learningRate(official, 1, 0.9)], [1, 1])
  assert.ok(Math.abs(learningRate(official, 6, 0.3) - 0.5) < 1e-12)
})
