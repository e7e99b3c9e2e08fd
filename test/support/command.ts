/** Runs the built `idlevit` command as its users do. */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { turnColorOff } from '../../src/cli/color.js'

turnColorOff() // which the test runner turns on where it runs in a terminal

const main = fileURLToPath(new URL('../../dist/bin/main.js', import.meta.url))

/** How a command ended and what it printed. */
export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs `idlevit` with arguments, in this process's environment unless another is given.
 *
 * @param input what its standard input holds; nothing when left out
 */
export function runCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  cwd = process.cwd(),
  input: Uint8Array | string = '',
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { env, cwd })
    let [stdout, stderr] = ['', '']
    child.stdin.on('error', () => {}) // it need not read
    child.stdin.end(input)
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}
