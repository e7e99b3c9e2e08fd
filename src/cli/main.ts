#!/usr/bin/env node
/** The `idlevit` command. */

import { Command } from 'commander'
import { addBench } from './commands/bench.js'
import { addClassify } from './commands/classify.js'
import { addDemo } from './commands/demo.js'
import { addEval } from './commands/eval.js'
import { addExport } from './commands/export.js'
import { addFinetune } from './commands/finetune.js'
import { addInfo } from './commands/info.js'
import { addVerify } from './commands/verify.js'
import { addVisualize } from './commands/visualize.js'
import { run } from './run.js'

const program = new Command('idlevit')
  .description('Vision transformers that let tokens idle: classify, evaluate, measure, export, finetune.')
  .version('0.1.0')

const commands = {
  classify: addClassify,
  eval: addEval,
  info: addInfo,
  verify: addVerify,
  bench: addBench,
  export: addExport,
  finetune: addFinetune,
  visualize: addVisualize,
  demo: addDemo,
}

// The options of the others cost a cold start ten milliseconds, and nobody looks at them.
const [, , name = ''] = process.argv
for (const [command, add] of Object.entries(commands))
  if (command === name || !Object.hasOwn(commands, name)) add(program)

process.exitCode = await run(program, process.argv.slice(2))
