import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command, CommanderError } from 'commander'
import { InputError } from '../errors.js'
import {
  type AddOptions,
  addOptions,
  modelOptions,
  pictureOptions,
  type Reduction,
  readOptionsOfAll,
  readPictureOverrides,
  readReduction,
  runtimeOptions,
  type SharedOptions,
} from './options.js'

const everything = [...modelOptions, ...pictureOptions, ...runtimeOptions, 'seed', 'labels'] as const

/** Parses with every shared option on one command. */
function parse(args: readonly string[], extra: AddOptions = {}): SharedOptions {
  const command = new Command('work').exitOverride().configureOutput({ outputError: () => {} })
  addOptions(command, everything, extra).action(() => {})
  return command.parse([...args], { from: 'user' }).opts<SharedOptions>()
}

test('every option is parsed into its type', () => {
  assert.deepEqual(parse([]), {})
  const line =
    '--model deit-tiny --init random:7 --keep-ratio .7 --method none --score softmax --mean 0.5,0.5,0.5 ' +
    '--std 0.5,0.25,1 --resize 256 --crop 224 --precision int8 --device cpu --threads 2 --batch 16 --seed 0 ' +
    '--labels names.txt --json'
  assert.deepEqual(parse(line.split(' ')), {
    model: 'deit-tiny',
    init: 'random:7',
    keepRatio: 0.7,
    method: 'none',
    score: 'softmax',
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.25, 1],
    resize: 256,
    crop: 224,
    precision: 'int8',
    device: 'cpu',
    threads: 2,
    batch: 16,
    seed: 0,
    labels: 'names.txt',
    json: true,
  })
  assert.deepEqual(parse(['--keep-ratios', '1,1, 0.5,5e-1']).keepRatios, [1, 1, 0.5, 0.5])
  assert.deepEqual(parse(['--keep-tokens=196,98']).keepTokens, [196, 98])
  assert.deepEqual(parse(['--mean', '0,5e-1,1']).mean, [0, 0.5, 1])
})

test('a command may give defaults and require options', () => {
  assert.deepEqual(parse([], { defaults: { batch: 32, device: 'cpu' } }), { batch: 32, device: 'cpu' })
  assert.throws(
    () => parse([], { required: ['model'] }),
    (error) => error instanceof CommanderError && error.code === 'commander.missingMandatoryOptionValue',
  )
})

const share = 'a number above 0 and at most 1'
const least1 = 'a whole number from 1 to'
const known = 'none, idle, group, evit, dynamicvit, evovit, ats, tome, adavit, spvit, dynamicswin, dvt'

