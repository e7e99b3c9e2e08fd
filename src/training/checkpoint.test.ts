import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { InputError } from '../errors.js'
import { float32, type StateDict } from '../weights/state.js'
import { hasCheckpoints, loadLatestCheckpoint, readCheckpoint, saveCheckpoint } from './checkpoint.js'

const root = await mkdtemp(join(tmpdir(), 'idlevit-checkpoint-'))
after(() => rm(root, { recursive: true }))

const tensors = (value: number): StateDict =>
  new Map([
    ['weights/a', float32(Float32Array.of(value, -0, 1e-40), [3])],
    ['ema/a', float32(Float32Array.of(1, 2, value, 4), [2, 2])],
  ])
const at = (step: number) => ({ progress: { step, epoch: 1, drawn: step * 4, best: 0.25 }, tensors: tensors(step) })

/** A folder with checkpoints of the given steps. */
async function folderWith(...steps: number[]) {
  const folder = await mkdtemp(join(root, 'run-'))
  const paths: string[] = []
  for (const step of steps) paths.push(await saveCheckpoint(folder, at(step)))
  return { folder, paths }
}

const load = async (folder: string) => {
  const warnings: string[] = []
  const loaded = await loadLatestCheckpoint(folder, (message) => warnings.push(message))
  return { step: loaded?.progress.step, loaded, warnings }
}

test('what was saved comes back, bit by bit; two are kept', async () => {
  const { folder } = await folderWith(3, 20, 100)
  assert.deepEqual((await readdir(folder)).sort(), ['step-000000020.safetensors', 'step-000000100.safetensors'])
  const { loaded, warnings } = await load(folder)
  assert.deepEqual(loaded?.progress, at(100).progress)
  for (const [name, tensor] of tensors(100)) {
    assert.deepEqual(loaded?.tensors.get(name)?.shape, tensor.shape)
    assert.deepEqual(loaded?.tensors.get(name)?.data, tensor.data)
  }
  assert.ok(Object.is(loaded?.tensors.get('weights/a')?.data[1], -0))
  assert.deepEqual(warnings, [])
})

test('a folder without checkpoints, or no folder at all, gives none', async () => {
  assert.equal((await load(join(root, 'absent'))).loaded, undefined)
  const { folder } = await folderWith()
  assert.equal((await load(folder)).loaded, undefined)
  assert.equal(await hasCheckpoints(folder), false)
  assert.equal(await hasCheckpoints((await folderWith(1)).folder), true)
})

test('one flipped bit anywhere in the file is found', async () => {
  const { paths } = await folderWith(5)
  const path = paths[0] as string
  const good = await readFile(path)
  for (let position = 0; position < good.length; position++) {
    const bad = Buffer.from(good)
    bad[position] = (bad[position] as number) ^ 0x04
    await writeFile(path, bad)
    await assert.rejects(readCheckpoint(path), InputError, `bit in byte ${position} of ${good.length}`)
  }
  await writeFile(path, good)
  await readCheckpoint(path)
})

test('cut short at any length, the file is refused and the one before it taken', async () => {
  const { folder, paths } = await folderWith(5, 6)
  const path = paths[1] as string
  const { length } = await readFile(path)
  for (const size of [0, 1, 7, 8, 100, length - 1]) {
    await saveCheckpoint(folder, at(6))
    await truncate(path, size)
    const { step, warnings } = await load(folder)
    assert.equal(step, 5)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] as string, /step-000000006.*; using the checkpoint before it$/)
  }
})

test('a damaged checkpoint is put aside, so that it never counts among the two that are kept', async () => {
  const { folder, paths } = await folderWith(5, 9)
  await truncate(paths[1] as string, 50)
  assert.equal((await load(folder)).step, 5)
  await saveCheckpoint(folder, at(7))
  assert.deepEqual((await readdir(folder)).sort(), [
    'step-000000005.safetensors',
    'step-000000007.safetensors',
    'step-000000009.safetensors.damaged',
  ])
})

test('when none can be trusted, that is an error and nothing is touched', async () => {
  const { folder, paths } = await folderWith(5, 9)
  for (const path of paths) await truncate(path, 50)
  await assert.rejects(load(folder), new InputError(`${folder}: none of its 2 checkpoints can be read`))
  assert.equal((await readdir(folder)).length, 2)
})

test('another safetensors file under a name of ours is no checkpoint', async () => {
  const { folder, paths } = await folderWith(5)
  const { saveSafetensors } = await import('../weights/files.js')
  await saveSafetensors(join(folder, 'step-000000008.safetensors'), tensors(1))
  const { step, warnings } = await load(folder)
  assert.equal(step, 5)
  assert.match(warnings[0] as string, /not a checkpoint of a training run/)
  assert.ok(paths.length)
})

test('what a killed writer left is removed by the next', async () => {
  const { folder } = await folderWith(5)
  await writeFile(join(folder, 'step-000000006.safetensors.0123456789ab.tmp'), 'half')
  assert.equal((await load(folder)).step, 5)
  await saveCheckpoint(folder, at(6))
  assert.deepEqual((await readdir(folder)).length, 2)
})
