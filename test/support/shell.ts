/** Lines of a shell, as far as documentation and help write them. */

import assert from 'node:assert/strict'
import { createProgram } from '../../src/cli/program.js'

/** The words of a line: quotes are taken off, a backslash at the end of a line joins it with the next. */
export function words(line: string): string[] {
  const found = line.replace(/\\\n/g, ' ').matchAll(/(?:[^\s'"]+|'[^']*'|"[^"]*")+/g)
  return [...found].map(([word]) => word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'))
}

/** Parses a line that runs `idlevit` with the options of the real program, and does nothing. */
export async function understand(line: string): Promise<void> {
  const [called, name = '', ...rest] = words(line)
  assert.equal(called, 'idlevit')
  const program = createProgram(name).exitOverride()
  let ran = ''
  for (const command of program.commands) {
    command.exitOverride().configureOutput({ outputError: () => {} })
    command.action(() => {
      ran = command.name()
    })
  }
  await program.parseAsync([name, ...rest], { from: 'user' })
  assert.equal(ran, name, line)
}
