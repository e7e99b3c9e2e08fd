/** `idlevit export --out DIR` */

import type { Command } from 'commander'
import type { ExportReport } from '../../export/folder.js'
import type { Precision } from '../../graph/passes/precision.js'
import { addExamples } from '../help.js'
import { addOptions, addRequired, modelOptions, pictureOptions, precisions, type SharedOptions } from '../options.js'
import { emit, table } from '../output.js'
import { list, oneOf, text } from '../values.js'

interface ExportCommandOptions extends Omit<SharedOptions, 'precision'> {
  readonly out: string
  readonly precision: readonly Precision[]
  readonly portable?: boolean
  readonly features?: boolean
  readonly elastic?: boolean
  readonly weights: boolean
}

export function addExport(program: Command): void {
  const command = addRequired(
    program.command('export').description('write a folder that transformers.js loads'),
    '--out <DIR>',
    'the folder to write',
    text('a path'),
  )
    .option(
      '--precision <name,…>',
      `number formats, an ONNX file each: ${precisions.join(', ')}`,
      (text) => list(oneOf(...precisions))(text, '--precision'),
      ['fp32'],
    )
    .option('--portable', "standard ONNX operators only (opset 17), for any runtime; without it ONNX Runtime's too")
    .option('--features', 'also output token features in raster order')
    .option('--elastic', 'tokens to keep per block as an input, `keep_tokens`')
    .option('--no-weights', 'leave out model.safetensors, which only idlevit needs')
  addOptions(command, [...modelOptions, 'labels', ...pictureOptions], { required: ['model'] }).action(exportCommand)
  addExamples(
    command,
    ['idlevit export --model demo --out demo-onnx', 'the embedded model'],
    [
      'idlevit export --model deit-small --keep-ratio 0.7 --precision fp32,int8 \\\n    --out idle',
      'idled, in two number formats, which transformers.js calls fp32 and q8',
    ],
    ['idlevit export --model demo --elastic --portable --out demo-any', 'any keep ratio, any ONNX runtime'],
  )
}

async function exportCommand(options: ExportCommandOptions): Promise<void> {
  const [{ exportModel }, setup] = await Promise.all([import('../../export/folder.js'), import('../setup.js')])
  const { precision, out, ...shared } = options
  const model = await setup.openModel(shared)
  const report = await exportModel(model, out, {
    ...setup.reductionFor(shared, model),
    precisions: precision,
    portable: options.portable ?? false,
    features: options.features ?? false,
    elastic: options.elastic ?? false,
    weights: options.weights,
    preprocess: setup.preprocessFor(shared, model),
  })
  setup.warnAll(report.warnings ?? [])
  emit(options.json, report, show)
}

function show({ out, files, gmacs, gmacsAtMost }: ExportReport): void {
  process.stdout.write(`${out}: ${gmacsAtMost ? 'at most ' : ''}${gmacs.toFixed(3)} GMACs a picture\n\n`)
  table([['file', 'bytes'], ...files.map(({ path, bytes }) => [path, bytes])])
}
