/** Help, colours and mistakes of the built command, as a user meets them. */

import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { examplesOf } from '../src/cli/help.js'
import { createProgram } from '../src/cli/program.js'
import { runCommand } from './support/command.js'
import { golden } from './support/shared.js'
import { words } from './support/shell.js'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idlevit-help-'))
  await copyFile(golden('images/3-waves.jpg'), join(folder, 'photo.jpg'))
})
after(() => rm(folder, { recursive: true }))

const idlevit = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runCommand(args, { ...process.env, ...env, HF_ENDPOINT: 'http://127.0.0.1:9' }, folder)

describe('mistakes', () => {
  const cases: readonly [args: string, code: number, message: RegExp][] = [
    ['nonsense', 2, /^error: unknown command 'nonsense' \(see idlevit --help\)\n$/],
    ['evla', 2, /^error: unknown command 'evla' \(Did you mean eval\?\) \(see idlevit --help\)\n$/],
    ['help evla', 2, /^error: unknown command 'evla': wanted one of classify, eval, .*\n$/],
    ['eval', 2, /^error: --data <D> and --model <name> are missing, as in: idlevit eval --model demo [^\n]*\n$/],
    ['eval --modle demo', 2, /^error: unknown option '--modle' \(Did you mean --model\?\)/],
    ['visualize', 2, /^error: <image\.\.\.>, --out <DIR> and --model <name> are missing, as in: idlevit visualize /],
    ['classify photo.jpg', 2, /^error: --model <name> is missing, as in: idlevit classify photo\.jpg --model demo /],
    ['verify', 2, /^error: <file\.\.\.> is missing, as in: idlevit verify reference\.safetensors /],
  ]
  for (const [args, code, message] of cases)
    it(args, async () => {
      const outcome = await idlevit(words(args))
      assert.equal(outcome.stdout, '')
      assert.match(outcome.stderr, message)
      assert.equal(outcome.code, code)
    })
})

describe('help', () => {
  it('of a command is the same by both ways of asking', async () => {
    const [asked, flag] = await Promise.all([idlevit(['help', 'eval']), idlevit(['eval', '--help'])])
    assert.equal(asked.stdout, flag.stdout)
    assert.deepEqual([asked.code, flag.code], [0, 0])
    assert.match(asked.stdout, /^Usage: idlevit eval /)
  })

  it('is what no command gets, on stderr', async () => {
    const [none, asked] = await Promise.all([idlevit([]), idlevit(['help'])])
    assert.deepEqual([none.code, none.stdout, none.stderr], [2, '', asked.stdout])
  })
})

describe('colours', () => {
  const csi = '\u001b['
  it('are not in a pipe, and never in what programs read', async () => {
    for (const args of [['--help'], ['eval', '--help'], ['eval'], ['info', '--model', 'demo']]) {
      const { stdout, stderr } = await idlevit(args)
      assert.ok(!(stdout + stderr).includes(csi), args.join(' '))
    }
    const forced = { NO_COLOR: '', FORCE_COLOR: '1' }
    const ratios = ['--keep-ratios', '1,1,0.5,0.7,0.5,0.5,0.5,0.5']
    const { stdout, stderr } = await idlevit(['info', '--model', 'demo', ...ratios, '--json'], forced)
    assert.ok(JSON.parse(stdout).params > 0)
    assert.match(stderr, /^warning: /)
    assert.equal((await idlevit(['info', '--json'], forced)).stderr.startsWith('error: '), true)
  })

  it('are where they are asked for: headings, warnings, errors', async () => {
    const forced = { NO_COLOR: '', FORCE_COLOR: '1' }
    const ratios = ['--keep-ratios', '1,1,0.5,0.7,0.5,0.5,0.5,0.5']
    const [help, info, error] = await Promise.all([
      idlevit(['eval', '--help'], forced),
      idlevit(['info', '--model', 'demo', ...ratios], forced),
      idlevit(['info', '--model', 'nothing'], forced),
    ])
    assert.ok(help.stdout.startsWith(`${csi}1mUsage:${csi}22m `))
    assert.ok(help.stdout.includes(`${csi}1mExamples:${csi}22m\n`))
    assert.ok(info.stdout.includes(`${csi}1mblock  tokens  GMACs${csi}22m\n`))
    assert.ok(info.stderr.startsWith(`${csi}33mwarning:${csi}39m `))
    assert.ok(error.stderr.startsWith(`${csi}31merror:${csi}39m unknown model nothing`))
  })
})

describe('examples that need nothing but a picture work as printed', () => {
  const quick = ['classify', 'eval', 'info', 'export', 'visualize']
  for (const name of quick) {
    const command = createProgram(name).commands.find((each) => each.name() === name)
    const lines = command ? examplesOf(command).map(([line]) => line) : []
    for (const line of lines.filter((each) => /--model demo |info /.test(`${each} `)))
      it(line, async () => {
        const [, ...args] = words(line)
        const { code, stdout, stderr } = await idlevit(args)
        assert.equal(code, 0, stderr)
        assert.ok(stdout.length > 0)
      })
  }
})
