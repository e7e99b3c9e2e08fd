/** The command line with `finetune` alone, for tests that start and kill it as a process. */
import { Command } from 'commander'
import { addFinetune } from '../../src/cli/commands/finetune.js'
import { run } from '../../src/cli/run.js'

const program = new Command('idlevit')
addFinetune(program)
process.exitCode = await run(program, process.argv.slice(2))
