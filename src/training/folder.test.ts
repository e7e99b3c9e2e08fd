import assert from 'node:assert/strict'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { toyRun } from '../../test/support/toy-run.js'
import { InputError } from '../errors.js'
import { checkRunFolder } from './folder.js'
import { readLog } from './log.js'
import { train } from './loop.js'

const root = await mkdtemp(join(tmpdir(), 'idlevit-run-folder-'))
after(() => rm(root, { recursive: true }))
const folder = () => mkdtemp(join(root, 'run-'))
const refused = (work: Promise<unknown>, reason: RegExp) =>
  assert.rejects(work, (error) => error instanceof InputError && reason.test(error.message))

test('a new folder, an empty one, and one with hidden files only', async () => {
  await checkRunFolder(join(root, 'absent'))
  const out = await folder()
  await checkRunFolder(out)
  writeFileSync(join(out, '.gitkeep'), '')
  await checkRunFolder(out)
})

test('the folder of the model or of the teacher is refused, however it is spelled', async () => {
  const model = await folder()
  const file = join(model, 'model.safetensors')
  writeFileSync(file, 'weights')
  const link = join(root, 'link')
  symlinkSync(model, link)
  for (const out of [model, `${model}/`, link])
    for (const input of [model, link, file, join(link, 'model.safetensors')])
      for (const inputs of [[input], ['deit-tiny', input]])
        await refused(checkRunFolder(out, true, inputs), /is where .* lies, which would be overwritten/)
})

test('a folder that no run wrote is refused, and left alone', async () => {
  const out = await folder()
  for (const name of ['config.json', 'log.jsonl', 'thesis.txt']) writeFileSync(join(out, name), '{"kind":"other"}\n')
  for (const resume of [false, true])
    await refused(train(toyRun(out, {}, { resume })), /or that of an earlier run, found config\.json in it$/)
  assert.deepEqual((await readdir(out)).sort(), ['config.json', 'log.jsonl', 'thesis.txt'])
  await refused(checkRunFolder(join(out, 'thesis.txt')), /wanted a folder, found a file/)
})

test('a run that came to nothing makes way; one with a checkpoint or a model does not', async () => {
  const out = await folder()
  const student = { run: () => Promise.reject(new Error('crash')) }
  await assert.rejects(train(toyRun(out, {}, { student })), /crash/)
  await train(toyRun(out, { epochs: 2 }))
  const starts = (await readLog(join(out, 'log.jsonl'))).filter(({ kind }) => kind === 'start')
  assert.equal(starts.length, 1)
  await refused(checkRunFolder(out), /holds a run already; --resume goes on with it/)
  await checkRunFolder(out, true)
  rmSync(join(out, 'checkpoints'), { recursive: true })
  for (const resume of [false, true])
    await refused(checkRunFolder(out, resume), /holds the model of an earlier run whose checkpoints are gone/)
})

test('a run that died between its first model and its first checkpoint can be resumed', async () => {
  const out = await folder()
  const onEntry = ({ kind }: { kind: string }) => {
    if (kind === 'epoch') throw new Error('crash')
  }
  await assert.rejects(train(toyRun(out, {}, { onEntry })), /crash/)
  assert.ok((await readdir(out)).includes('model.safetensors'))
  assert.ok(!(await readdir(out)).includes('checkpoints'))
  const { progress } = await train(toyRun(out, {}, { resume: true }))
  assert.equal(progress.step, 24)
})

test('a run is known by its checkpoints when its log is lost', async () => {
  const out = await folder()
  await train(toyRun(out, { epochs: 1 }))
  rmSync(join(out, 'log.jsonl'))
  await refused(checkRunFolder(out), /holds a run already/)
  await checkRunFolder(out, true)
  mkdirSync(join(root, 'other', 'checkpoints'), { recursive: true })
  await refused(checkRunFolder(join(root, 'other')), /found checkpoints in it/)
})
