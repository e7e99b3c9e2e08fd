/** The commands of `idlevit`, and the help that belongs to all of them. */

import { Command } from 'commander'
import { addBench } from './commands/bench.js'
import { addCalibrate } from './commands/calibrate.js'
import { addClassify } from './commands/classify.js'
import { addCompare } from './commands/compare.js'
import { addDemo } from './commands/demo.js'
import { addEmbed } from './commands/embed.js'
import { addEval } from './commands/eval.js'
import { addExport } from './commands/export.js'
import { addFinetune } from './commands/finetune.js'
import { addInfo } from './commands/info.js'
import { addTune } from './commands/tune.js'
import { addVerify } from './commands/verify.js'
import { addVisualize } from './commands/visualize.js'
import { addExamples, addSection, columns, helpStyle } from './help.js'

const commands = {
  classify: addClassify,
  eval: addEval,
  info: addInfo,
  verify: addVerify,
  bench: addBench,
  compare: addCompare,
  tune: addTune,
  calibrate: addCalibrate,
  export: addExport,
  finetune: addFinetune,
  visualize: addVisualize,
  embed: addEmbed,
  demo: addDemo,
}

/**
 * The whole program.
 *
 * @param name - the command that is about to run: setting up the options of the others costs a cold start ten
 *   milliseconds, and nobody looks at them. Where it is no command, all are there.
 */
export function createProgram(name = ''): Command {
  const program = new Command('idlevit')
    .description('Vision transformers that let tokens idle: classify, evaluate, measure, export, finetune.')
    .version('0.1.0')
    .configureHelp(helpStyle)
  if (Object.hasOwn(commands, name)) commands[name as keyof typeof commands](program)
  else {
    for (const add of Object.values(commands)) add(program)
    addHelp(program)
  }
  return program
}

/** What the program says of itself. */
function addHelp(program: Command): void {
  program
    .helpCommand(false) // commander's shows everything where the name is misspelled, and does not say so
    .command('help')
    .description('the help of a command')
    .argument('[command]')
    .action((asked?: string) => {
      const found = asked === undefined ? program : program.commands.find((command) => command.name() === asked)
      const known = Object.keys(commands).join(', ')
      if (found) found.outputHelp()
      else
        program.error(`error: unknown command '${asked}': wanted one of ${known}`, { code: 'commander.unknownCommand' })
    })
  addExamples(
    program,
    ['idlevit demo', 'see it work: half a minute, no download'],
    ['idlevit classify photo.jpg --model deit-small --keep-ratio 0.7', 'name what is in a picture'],
    ['idlevit eval --help', 'the options of a command, with examples'],
  )
  const sections = {
    'Models (--model):': [
      ['demo', 'the embedded model: small, made for generated pictures, needs no download'],
      ['deit-tiny', 'a preset, like deit-small, deit-base and deit-*-distilled: weights from the hub'],
      ['owner/name', 'a model on the hub; owner/name@revision for a branch, a tag or a commit'],
      ['path', 'a weights file (.safetensors, .pth, .pt, .bin), or a folder with one and its config.json'],
    ],
    'Pictures with labels (--data):': [
      ['scenes:2:1000', 'a thousand generated pictures of seed 2, of the kinds that demo knows'],
      ['folder', 'pictures in one sub-folder per class'],
      ['list.txt', 'lines of a path and the number of its class'],
      ['train-{0..4}.tar', 'WebDataset shards, also .tar.gz'],
      ['cifar-10-batches-bin', 'binary batches of CIFAR-10, one or a folder of them'],
    ],
    'Exit codes:': [
      ['0', 'done'],
      [
        '1',
        'bad input or a failure: the value of an option, a file, a picture, the hub, the disk; error: … tells which',
      ],
      ['2', 'wrong usage: an unknown command or option, something missing, options that exclude each other'],
      ['130', 'interrupted'],
    ],
    'Environment:': [
      ['HF_ENDPOINT', 'address of the hub (default: https://huggingface.co)'],
      ['HF_HOME', 'where downloads are kept, under hub/ (default: ~/.cache/huggingface)'],
      ['HF_TOKEN', 'token for models that are not open to everybody'],
      ['HF_HUB_OFFLINE', '1 uses what was downloaded before and asks no network'],
      ['NO_COLOR', 'anything turns colours off (FORCE_COLOR=1 turns them on)'],
      ['IDLEVIT_DEBUG', '1 adds the stack to an error'],
    ],
  } as const
  for (const [heading, rows] of Object.entries(sections)) addSection(program, heading, columns(rows))
}