const refused: readonly [option: string, value: string, message: string][] = [
  ['--keep-ratio', '-0.5', `--keep-ratio: wanted ${share}, found -0.5`],
  ['--keep-ratio', '0', `--keep-ratio: wanted ${share}, found 0`],
  ['--keep-ratio', '1.01', `--keep-ratio: wanted ${share}, found 1.01`],
  ['--keep-ratio', 'NaN', `--keep-ratio: wanted ${share}, found NaN`],
  ['--keep-ratio', '0x1', `--keep-ratio: wanted ${share}, found 0x1`],
  ['--keep-ratio', '', `--keep-ratio: wanted ${share}, found ""`],
  ['--keep-ratio', '0.7,0.5', `--keep-ratio: wanted ${share}, found "0.7,0.5"`],
  ['--keep-ratios', '1,0.5,1.5', `--keep-ratios, entry 3: wanted ${share}, found 1.5`],
  ['--keep-ratios', '1,,1', `--keep-ratios, entry 2: wanted ${share}, found ""`],
  ['--keep-tokens', '196,0', `--keep-tokens, entry 2: wanted ${least1} 2147483647, found 0`],
  ['--keep-tokens', '98.5', `--keep-tokens, entry 1: wanted ${least1} 2147483647, found 98.5`],
  ['--method', 'idol', `--method: wanted one of ${known}, found idol`],
  ['--score', 'sum', '--score: wanted one of softmax, logits, found sum'],
  ['--precision', 'int4', '--precision: wanted one of fp32, fp16, int8, found int4'],
  ['--device', 'tpu', '--device: wanted one of cpu, webgpu, cuda, found tpu'],
  ['--device', 'toString', '--device: wanted one of cpu, webgpu, cuda, found toString'],
  ['--threads', '0', `--threads: wanted ${least1} 1024, found 0`],
  ['--batch', '-1', `--batch: wanted ${least1} 2147483647, found -1`],
  ['--batch', '1e3', `--batch: wanted ${least1} 2147483647, found 1e3`],
  ['--seed', '4294967296', '--seed: wanted a whole number from 0 to 4294967295, found 4294967296'],
  ['--init', 'zero', '--init: wanted random:SEED, as in random:0, found zero'],
  ['--init', 'random:4294967296', '--init: wanted a whole number from 0 to 4294967295, found 4294967296'],
  ['--mean', '0.5,0.5', '--mean: wanted three numbers separated by commas, found "0.5,0.5"'],
  ['--mean', 'a,b,c', '--mean, entry 1: wanted a number, found a'],
  [
    '--mean',
    '127.5,127.5,127.5',
    '--mean: wanted means of values from 0 to 1, found 127.5,127.5,127.5: 127.5/255 = 0.5, so 0.5,0.5,0.5 was probably meant',
  ],
  [
    '--std',
    '58.395,57.12,57.375',
    '--std: wanted deviations of values from 0 to 1, at least 1/255, found 58.395,57.12,57.375: ' +
      '58.395/255 = 0.229, so 0.229,0.224,0.225 was probably meant',
  ],
  ['--mean', '-1,0,1', '--mean: wanted means of values from 0 to 1, found -1,0,1'],
  ['--mean', '0.485,0.456,406', '--mean: wanted means of values from 0 to 1, found 0.485,0.456,406'],
  ['--keep-ratio', '70', `--keep-ratio: wanted ${share}, found 70: 0.7 was probably meant`],
  ['--keep-ratio', '70%', `--keep-ratio: wanted ${share}, found 70%: 0.7 was probably meant`],
  ['--keep-ratios', '100,70', `--keep-ratios, entry 1: wanted ${share}, found 100: 1 was probably meant`],
  ['--heads', '0', '--heads: wanted a whole number from 1 to 4096, found 0'],
  ['--std', '1,0,1', '--std, entry 2: wanted a number above 0, found 0'],
  ['--resize', '1e999', '--resize: wanted a whole number from 1 to 16384, found 1e999'],
  ['--crop', '20000', '--crop: wanted a whole number from 1 to 16384, found 20000'],
  ['--model', ' ', '--model: wanted a preset, a hub id or a path, found " "'],
  ['--labels', '', '--labels: wanted a path, found ""'],
]

test('a value that does not fit is bad input and says what was wanted and found', () => {
  for (const [option, value, message] of refused) {
    assert.throws(() => parse([option, value]), new InputError(message))
  }
})

test('only one way of saying how many tokens are kept', () => {
  for (const args of [
    ['--keep-ratio', '0.7', '--keep-ratios', '1'],
    ['--keep-ratio', '0.7', '--keep-tokens', '1'],
    ['--keep-ratios', '0.7', '--keep-tokens', '1'],
  ]) {
    assert.throws(
      () => parse(args),
      (error) => error instanceof CommanderError && error.code === 'commander.conflictingOption',
    )
  }
})

test('the reduction: idle where tokens are dropped, none where all are kept', () => {
  const cases: readonly [given: SharedOptions, reduction: Reduction][] = [
    [{}, { method: 'none' }],
    [{ keepRatio: 1 }, { method: 'none', keepRatio: 1 }],
    [
      { keepRatio: 1, method: 'idle' },
      { method: 'idle', keepRatio: 1 },
    ],
    [{ keepRatio: 0.7 }, { method: 'idle', keepRatio: 0.7 }],
    [
      { keepRatio: 0.7, method: 'none' },
      { method: 'none', keepRatio: 0.7 },
    ],
    [{ keepRatios: [1, 1] }, { method: 'none', keepRatios: [1, 1] }],
    [{ keepRatios: [1, 0.5] }, { method: 'idle', keepRatios: [1, 0.5] }],
    [
      { keepTokens: [9], score: 'logits' },
      { method: 'idle', keepTokens: [9], score: 'logits' },
    ],
  ]
  for (const [given, reduction] of cases) assert.deepEqual(readReduction(given), reduction)
})

