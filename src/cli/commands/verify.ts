/** `idlevit verify FILE…` */

import type { Command } from 'commander'
import { fail } from '../../errors.js'
import type { Verification } from '../../verify/verify.js'
import { paint } from '../color.js'
import { addExamples } from '../help.js'
import { emit, startProgress, table } from '../output.js'

interface VerifyOptions {
  readonly strict?: boolean
  readonly json?: boolean
}

export function addVerify(program: Command): void {
  const command = program
    .command('verify')
    .description('replay reference files computed by official implementations and compare every number')
    .argument('<file...>', 'reference files (.safetensors), or torch checkpoints beside one')
    .option('--strict', 'fail on expected tensors that nothing here computes')
    .option('--json', 'one JSON document on stdout')
    .action(verifyFiles)
  addExamples(
    command,
    ['idlevit verify reference.safetensors', 'a tiny model, an input, and what the official code computed'],
    ['idlevit verify reference.safetensors --strict', 'what is not computed here fails, too'],
    ['idlevit verify golden/*.safetensors --json', 'many files, every difference'],
  )
}

async function verifyFiles(files: string[], options: VerifyOptions): Promise<void> {
  const { verify } = await import('../../verify/verify.js')
  const results: Verification[] = []
  const progress = startProgress('verifying', files.length)
  for (const file of files) {
    const result = await verify(file)
    results.push(options.strict && result.unknown.length > 0 ? { ...result, pass: false } : result)
    progress.update(results.length)
  }
  progress.stop()
  emit(options.json, results, show)
  const failed = results.filter(({ pass }) => !pass)
  if (failed.length > 0) fail(`${failed.map(({ file }) => file).join(', ')}: not as the reference says`)
}

function show(results: readonly Verification[]): void {
  for (const { file, checks, unknown, pass } of results) {
    const failed = checks.filter((check) => !check.pass)
    process.stdout.write(
      `${pass ? paint('green', 'pass', process.stdout) : paint('red', 'FAIL', process.stdout)}  ${file}: ${checks.length - failed.length} of ${checks.length} agree\n`,
    )
    if (failed.length > 0)
      table([
        ['  tensor', 'difference', 'allowed'],
        ...failed.map(({ name, maxAbsDiff, tolerance }) => [`  ${name}`, maxAbsDiff.toPrecision(3), tolerance]),
      ])
    if (unknown.length > 0) process.stdout.write(`  not computed here: ${unknown.join(', ')}\n`)
  }
}
