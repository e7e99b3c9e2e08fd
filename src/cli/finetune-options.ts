/** The options of `idlevit finetune`, and how they change a preset's recipe. */

import { type Command, Option } from 'commander'
import { fail } from '../errors.js'
import { parseRandAugment, type RandAugment } from '../images/augment/randaugment.js'
import type { CutBlocks, CutKind, CutReduction } from '../losses/cut.js'
import { type HeadChoice, headChoices } from '../training/classes.js'
import type { KeepRatio, PresetName, RecipeChanges } from '../training/options.js'
import { addOptions, pictureOptions, type SharedOptions } from './options.js'
import { list, number, oneOf, type Reader, ratio, seed, text, whole } from './values.js'

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
  readonly featureRows?: 'class' | 'all'
  readonly form?: 'gathered' | 'masked'
  readonly recompute?: boolean
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

/** `K`, or `LOW..HIGH` for an elastic run. */
export const keepRatioReader: Reader<KeepRatio> = (given, option) => {
  const [low = '', high, ...more] = given.split('..')
  if (high === undefined) return ratio(given, option)
  const range = { low: ratio(low.trim(), option), high: ratio(high.trim(), option) }
  if (more.length > 0 || range.low >= range.high)
    fail(`${option}: wanted a ratio, or LOW..HIGH with LOW below HIGH, found ${JSON.stringify(given)}`)
  return range
}

/** `LEAST..MOST`, two shares of the area. */
const scaleReader: Reader<readonly [number, number]> = (given, option) => {
  const [least, most, ...more] = given.split('..')
  if (least === undefined || most === undefined || more.length > 0)
    return fail(`${option}: wanted two shares, as in 0.08..1, found ${JSON.stringify(given)}`)
  return [ratio(least, option), ratio(most, option)]
}

/** `random`, or `random:SEED`. */
const initReader: Reader<string> = (given, option) => {
  const [, digits] =
    /^random(?::(\d+))?$/.exec(given) ?? fail(`${option}: wanted random or random:SEED, found ${given}`)
  if (digits !== undefined) seed(digits, option)
  return given
}

const count = whole(1)

