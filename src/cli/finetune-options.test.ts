import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command, CommanderError } from 'commander'
import { InputError } from '../errors.js'
import { makeRecipe, presets } from '../training/options.js'
import { addFinetuneOptions, type FinetuneOptions } from './finetune-options.js'
import { recipeChanges } from './finetune-recipe.js'

const needed = ['--model', 'deit-tiny', '--data', 'train', '--val', 'val', '--out', 'out']

function parse(...args: string[]): FinetuneOptions {
  const command = new Command('finetune').exitOverride().configureOutput({ outputError: () => {} })
  addFinetuneOptions(command).action(() => {})
  return command.parse([...needed, ...args], { from: 'user' }).opts<FinetuneOptions>()
}

const recipe = (...args: string[]) => {
  const options = parse(...args)
  return makeRecipe(options.preset, recipeChanges(options))
}

test('without options a preset is as it is', () => {
  assert.deepEqual(recipe(), presets.quick)
  assert.deepEqual(recipe('--preset', 'paper'), presets.paper)
  assert.deepEqual(recipe('--preset', 'official'), presets.official)
})

test('every option lands in its field of the recipe', () => {
  const line =
    '--preset paper --seed 3 --epochs 7 --batch 16 --accumulate 2 --lr 1e-3 --min-lr 1e-5 --warmup-epochs 1.5 ' +
    '--weight-decay 0.1 --clip 1 --ema 0.9 --keep-ratio 0.5..1 --score logits --form masked --classification-weight 2 ' +
    '--distillation-weight 3 --feature-weight 4 --cut-weight 5 --cut-loss inter --cut-reduction official ' +
    '--cut-blocks all --feature-rows class --smoothing 0.2 --mixup 0.1 --cutmix 0.3 --crop-scale 0.2..0.9 --flip 0 ' +
    '--augment rand-m5-inc1 --erase 0.1 --repeats 2 --drop-path 0.2 --freeze pos_embed,blocks.0.*'
  assert.deepEqual(recipe(...line.split(' ')), {
    seed: 3,
    epochs: 7,
    batch: 16,
    accumulate: 2,
    lr: 1e-3,
    minLr: 1e-5,
    warmupEpochs: 1.5,
    warmupLr: 1e-6,
    schedule: 'step',
    weightDecay: 0.1,
    clip: 1,
    emaDecay: 0.9,
    keep: { keepRatio: { low: 0.5, high: 1 } },
    stages: 'paper',
    score: 'logits',
    form: 'masked',
    loss: { classification: 2, distillation: 3, feature: 4, cut: 5 },
    cut: { kind: 'inter', reduction: 'official', blocks: 'all' },
    featureRows: 'class',
    smoothing: 0.2,
    mix: { mixup: 0.1, cutmix: 0.3, switchProbability: 0.5 },
    augment: {
      scale: [0.2, 0.9],
      ratio: [3 / 4, 4 / 3],
      flip: 0,
      randAugment: { operations: 2, probability: 0.5, magnitude: 5, deviation: 0 },
      erase: 0.1,
    },
    repeats: 2,
    dropPath: 0.2,
    freeze: ['pos_embed', 'blocks.0.*'],
  })
  assert.deepEqual(recipe('--keep-tokens', '9,4').keep, { keepTokens: [9, 4] })
  assert.equal(recipe('--cut-loss', 'none', '--cut-weight', '20').loss.cut, 0)
  assert.equal(recipe('--preset', 'paper', '--augment', 'none').augment.randAugment?.operations, 0)
})

