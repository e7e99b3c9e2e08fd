/** The command as a process: interrupted, killed, resumed, and what it prints. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { keyedRandom } from '../../keyed-random.js'
import { turnColorOff } from '../color.js'

turnColorOff() // which the test runner turns on where it runs in a terminal

/** More kills take longer: each start of the process is a second or two. */
const KILLS = Number(process.env.IDLEVIT_KILLS ?? 2)

const root = await mkdtemp(join(tmpdir(), 'idlevit-command-'))
after(() => rm(root, { recursive: true }))
const script = fileURLToPath(new URL('../../../test/support/finetune-cli.ts', import.meta.url))

for (const [split, count] of [
  ['train', 12],
  ['val', 4],
] as const) {
  for (const [label, name] of ['dark', 'light'].entries()) {
    await mkdir(join(root, split, name), { recursive: true })
    for (let i = 0; i < count; i++) {
      const random = keyedRandom(label, split, i)
      const data = Uint8Array.from({ length: 20 * 20 * 3 }, () => label * 100 + random.integer(120))
      const picture = sharp(data, { raw: { width: 20, height: 20, channels: 3 } })
      await picture.png().toFile(join(root, split, name, `${i}.png`))
    }
  }
}

const arguments_ = (out: string) => [
  ...['finetune', '--model', 'deit-tiny', '--init', 'random', '--crop', '16', '--patch', '4', '--width', '16'],
  ...['--heads', '2', '--depth', '4', '--classes', '2', '--data', join(root, 'train'), '--val', join(root, 'val')],
  ...[
    '--out',
    out,
    '--keep-ratio',
    '0.7',
    '--batch',
    '4',
    '--accumulate',
    '1',
    '--epochs',
    '3',
    '--lr',
    '1e-3',
    '--threads',
    '1',
  ],
  ...['--workers', '1', '--ema', '0', '--eval-every', '3', '--seed', '5'],
]

interface End {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command; `during` sees stderr so far and may signal. */
function start(args: readonly string[], during?: (stderr: string, kill: (signal: NodeJS.Signals) => void) => void) {
  return new Promise<End>((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (text) => {
      stdout += text
    })
    child.stderr.on('data', (text) => {
      stderr += text
      during?.(stderr, (signal) => child.kill(signal))
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}

test('interrupted, killed and resumed, it ends with the weights of a run that was left alone', async () => {
  const whole = join(root, 'whole')
  const { code, stdout } = await start([...arguments_(whole), '--json'])
  assert.equal(code, 0)
  const summary = JSON.parse(stdout)
  assert.deepEqual(
    [summary.epochs, summary.updates, summary.skipped, summary.out, summary.best.images],
    [3, 18, 0, whole, 8],
  )

  const out = join(root, 'killed')
  for (const [i, signal] of (['SIGINT', 'SIGTERM'] as const).entries()) {
    const epoch = `epoch ${i + 1}/3:`
    let signalled = false
    const interrupted = await start([...arguments_(out), ...(i > 0 ? ['--resume'] : [])], (stderr, kill) => {
      if (stderr.includes(epoch) && !signalled) kill(signal)
      signalled ||= stderr.includes(epoch)
    })
    const { code, signal: by } = interrupted
    assert.deepEqual([code, by], signal === 'SIGINT' ? [130, null] : [null, 'SIGTERM'], interrupted.stderr)
    assert.match(
      interrupted.stderr,
      /saved update \d+ of 18 as .*\.safetensors\ngo on with: idlevit finetune .* --resume\n$/,
    )
  }
  for (let i = 0; i < KILLS; i++) {
    let planned = false
    await start([...arguments_(out), '--resume'], (stderr, kill) => {
      if (!planned && stderr.includes('going on')) setTimeout(() => kill('SIGKILL'), Math.random() * 60)
      planned ||= stderr.includes('going on')
    })
  }
  const end = await start([...arguments_(out), '--resume'])
  assert.equal(end.code, 0, end.stderr)
  assert.match(end.stdout, /best top-1/)
  assert.deepEqual(await readFile(join(out, 'model.safetensors')), await readFile(join(whole, 'model.safetensors')))
})

test('sizes are for random weights only', async () => {
  const args = ['finetune', '--model', 'x', '--data', 'a', '--val', 'b', '--out', root, '--width', '8']
  const { code, stderr } = await start(args)
  assert.deepEqual([code, stderr], [1, 'error: --width: only random weights can have other sizes: --init random\n'])
})
