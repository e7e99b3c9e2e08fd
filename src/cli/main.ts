#!/usr/bin/env node
/** The `idlevit` command. */

import { turnColorOff } from './color.js'
import { createProgram } from './program.js'
import { run } from './run.js'

const args = process.argv.slice(2)
if (args.includes('--json')) turnColorOff()
process.exitCode = await run(createProgram(args[0]), args)