test('what does not fit is refused', () => {
  const refused = [
    [['--keep-ratio', '1..0.5'], '--keep-ratio: wanted a ratio, or LOW..HIGH with LOW below HIGH, found "1..0.5"'],
    [
      ['--keep-ratio', '0.5..1..1'],
      '--keep-ratio: wanted a ratio, or LOW..HIGH with LOW below HIGH, found "0.5..1..1"',
    ],
    [['--keep-ratio', '0..1'], '--keep-ratio: wanted a number above 0 and at most 1, found 0'],
    [['--crop-scale', '0.5'], '--crop-scale: wanted two shares, as in 0.08..1, found "0.5"'],
    [['--init', 'zero'], '--init: wanted random or random:SEED, found zero'],
    [['--preset', 'slow'], '--preset: wanted one of paper, official, quick, found slow'],
    [['--augment', 'auto'], 'augmentation: wanted a policy such as rand-m9-mstd0.5-inc1, found auto'],
    [
      ['--method', 'evit', '--cut-loss', 'both'],
      '--cut-loss: a loss of idle, not of evit, which has classification, distillation, feature',
    ],
    [
      ['--method', 'dynamicvit', '--cut-weight', '3'],
      '--cut-weight: a loss of idle, not of dynamicvit, which has classification, distillation, feature, ratio, token',
    ],
    [
      ['--loss-weight', 'ratio=2'],
      '--loss-weight ratio: a loss of dynamicvit, not of idle, which has classification, distillation, feature, cut',
    ],
    [['--method', 'evit', '--score', 'logits'], '--score: an option of idle, not of evit, which has fuse'],
    [['--method', 'evit', '--form', 'masked'], '--form: wanted gathered, as evit is trained, found masked'],
    [
      ['--method', 'dynamicvit', '--form', 'gathered'],
      '--form: wanted masked, as dynamicvit is trained, found gathered',
    ],
    [
      ['--method', 'tome', '--keep-ratio', '0.5..1'],
      '--keep-ratio LOW..HIGH: wanted a method whose number of tokens can change from run to run, found tome',
    ],
    [
      ['--method', 'dynamicvit', '--shrink', '1..3'],
      '--shrink: the weights of dynamicvit are for one number of tokens',
    ],
    [['--method', 'evit', '--shrink', '3..3'], '--shrink: wanted FROM..UNTIL, the first below the second, found 3..3'],
    [['--lr-factor', '*=-1'], '--lr-factor: wanted a factor of at least 0 for *, found -1'],
  ] as const
  for (const [args, message] of refused) assert.throws(() => recipe(...args), new InputError(message))
  assert.throws(
    () => parse('--keep-ratio', '0.5', '--keep-tokens', '9'),
    (error) => error instanceof CommanderError && error.code === 'commander.conflictingOption',
  )
})

test('a method brings its own losses, form and rates, and its authors’ recipe', () => {
  const dynamicvit = recipe('--method', 'dynamicvit', '--loss-weight', 'ratio=5', '--keep-ratio', '0.5')
  assert.deepEqual(dynamicvit.loss, { classification: 1, distillation: 5, feature: 500, ratio: 5, token: 0.5 })
  assert.equal(dynamicvit.form, 'masked')
  const official = recipe('--method', 'dynamicvit', '--preset', 'official')
  assert.deepEqual(official.loss, { classification: 1, distillation: 0.5, feature: 0, ratio: 2, token: 0.5 })
  assert.deepEqual([official.lr, official.warmupEpochs, official.batch * official.accumulate], [1e-3, 5, 1024])
  const evit = recipe('--method', 'evit', '--preset', 'official')
  assert.deepEqual([evit.minLr, evit.weightDecay, evit.batch * evit.accumulate], [2e-6, 1e-6, 2048])
  assert.deepEqual(evit.loss, { classification: 1, distillation: 0, feature: 0 })
  assert.deepEqual(recipe('--method', 'evit', '--shrink', '10..110').shrink, { from: 10, until: 110 })
  assert.deepEqual(recipe('--lr-factor', 'head.*=2,*=0.1@5').rates, [
    { names: 'head.*', factor: 2 },
    { names: '*', factor: 0.1, from: 5 },
  ])
  const tome = recipe('--method', 'tome', '--method-option', 'r=4')
  assert.deepEqual([tome.settings, tome.keep], [{ r: 4 }, {}])
  const overruled = recipe('--method', 'tome', '--preset', 'official', '--keep-ratio', '0.7')
  assert.deepEqual([overruled.settings, overruled.keep], [{}, { keepRatio: 0.7 }])
})
