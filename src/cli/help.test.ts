/** What the help of the real program says, and that its examples are understood by it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Command } from 'commander'
import { understand } from '../../test/support/shell.js'
import { parseRandAugment } from '../images/augment/randaugment.js'
import { presets } from '../training/options.js'
import { examplesOf } from './help.js'
import { createProgram } from './program.js'

const all = createProgram()
const named = (name: string): Command =>
  all.commands.find((command) => command.name() === name) ?? assert.fail(`no command ${name}`)
const commands = all.commands.filter((command) => command.name() !== 'help')

/** The help as it is printed, without colours. */
function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({
    writeOut: (part) => {
      text += part
    },
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return text
}

/** The help of an option on one line. */
function lineOf(command: string, option: string): string {
  const lines = helpOf(named(command)).split('\n')
  const start = lines.findIndex((line) => line.startsWith(`  ${option} `))
  assert.ok(start >= 0, `${command} has no ${option}`)
  const rest = lines.slice(start + 1)
  const more = rest.slice(
    0,
    rest.findIndex((line) => !line.startsWith('      ')),
  )
  return [lines[start], ...more].map((line) => line?.trim()).join(' ')
}

test('every help fits 80 columns', () => {
  for (const command of [all, ...commands])
    for (const line of helpOf(command).split('\n')) assert.ok([...line].length <= 80, `${command.name()}: ${line}`)
})

test('a default is shown as one types it, also where the code applies it later', () => {
  const expected: readonly [command: string, option: string, shown: string][] = [
    ['bench', '--precision', '(default: fp32,int8)'],
    ['bench', '--keep-ratio', '(default: 1,0.7,0.5)'],
    ['bench', '--batch', '(default: 1,16)'],
    ['export', '--precision', '(default: fp32)'],
    ['classify', '--precision', '(default: fp32)'],
    ['classify', '--device', '(default: cpu)'],
    ['classify', '--threads', '(default: the physical cores)'],
    ['classify', '--method', '(default: idle, or none where all tokens are kept)'],
    ['classify', '--top', '(default: 5)'],
    ['eval', '--batch', '(default: 16)'],
    ['eval', '--workers', '(default: a quarter of the cores)'],
    ['visualize', '--keep-ratio', "(default: the model's, or 0.7)"],
    ['finetune', '--preset', '(default: quick)'],
    ['finetune', '--epochs', '(default: 5; paper, official: 30)'],
    ['finetune', '--lr', '(default: 1e-4; paper, official: 4e-5)'],
    ['finetune', '--score', '(default: softmax; official: logits)'],
    ['finetune', '--weight-decay', '(default: 0.05)'],
    ['finetune', '--crop-scale', '(default: 0.35..1; paper, official: 0.08..1)'],
  ]
  for (const [command, option, shown] of expected) {
    const line = lineOf(command, option)
    assert.ok(line.endsWith(shown), line)
  }
  for (const command of commands) assert.doesNotMatch(helpOf(command), /default: ["[{]/)
})

test('the policy of augmentation that the help names is the one of the recipe', () => {
  const [, policy = ''] = /paper, official: (\S+)\)$/.exec(lineOf('finetune', '--augment')) ?? []
  for (const { augment } of [presets.paper, presets.official])
    assert.deepEqual(parseRandAugment(policy), augment.randAugment)
})

test('a model may be embedded, pictures may be generated: the help says so wherever it tells of them', () => {
  for (const command of commands) {
    const help = helpOf(command)
    if (/--model </.test(help)) assert.match(lineOf(command.name(), '--model'), /demo .*@revision/)
    if (/--data </.test(help)) assert.match(lineOf(command.name(), '--data'), /WebDataset.*CIFAR-10.*scenes\[:SEED/)
  }
})

test('what must be given stands first', () => {
  for (const command of commands) {
    const headings = helpOf(command).match(/^[A-Z][\w ]*:$/gm) ?? []
    const first = headings.find((heading) => heading !== 'Arguments:')
    assert.equal(first, ['verify', 'demo'].includes(command.name()) ? 'Options:' : 'Required:', command.name())
    // Commander would tell one of them, even where another option is misspelled.
    for (const option of command.options) assert.equal(option.mandatory, false, `${command.name()} ${option.flags}`)
  }
})

test('the program tells its exit codes and what it reads from the environment', () => {
  const help = helpOf(all)
  for (const code of [0, 1, 2, 130]) assert.match(help, new RegExp(`\\n  ${code} +\\w`))
  for (const name of ['HF_ENDPOINT', 'HF_HOME', 'HF_TOKEN', 'HF_HUB_OFFLINE', 'NO_COLOR', 'IDLEVIT_DEBUG'])
    assert.match(help, new RegExp(`\\n  ${name} +\\w`))
})

test('every command has examples, and understands them', async () => {
  for (const command of commands) {
    const lines = examplesOf(command)
    assert.ok(lines.length >= 3, command.name())
    for (const [line] of lines) {
      assert.ok(helpOf(command).includes(`\n  ${line}\n`), line)
      await understand(line)
    }
  }
  for (const [line] of examplesOf(all)) if (!line.endsWith('--help')) await understand(line)
})
