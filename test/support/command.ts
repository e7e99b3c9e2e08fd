/** Runs the built `idlevit` command as its users do. */

import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { turnColorOff } from '../../src/cli/color.js'

turnColorOff() // which the test runner turns on where it runs in a terminal

const main = fileURLToPath(new URL('../../dist/bin/main.js', import.meta.url))

/** How a command ended and what it printed. */
export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Looks at a command while it runs. */
export type Watch = (child: ChildProcessByStdio<Writable, Readable, Readable>, stderr: string) => void

/**
 * Runs `idlevit` with arguments, in this process's environment unless another is given.
 *
 * @param input what its standard input holds; nothing when left out
 * @param watch told of the process at its start, and of all that it has printed on stderr after every piece
 */
export function runCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  cwd = process.cwd(),
  input: Uint8Array | string = '',
  watch?: Watch,
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
      watch?.(child, stderr)
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
    watch?.(child, '')
  })
}

/** Runs `idlevit` and sends it a signal once its stderr matches, or `ready` holds. */
export function interruptCommand(
  args: readonly string[],
  signal: NodeJS.Signals,
  ready: RegExp | (() => boolean),
  env: NodeJS.ProcessEnv = process.env,
): Promise<Outcome> {
  let sent = false
  return runCommand(args, env, process.cwd(), '', (child, stderr) => {
    const look = () => {
      if (sent || !(ready instanceof RegExp ? ready.test(stderr) : ready())) return
      sent = true
      child.kill(signal)
    }
    look()
    if (stderr !== '' || ready instanceof RegExp) return
    const polling = setInterval(look, 5)
    child.on('close', () => clearInterval(polling))
  })
}

/** The document that a command prints with `--json`; `stderr` is what it said beside it. */
export async function runForJson(...args: string[]) {
  const { code, stdout, stderr } = await runCommand([...args, '--json'])
  assert.equal(code, 0, stderr)
  return Object.assign(JSON.parse(stdout), { stderr })
}
