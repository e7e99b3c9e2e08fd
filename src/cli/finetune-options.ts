/** The options of `idlevit finetune`. */

import { type Command, Option } from 'commander'
import type { AugmentRecipe } from '../images/augment/augment.js'
import type { CutBlocks, CutReduction } from '../losses/cut.js'
import { methodNames } from '../reduction/registry.js'
import { type HeadChoice, headChoices } from '../training/classes.js'
import { ownLosses } from '../training/losses.js'
import { type PresetName, presets } from '../training/options.js'
import type { Rate } from '../training/rates.js'
import type { FeatureRows, KeepRatio, Recipe } from '../training/recipe.js'
import {
  epochsReader,
  initReader,
  keepRatioReader,
  type NamedNumber,
  namedNumber,
  rateReader,
  scaleReader,
} from './finetune-values.js'
import { mustBeGiven } from './help.js'
import { addOptions, dataText, pictureOptions, type SharedOptions } from './options.js'
import { list, number, oneOf, type Reader, text, whole } from './values.js'

type Both = 'both' | 'inter' | 'intra' | 'none'

/** What the options hold after parsing. */
export interface FinetuneOptions extends Omit<SharedOptions, 'keepRatio'> {
  readonly data: string
  readonly val: string
  readonly out: string
  readonly resume?: boolean
  readonly preset: PresetName
  readonly keepRatio?: KeepRatio
  readonly teacher?: string
  readonly cutLoss?: Both
  readonly cutReduction?: CutReduction
  readonly cutBlocks?: CutBlocks
  readonly classificationWeight?: number
  readonly distillationWeight?: number
  readonly featureWeight?: number
  readonly cutWeight?: number
  readonly featureRows?: FeatureRows
  readonly form?: 'gathered' | 'masked'
  readonly recompute?: boolean
  readonly lossWeight?: readonly NamedNumber[]
  readonly lrFactor?: readonly Rate[]
  readonly shrink?: { readonly from: number; readonly until: number }
  readonly epochs?: number
  readonly accumulate?: number
  readonly lr?: number
  readonly minLr?: number
  readonly warmupEpochs?: number
  readonly weightDecay?: number
  readonly clip?: number
  readonly ema?: number
  readonly dropPath?: number
  readonly freeze?: readonly string[]
  readonly smoothing?: number
  readonly mixup?: number
  readonly cutmix?: number
  readonly augment?: string
  readonly erase?: number
  readonly cropScale?: readonly [number, number]
  readonly flip?: number
  readonly repeats?: number
  readonly patch?: number
  readonly width?: number
  readonly depth?: number
  readonly heads?: number
  readonly classes?: number
  readonly head?: HeadChoice
  readonly workers?: number
  readonly evalEvery?: number
  readonly saveEvery?: number
  readonly half?: boolean
}

const count = whole(1)

/** What the presets set: `quick`, and the others where they differ from it. */
function fromPresets(read: (recipe: Recipe) => unknown): string {
  const quick = shown(read(presets.quick))
  const [paper, official] = [presets.paper, presets.official].map((recipe) => shown(read(recipe)))
  if (paper === official && paper !== quick) return `${quick}; paper, official: ${paper}`
  const others = { paper, official }
  const differing = Object.entries(others).filter(([, value]) => value !== quick)
  return [quick, ...differing.map(([name, value]) => `${name}: ${value}`)].join('; ')
}

function shown(value: unknown): string {
  if (typeof value === 'number' && value > 0 && value < 1e-3) return value.toExponential()
  return Array.isArray(value) ? value.join('..') : String(value)
}

/** A policy of RandAugment as `--augment` takes it. */
const policyText = ({ randAugment }: AugmentRecipe): string => {
  if (randAugment === undefined) return 'none'
  const { magnitude, deviation } = randAugment
  return `rand-m${magnitude}-mstd${deviation}-inc1`
}

/** An option, and what holds where it is not given: words, or what the presets have. */
type Row = readonly [
  flags: string,
  help: string,
  read?: Reader<unknown> | undefined,
  otherwise?: string | ((recipe: Recipe) => unknown),
]