test('options of methods: read by the method, refused by name', () => {
  const named = (...pairs: string[]) =>
    pairs.map((pair) => ({ name: pair.split('=')[0] ?? '', value: pair.split('=')[1] ?? '' }))
  const read = (method: SharedOptions['method'], ...pairs: string[]) =>
    readReduction({ ...(method && { method }), methodOption: named(...pairs) })
  assert.deepEqual(
    parse(['--method-option', 'r=13', '--method-option', 'inflect=-0.5']).methodOption,
    named('r=13', 'inflect=-0.5'),
  )
  assert.deepEqual(read('tome', 'r=13'), { method: 'tome', r: 13 })
  assert.deepEqual(read('tome', 'r=0,8,8', 'proportional=false'), { method: 'tome', r: [0, 8, 8], proportional: false })
  assert.deepEqual(read('evit', 'fuse=false'), { method: 'evit', fuse: false })
  const cases: readonly (readonly [run: () => unknown, message: string])[] = [
    [() => read('evit', 'r=13'), '--method-option r: an option of tome, not of evit, which has fuse'],
    [
      () => read('dynamicvit', 'fuse=true'),
      '--method-option fuse: an option of evit, not of dynamicvit, which has no options',
    ],
    [
      () => read(undefined, 'rate=2'),
      '--method-option rate: no option of idle, which has score, ranking, variant, mass, dead',
    ],
    [() => read('evit', 'fuse=yes'), '--method-option fuse: wanted true or false, found yes'],
    [() => parse(['--method-option', 'r']), '--method-option: wanted name=value, found "r"'],
    [
      () => readReduction({ method: 'dvt', model: 'demo' }),
      '--method dvt: wanted a DVT checkpoint, a cascade of nets, found demo',
    ],
  ]
  for (const [run, message] of cases) assert.throws(run, new InputError(message))
})

test('options of methods side by side: each goes to those that have it', () => {
  const read = (name: string, value: string, score?: 'logits') =>
    readOptionsOfAll({ ...(score && { score }), methodOption: [{ name, value }] }, ['idle', 'evit', 'tome'])
  assert.deepEqual(read('fuse', 'false', 'logits'), { score: 'logits', fuse: false })
  const cases: readonly (readonly [run: () => unknown, message: string])[] = [
    [
      () => read('layerwise', 'true'),
      '--method-option layerwise: wanted an option of idle, evit, tome, none of which has it',
    ],
    [() => read('r', '13'), '--method-option r: says how many tokens there are, which --keep-ratio says for all'],
    [() => read('proportional', 'maybe'), '--method-option proportional: wanted true or false, found maybe'],
  ]
  for (const [run, message] of cases) assert.throws(run, new InputError(message))
})

test('a folder of another method says nothing of this one', () => {
  const stored = { method: 'evit', keepTokens: [9, 4], fuse: false } as const
  assert.deepEqual(readReduction({}, stored), stored)
  assert.deepEqual(readReduction({ keepRatio: 0.5 }, stored), { method: 'evit', fuse: false, keepRatio: 0.5 })
  assert.deepEqual(readReduction({ method: 'tome', keepRatio: 0.5 }, stored), { method: 'tome', keepRatio: 0.5 })
})

test('what the options leave open is as the folder of the model says', () => {
  const stored = { keepRatios: [1, 0.5], score: 'logits' } as const
  assert.deepEqual(readReduction({}, stored), { method: 'idle', ...stored })
  assert.deepEqual(readReduction({ score: 'softmax' }, stored), { method: 'idle', ...stored, score: 'softmax' })
  assert.deepEqual(readReduction({ keepTokens: [9, 9] }, stored), {
    method: 'idle',
    keepTokens: [9, 9],
    score: 'logits',
  })
  assert.deepEqual(readReduction({ method: 'none' }, stored), { method: 'none', keepRatios: [1, 0.5] })
  assert.deepEqual(readReduction({ keepRatio: 1 }, stored), { method: 'none', keepRatio: 1 })
})

test('preprocessing: only what was given, and a crop that fits', () => {
  assert.deepEqual(readPictureOverrides({ batch: 4 }), {})
  assert.deepEqual(readPictureOverrides({ resize: 256, crop: 256, mean: [0, 0, 0] }), {
    resize: 256,
    crop: 256,
    mean: [0, 0, 0],
  })
  assert.throws(
    () => readPictureOverrides({ resize: 224, crop: 256 }),
    new InputError('--crop: wanted at most 224, the shorter side after --resize, found 256'),
  )
})
