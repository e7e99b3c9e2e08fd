/** A run killed at twenty random moments, many of them while a checkpoint is written, ends as if nothing had happened. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { toyRun, weightsHash } from '../../test/support/toy-run.js'
import { readLog } from './log.js'
import { train } from './loop.js'

const KILLS = 20
const root = await mkdtemp(join(tmpdir(), 'idlevit-kill-'))
after(() => rm(root, { recursive: true }))
const script = fileURLToPath(new URL('../../test/support/toy-run.ts', import.meta.url))

/** Starts the run in a process of its own; kills it some milliseconds after it began, or lets it end. */
function start(folder: string, killAfter?: number): Promise<{ readonly output: string; readonly killed: boolean }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (text) => {
      if (output === '' && killAfter !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfter)
      output += text
    })
    child.on('error', reject)
    child.on('close', (_, signal) => resolve({ output, killed: signal === 'SIGKILL' }))
  })
}

test('killed twenty times = never killed', async () => {
  const whole = toyRun(join(root, 'whole'), {}, { ballast: 20_000 })
  await train(whole)
  const folder = join(root, 'killed')
  let kills = 0
  for (let i = 0; i < KILLS; i++) if ((await start(folder, Math.random() * 40)).killed) kills++
  const { output } = await start(folder)
  assert.equal(output, `started\n${weightsHash(whole)}\n`)
  assert.ok(kills >= KILLS / 2, `only ${kills} of ${KILLS} came before the end: the run is too short`)
  assert.deepEqual(
    await readFile(join(folder, 'model.safetensors')),
    await readFile(join(whole.folder, 'model.safetensors')),
  )
  const losses = async (path: string) =>
    (await readLog(join(path, 'log.jsonl'))).flatMap((entry) => (entry.kind === 'step' ? [entry.loss] : []))
  assert.deepEqual(await losses(folder), await losses(whole.folder))
})