/** Adds all options of the command. */
export function addFinetuneOptions(command: Command): Command {
  const group = (heading: string, options: readonly Row[]) =>
    options.forEach(([flags, help, read, otherwise]) => {
      const option = new Option(flags, help).helpGroup(heading)
      if (read) option.argParser((given) => read(given, `--${option.name()}`))
      if (/^--(data|val|out) /.test(flags)) mustBeGiven(option)
      if (flags.startsWith('--preset')) option.default('quick')
      else option.default(undefined, typeof otherwise === 'function' ? fromPresets(otherwise) : otherwise)
      if (flags.startsWith('--keep-ratio ')) option.conflicts(['keepRatios', 'keepTokens', 'maxGmacs'])
      command.addOption(option)
    })
  group('The run:', [
    ['--data <D>', `training pictures: ${dataText}`, text('a path')],
    ['--val <V>', 'validation pictures, never trained on: as --data', text('a path')],
    ['--out <DIR>', 'folder for the model, its log, report.html and checkpoints', text('a path')],
    ['--resume', 'go on with the run that --out holds, exactly where its last checkpoint is'],
    [
      '--preset <name>',
      'recipe to start from: paper, official (the released code of the method; of ats its losses alone, on the schedule of paper) or quick',
      oneOf('paper', 'official', 'quick'),
    ],
    ['--workers <N>', 'threads that decode and augment pictures', whole(1, 64), 'a quarter of the cores'],
    ['--eval-every <N>', 'epochs from one evaluation to the next', count, '1'],
    ['--save-every <seconds>', 'longest time between checkpoints', count, '600'],
    ['--half', 'write the model in float16, half the size'],
  ])
  group('Classes:', [
    [
      '--head <name>',
      'keep the model’s head, or train a new one for the classes of --data; auto: keep it where each of them is one of the model’s by name or number',
      oneOf(...headChoices),
      'auto',
    ],
    ['--classes <N>', 'number of classes of the head', whole(2), 'as --data has'],
  ])
  group('Tokens:', [
    [
      '--keep-ratio <K>',
      'share of tokens kept per stage, or LOW..HIGH: one model for every ratio between',
      keepRatioReader,
      ({ keep }) => keep.keepRatio,
    ],
    [
      '--form <name>',
      'of idle; gathered: compute selected rows only; masked: the paper’s form, the same numbers',
      oneOf('gathered', 'masked'),
      ({ form }) => form,
    ],
    [
      '--shrink <FROM..UNTIL>',
      'keep all tokens until epoch FROM, then ever fewer, and from epoch UNTIL on --keep-ratio',
      epochsReader,
      '--keep-ratio from the start',
    ],
  ])
  group('Loss:', [
    [
      '--teacher <MODEL>',
      'dense model to learn from, as --model, or none',
      text('a model or none'),
      '--model itself; none with --init',
    ],
    ['--classification-weight <W>', 'coefficient of the cross entropy', number, ({ loss }) => loss.classification],
    [
      '--distillation-weight <W>',
      'coefficient of the divergence from the teacher’s answers',
      number,
      ({ loss }) => loss.distillation,
    ],
    [
      '--feature-weight <W>',
      'coefficient of the distance to the teacher’s features',
      number,
      ({ loss }) => loss.feature,
    ],
    ['--cut-weight <W>', 'coefficient of the token cut loss, of idle', number, ({ loss }) => loss.cut],
    [
      '--loss-weight <name=W,…>',
      `coefficients of the method’s own losses: ${ownLossesHelp()}`,
      list(namedNumber),
      'as the preset has',
    ],
    [
      '--feature-rows <name>',
      'features of the class token alone (class), of all tokens (all), or of those that the last idle block computed, channel by channel (selected: as the official code does on LV-ViT)',
      oneOf('class', 'all', 'selected'),
      ({ featureRows }) => featureRows,
    ],
    [
      '--cut-loss <name>',
      'terms of the token cut loss, of idle: both, inter, intra or none',
      oneOf('both', 'inter', 'intra', 'none'),
      ({ cut }) => cut.kind,
    ],
    [
      '--cut-reduction <name>',
      'how it is averaged: as in the paper, or in the official code',
      oneOf('paper', 'official'),
      ({ cut }) => cut.reduction,
    ],
    [
      '--cut-blocks <name>',
      'blocks it counts: all or every-second',
      oneOf('all', 'every-second'),
      'all in the reduction of the paper, every-second in the official one',
    ],
  ])
  group('Optimization:', [
    ['--epochs <N>', 'times through the training pictures', count, ({ epochs }) => epochs],
    ['--accumulate <N>', 'batches whose gradients make one update', count, ({ accumulate }) => accumulate],
    [
      '--lr <R>',
      'peak learning rate; scaled by the pictures of an update where --batch or --accumulate is given alone',
      number,
      ({ lr }) => lr,
    ],
    ['--min-lr <R>', 'learning rate at the end', number, ({ minLr }) => minLr],
    ['--warmup-epochs <N>', 'epochs of linear warm-up', number, ({ warmupEpochs }) => warmupEpochs],
    ['--weight-decay <W>', 'decoupled weight decay of matrices', number, ({ weightDecay }) => weightDecay],
    ['--clip <norm>', 'largest norm of the gradient; 0 for none', number, ({ clip }) => clip],
    ['--ema <decay>', 'decay of the moving average of the weights; 0 for none', number, ({ emaDecay }) => emaDecay],
    [
      '--drop-path <P>',
      'chance that the last block’s branches are left out, falling to 0 at the first',
      number,
      ({ dropPath }) => dropPath,
    ],
    [
      '--freeze <patterns>',
      'parameters that stay as they are, as in pos_embed,blocks.0.*',
      list(text('a name or pattern')),
      ({ freeze }) => (freeze.length === 0 ? 'none' : freeze.join(',')),
    ],
    [
      '--lr-factor <pattern=F,…>',
      'factors of the learning rate by parameter, the first pattern that fits; =F@E: 0 before epoch E',
      list(rateReader),
      'as the method’s preset has',
    ],
    ['--recompute', 'compute blocks twice instead of keeping their insides: less memory, a third more work'],
  ])
  group('Pictures:', [
    [
      '--crop-scale <a..b>',
      'share of the picture that a random crop covers',
      scaleReader,
      ({ augment }) => augment.scale,
    ],
    ['--flip <P>', 'chance of a mirrored picture', number, ({ augment }) => augment.flip],
    [
      '--augment <policy>',
      'RandAugment policy, as in rand-m9-mstd0.5-inc1, or none',
      text('a policy or none'),
      ({ augment }) => policyText(augment),
    ],
    ['--erase <P>', 'chance of an erased rectangle', number, ({ augment }) => augment.erase],
    ['--mixup <alpha>', 'strength of mixup; 0 for none', number, ({ mix }) => mix.mixup],
    ['--cutmix <alpha>', 'strength of CutMix; 0 for none', number, ({ mix }) => mix.cutmix],
    ['--smoothing <S>', 'share of a target that is spread over all classes', number, ({ smoothing }) => smoothing],
    [
      '--repeats <N>',
      'how often a drawn picture comes in an epoch, augmented differently',
      count,
      ({ repeats }) => repeats,
    ],
  ])
  group('From scratch:', [
    [
      '--init <random[:SEED]>',
      'random weights in the sizes of --model; of --seed, where no seed stands here',
      initReader,
      'pretrained weights',
    ],
    ['--patch <pixels>', 'side of a patch', count, 'as in --model'],
    ['--width <C>', 'width of a token', count, 'as in --model'],
    ['--depth <L>', 'number of blocks', count, 'as in --model'],
    ['--heads <N>', 'attention heads, also of a checkpoint that does not say them', count, 'as in --model'],
  ])
  const shared = [
    'model',
    'keepRatios',
    'keepTokens',
    'maxGmacs',
    'plan',
    'method',
    'methodOption',
    'score',
    ...pictureOptions,
    'device',
    'threads',
    'batch',
    'seed',
    'labels',
  ] as const
  return addOptions(command, shared, {
    required: ['model'],
    otherwise: {
      method: 'idle',
      score: fromPresets(({ score }) => score),
      batch: fromPresets(({ batch }) => batch),
      seed: fromPresets(({ seed }) => seed),
      labels: "the names of --data's folders, or the model's",
    },
  })
}

/** Every method's own losses, in a line. */
const ownLossesHelp = (): string =>
  methodNames
    .flatMap((method) => {
      const names = Object.keys(ownLosses(method))
      return names.length > 0 ? [`${names.join(', ')} of ${method}`] : []
    })
    .join('; ')