/** Adds all options of the command. */
export function addFinetuneOptions(command: Command): Command {
  const group = (
    heading: string,
    options: readonly (readonly [flags: string, help: string, read?: Reader<unknown>])[],
  ) =>
    options.forEach(([flags, help, read]) => {
      const option = new Option(flags, help).helpGroup(heading)
      if (read) option.argParser((given) => read(given, `--${option.name()}`))
      if (/^--(data|val|out) /.test(flags)) option.makeOptionMandatory()
      if (flags.startsWith('--preset')) option.default('quick')
      if (flags.startsWith('--keep-ratio ')) option.conflicts(['keepRatios', 'keepTokens'])
      command.addOption(option)
    })
  group('The run:', [
    ['--data <D>', 'training pictures: image folder, list file, WebDataset tars or CIFAR-10 batches', text('a path')],
    ['--val <V>', 'validation pictures, never trained on', text('a path')],
    ['--out <DIR>', 'folder for the model, its log, report.html and checkpoints', text('a path')],
    ['--resume', 'go on with the run that --out holds, exactly where its last checkpoint is'],
    [
      '--preset <name>',
      'recipe to start from: paper, official (the released code) or quick',
      oneOf('paper', 'official', 'quick'),
    ],
    ['--workers <N>', 'threads that decode and augment pictures (default: a quarter of the cores)', whole(1, 64)],
    ['--eval-every <N>', 'epochs from one evaluation to the next (default: 1)', count],
    ['--save-every <seconds>', 'longest time between checkpoints (default: 600)', count],
    ['--half', 'write the model in float16, half the size'],
  ])
  group('Classes:', [
    [
      '--head <name>',
      'keep the model’s head, or train a new one for the classes of --data; auto: keep it where each of them is one of the model’s by name or number (default: auto)',
      oneOf(...headChoices),
    ],
    ['--classes <N>', 'number of classes of the head (default: as --data has)', whole(2)],
  ])
  group('Tokens:', [
    [
      '--keep-ratio <K>',
      'share of tokens kept per stage, or LOW..HIGH: one model for every ratio between (default: 0.7)',
      keepRatioReader,
    ],
    [
      '--form <name>',
      'gathered: compute selected rows only; masked: the paper’s form, the same numbers',
      oneOf('gathered', 'masked'),
    ],
  ])
  group('Loss:', [
    [
      '--teacher <MODEL>',
      'dense model to learn from, or none (default: --model itself; none with --init)',
      text('a model or none'),
    ],
    ['--classification-weight <W>', 'coefficient of the cross entropy', number],
    ['--distillation-weight <W>', 'coefficient of the divergence from the teacher’s answers', number],
    ['--feature-weight <W>', 'coefficient of the distance to the teacher’s features', number],
    ['--cut-weight <W>', 'coefficient of the token cut loss', number],
    ['--feature-rows <name>', 'features of the class token alone, or of all tokens', oneOf('class', 'all')],
    [
      '--cut-loss <name>',
      'terms of the token cut loss: both, inter, intra or none',
      oneOf('both', 'inter', 'intra', 'none'),
    ],
    [
      '--cut-reduction <name>',
      'how it is averaged: as in the paper, or in the official code',
      oneOf('paper', 'official'),
    ],
    ['--cut-blocks <name>', 'blocks it counts (default: as the reduction has it)', oneOf('all', 'every-second')],
  ])
  group('Optimization:', [
    ['--epochs <N>', 'times through the training pictures', count],
    ['--accumulate <N>', 'batches whose gradients make one update', count],
    ['--lr <R>', 'peak learning rate (default: the preset’s, scaled by the pictures of an update)', number],
    ['--min-lr <R>', 'learning rate at the end', number],
    ['--warmup-epochs <N>', 'epochs of linear warm-up', number],
    ['--weight-decay <W>', 'decoupled weight decay of matrices', number],
    ['--clip <norm>', 'largest norm of the gradient; 0 for none', number],
    ['--ema <decay>', 'decay of the moving average of the weights; 0 for none', number],
    ['--drop-path <P>', 'chance that the last block’s branches are left out, falling to 0 at the first', number],
    [
      '--freeze <patterns>',
      'parameters that stay as they are, as in pos_embed,blocks.0.*',
      list(text('a name or pattern')),
    ],
    ['--recompute', 'compute blocks twice instead of keeping their insides: less memory, a third more work'],
  ])
  group('Pictures:', [
    ['--crop-scale <a..b>', 'share of the picture that a random crop covers', scaleReader],
    ['--flip <P>', 'chance of a mirrored picture', number],
    ['--augment <policy>', 'RandAugment policy, as in rand-m9-mstd0.5-inc1, or none', text('a policy or none')],
    ['--erase <P>', 'chance of an erased rectangle', number],
    ['--mixup <alpha>', 'strength of mixup; 0 for none', number],
    ['--cutmix <alpha>', 'strength of CutMix; 0 for none', number],
    ['--smoothing <S>', 'share of a target that is spread over all classes', number],
    ['--repeats <N>', 'how often a drawn picture comes in an epoch, augmented differently', count],
  ])
  group('From scratch:', [
    ['--init <random[:SEED]>', 'random weights in the sizes of --model (default seed: --seed)', initReader],
    ['--patch <pixels>', 'side of a patch', count],
    ['--width <C>', 'width of a token', count],
    ['--depth <L>', 'number of blocks', count],
    ['--heads <H>', 'attention heads', count],
  ])
  const shared = [
    'model',
    'keepRatios',
    'keepTokens',
    'score',
    ...pictureOptions,
    'device',
    'threads',
    'batch',
    'seed',
    'labels',
  ] as const
  return addOptions(command, shared, { required: ['model'] })
}

/** What the options change of the preset. */
export function recipeChanges(options: FinetuneOptions): RecipeChanges {
  const { keepRatio, keepRatios, keepTokens, cutLoss, augment } = options
  const keep = {
    ...(keepRatio !== undefined && { keepRatio }),
    ...(keepRatios !== undefined && { keepRatios }),
    ...(keepTokens !== undefined && { keepTokens }),
  }
  const changes: RecipeChanges = {
    seed: options.seed,
    epochs: options.epochs,
    batch: options.batch,
    accumulate: options.accumulate,
    lr: options.lr,
    minLr: options.minLr,
    warmupEpochs: options.warmupEpochs,
    weightDecay: options.weightDecay,
    clip: options.clip,
    emaDecay: options.ema,
    keep: Object.keys(keep).length > 0 ? keep : undefined,
    score: options.score,
    form: options.form,
    loss: {
      classification: options.classificationWeight,
      distillation: options.distillationWeight,
      feature: options.featureWeight,
      cut: cutLoss === 'none' ? 0 : options.cutWeight,
    },
    cut: {
      kind: cutLoss === 'none' ? undefined : (cutLoss satisfies CutKind | undefined),
      reduction: options.cutReduction,
      blocks: options.cutBlocks,
    },
    featureRows: options.featureRows,
    smoothing: options.smoothing,
    mix: { mixup: options.mixup, cutmix: options.cutmix },
    augment: { scale: options.cropScale, flip: options.flip, erase: options.erase },
    repeats: options.repeats,
    dropPath: options.dropPath,
    freeze: options.freeze,
  }
  return augment === undefined
    ? changes
    : { ...changes, augment: { ...changes.augment, randAugment: policyOf(augment) } }
}

/** A RandAugment policy; `none` does nothing. */
const policyOf = (policy: string): RandAugment =>
  policy === 'none' ? { operations: 0, probability: 0, magnitude: 0, deviation: 0 } : parseRandAugment(policy)
