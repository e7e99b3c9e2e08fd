/** Commands that are interrupted, or whose readers leave: how they end, and what they leave behind. */

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { saveSafetensors } from '../src/weights/files.js'
import { loadModel } from '../src/weights/load.js'
import { interruptCommand, runCommand, type Watch } from './support/command.js'
import { temporaryFolder } from './support/folder.js'
import { sha256, startHub } from './support/hub.js'
import { golden } from './support/shared.js'

const folder = temporaryFolder()
const demo = ['--model', 'demo']
const endless = ['eval', ...demo, '--data', 'scenes:1:100000']

/** Every line on stderr is one of progress. */
function assertQuiet(stderr: string): void {
  for (const line of stderr.split('\n')) assert.match(line, /^(\w+( \w+)* \d+.*)?$/)
}

describe('an interrupt', () => {
  it('ends an evaluation whose threads compute with 130 and nothing on stdout', async () => {
    const { code, stdout, stderr } = await interruptCommand([...endless, '--json'], 'SIGINT', /evaluating/)
    assert.equal(code, 130, stderr)
    assert.equal(stdout, '')
    assertQuiet(stderr)
  })

  it('by SIGTERM or SIGHUP ends it by that signal, which shells show as 143 and 129', async () => {
    for (const asked of ['SIGTERM', 'SIGHUP'] as const) {
      const { code, signal, stderr } = await interruptCommand(endless, asked, /evaluating/)
      assert.deepEqual([code, signal], [null, asked], stderr)
      assertQuiet(stderr)
    }
  })

  const commands: Record<string, string[]> = {
    classify: ['classify', ...Array(3000).fill(golden('images/3-waves.jpg')), ...demo],
    verify: ['verify', ...Array(500).fill(golden('idlevit-deit.safetensors'))],
    bench: ['bench', ...demo, '--rounds', '1000'],
    visualize: ['visualize', ...Array(50).fill(golden('images/3-waves.jpg')), ...demo, '--limit', '50', '--out', 'new'],
    demo: ['demo', '--images', '10000', '--out', 'new.html'],
    'demo --finetune': ['demo', '--finetune'],
  }
  for (const [name, args] of Object.entries(commands))
    it(`ends ${name}`, async () => {
      const temporary = join(folder.path, name)
      mkdirSync(temporary)
      const here = args.map((arg) => (/^new/.test(arg) ? join(temporary, arg) : arg))
      const env = { ...process.env, TMPDIR: temporary }
      const { code, stdout, stderr } = await interruptCommand(here, 'SIGINT', /\d/, env)
      assert.equal(code, 130, stderr)
      assert.equal(stdout, '')
      assertQuiet(stderr)
      assert.deepEqual(readdirSync(temporary), [])
    })

  const exporting = ['export', '--model', 'deit-tiny', '--init', 'random:0', '--precision', 'fp32,int8,fp16', '--out']
  const hidden = (out: string) => existsSync(out) && readdirSync(out).some((name) => name.startsWith('.'))

  it('takes back a folder that was being exported', async () => {
    const parent = join(folder.path, 'fresh')
    mkdirSync(parent)
    const out = join(parent, 'deep', 'model')
    const { code, stderr } = await interruptCommand([...exporting, out], 'SIGINT', () => hidden(out))
    assert.deepEqual([code, stderr], [130, ''])
    assert.deepEqual(readdirSync(parent), [])
  })

  it('leaves an earlier export as it was', async () => {
    const out = join(folder.path, 'exported')
    const before = await runCommand(['export', '--model', 'deit-tiny', '--init', 'random:0', '--out', out])
    assert.equal(before.code, 0)
    const content = () => readdirSync(out, { recursive: true, encoding: 'utf8' }).sort()
    const [files, weights] = [content(), readFileSync(join(out, 'model.safetensors'))]
    const { code } = await interruptCommand([...exporting, out], 'SIGTERM', () => hidden(out))
    assert.equal(code, null)
    assert.deepEqual(content(), files)
    assert.ok(readFileSync(join(out, 'model.safetensors')).equals(weights))
  })

  it('lets a training run save, whatever the signal, and tells how to go on', async () => {
    const out = join(folder.path, 'run')
    const data = ['--data', 'scenes:1:4000', '--val', 'scenes:2:32']
    const args = ['finetune', '--model', 'demo-dense', ...data, '--batch', '8', '--accumulate', '1', '--out', out]
    const { signal, stderr } = await interruptCommand(args, 'SIGHUP', () => existsSync(join(out, 'log.jsonl')))
    assert.equal(signal, 'SIGHUP', stderr)
    assert.match(stderr, /interrupted: saving.*\nsaved update \d+ of 2500 as .*\ngo on with: idlevit .* --resume\n$/s)
    assert.match(readdirSync(join(out, 'checkpoints')).join(), /^step-\d{9}\.safetensors$/)
  })

  it('leaves a download that goes on where it stopped', async () => {
    const path = join(folder.path, 'model.safetensors')
    await saveSafetensors(path, (await loadModel('deit-tiny', { init: 'random:1' })).state)
    const weights = readFileSync(path)
    const hub = await startHub({ 'some/model': { 'model.safetensors': weights } })
    const env = { ...process.env, HF_ENDPOINT: hub.url, HF_HOME: join(folder.path, 'hub') }
    hub.breaks.push(1_000_000, 0, 0, 0)
    const info = ['info', '--model', 'some/model', '--json']
    const part = join(env.HF_HOME, 'hub/models--some--model/blobs', `${sha256(weights)}.incomplete`)
    const came = () => existsSync(part) && statSync(part).size > 0
    const { code, stdout, stderr } = await interruptCommand(info, 'SIGINT', came, env)
    const besidesProgress = stderr.replace(/^downloading .*\n/gm, '') // which comes where a download takes long
    assert.deepEqual([code, stdout, besidesProgress], [130, '', ''])
    const { size } = statSync(part)
    hub.breaks.length = 0
    const again = await runCommand(info, env)
    assert.equal(again.code, 0, again.stderr)
    assert.match(hub.requests.at(-1) ?? '', new RegExp(`content.* bytes=${size}-`))
  })
})

describe('a reader that leaves', () => {
  const watched = (args: readonly string[], watch: Watch) => runCommand(args, process.env, process.cwd(), '', watch)
  const short = ['eval', ...demo, '--data', 'scenes:1:600', '--json']

  it('of stderr takes progress away, not the result', async () => {
    const { code, stdout } = await watched(short, (child, stderr) => void (stderr !== '' && child.stderr.destroy()))
    assert.equal(code, 0)
    assert.equal(JSON.parse(stdout).images, 600)
  })

  it('of stdout ends the command quietly', async () => {
    const { code, stderr } = await watched(['eval', ...demo, '--data', 'scenes:1:100', '--json'], (child) => {
      child.stdout.destroy()
    })
    assert.equal(code, 0, stderr)
    assertQuiet(stderr)
  })
})
