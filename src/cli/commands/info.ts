/** `idlevit info` */

import type { Command } from 'commander'
import type { ModelCost } from '../../models/cost.js'
import type { Counting } from '../../reduction/method.js'
import { addExamples } from '../help.js'
import { addOptions, modelOptions, pictureOptions, type SharedOptions } from '../options.js'
import { emit, table } from '../output.js'

export function addInfo(program: Command): void {
  const command = program.command('info').description('parameters, multiply-adds and tokens of every block')
  addOptions(command, [...modelOptions, ...pictureOptions], { required: ['model'] }).action(info)
  addExamples(
    command,
    ['idlevit info --model demo', 'the embedded model'],
    ['idlevit info --model deit-small --keep-ratio 0.7', 'a preset, idled: nothing is downloaded'],
    ['idlevit info --model deit-base --crop 384 --json', 'larger pictures, for a program'],
  )
}

/** GMACs of the paper's Table 1 for DeiT-S; its rounding is not known. */
const table1: Readonly<Record<number, number>> = {
  1: 4.6,
  0.9: 4,
  0.8: 3.5,
  0.7: 3.1,
  0.6: 2.7,
  0.5: 2.4,
  0.4: 2.1,
  0.3: 1.9,
}
const DEIT_SMALL_PARAMS = 22_050_664

async function info(options: SharedOptions): Promise<void> {
  const [setup, { countingsOf, modelCost }, { planReduction }, { shapeOf }, { methodText }, { planSteps }, swin] =
    await Promise.all([
      import('../setup.js'),
      import('../../models/cost.js'),
      import('../../reduction/registry.js'),
      import('../../models/backbone.js'),
      import('../../models/cascade.js'),
      import('../../models/steps.js'),
      import('../../models/swin-config.js'),
    ])
  const model = await setup.sizesOf(options, { cascades: true })
  const { name, config, origins } = model
  const request = setup.reductionFor(options, model, { steps: true })
  const plan = request.steps ? planSteps(request, name, config) : planReduction(request, shapeOf(config))
  const stages = swin.isSwin(config) ? swin.stagesOf(config) : undefined
  const { method } = plan
  const thresholds = request.thresholds ?? model.thresholds
  const stage = request.steps ? 'step' : 'net'
  setup.warnAll(plan.warnings)
  const cost = modelCost(config, plan)
  const inTable1 = cost.params === DEIT_SMALL_PARAMS && (method === 'idle' || method === 'none')
  const published = inTable1 ? table1[request.keepRatio ?? 1] : undefined
  const preprocessing = setup.preprocessingReport(model)
  const giga = (macs: number) => macs / 1e9
  emit(
    options.json,
    {
      model: name,
      params: cost.params,
      gmacs: giga(cost.macs),
      ...(cost.varies && { gmacsAtMost: true }),
      denseGmacs: giga(cost.denseMacs),
      method: methodText(config, method),
      keepRatios: plan.ratios,
      blocks: cost.blocks.map(({ block, tokens, macs }) => ({ block, tokens, gmacs: giga(macs) })),
      countings: Object.fromEntries(Object.entries(cost.countings).map(([name, macs]) => [name, giga(macs)])),
      ...(published !== undefined && { paperGmacs: published }),
      ...(cost.nets && {
        nets: cost.nets.map(({ name, tokens, macs, macsUpTo }) => ({
          name,
          tokens,
          gmacs: giga(macs),
          gmacsUpTo: giga(macsUpTo),
        })),
        thresholds: thresholds ?? null,
      }),
      ...config,
      ...(origins && {
        headsSource: origins.heads.source,
        headsGuessed: origins.heads.guessed,
        layerNormEpsSource: origins.layerNormEps.source,
      }),
      ...(preprocessing && { preprocessing }),
    },
    (report) => {
      const all = stages?.flatMap(({ depth, map }) => new Array<number>(depth).fill(map[0] * map[1]))
      show(report.model, cost, { stage, others: countingsOf(method, config), published: report.paperGmacs, all })
      if (cost.nets)
        process.stdout.write(
          `\nthresholds: ${thresholds?.join(', ') ?? `none, every picture goes through all ${stage}s`}\n`,
        )
      if (!origins) return
      const { layerNormEps: eps } = config
      const heads = stages?.map((stage) => stage.heads).join(', ') ?? config.heads
      process.stdout.write(`\nattention heads: ${heads}${stages ? ' by stage' : ''} (${origins.heads.source})\n`)
      process.stdout.write(`LayerNorm epsilon: ${eps} (${origins.layerNormEps.source})\n`)
      if (preprocessing) process.stdout.write(`${setup.preprocessingLine(preprocessing)}\n`)
    },
  )
}

/** What is shown beside a model's cost. */
interface Shown {
  /** What the parts of a cascade are called. */
  readonly stage: 'net' | 'step'
  readonly others: Readonly<Record<string, Counting<object>>>
  readonly published: number | undefined
  /** Of a pyramid all tokens of every block, fewer from stage to stage. */
  readonly all: readonly number[] | undefined
}

function show(name: string, cost: ModelCost, { stage, others, published, all }: Shown): void {
  const giga = (macs: number) => (macs / 1e9).toFixed(3)
  const atMost = cost.varies ? `, at most: pictures decide${cost.nets ? ` how many ${stage}s are asked` : ''}` : ''
  const ratio = (macs: number) => `${((100 * macs) / cost.denseMacs).toFixed(1)} %`
  process.stdout.write(`${name}: ${cost.params.toLocaleString('en')} parameters\n\n`)
  if (cost.nets) {
    table([
      [stage, 'tokens', 'GMACs', 'up to it'],
      ...cost.nets.map(({ name, tokens, macs, macsUpTo }) => [name, tokens, giga(macs), giga(macsUpTo)]),
    ])
  } else
    table([
      ['block', 'tokens', ...(all ? ['of'] : []), 'GMACs'],
      ...cost.blocks.map(({ block, tokens, macs }) => [
        block,
        tokens,
        ...(all ? [all[block] as number] : []),
        giga(macs),
      ]),
    ])
  process.stdout.write('\n')
  table([
    ['counting', 'GMACs', 'of dense'],
    [`executed here (only what can be seen in the answer)${atMost}`, giga(cost.macs), ratio(cost.macs)],
    ...Object.entries(others).flatMap(([name, { label }]) => {
      const macs = cost.countings[name]
      return macs === undefined ? [] : [[label, giga(macs), ratio(macs)]]
    }),
    [
      cost.nets && stage === 'net' ? 'every row of all nets, as the official code' : 'dense',
      giga(cost.denseMacs),
      '100.0 %',
    ],
    ...(published === undefined ? [] : [['IdleViT paper, Table 1', published.toFixed(1), '']]),
  ])
}
