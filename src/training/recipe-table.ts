/** A recipe in words, by subject: what people read instead of the record. */
import { lossLabel } from './losses.js'
import type { Recipe } from './recipe.js'

/** What a field is called, and its value in words. */
export type RecipeRow = readonly [label: string, value: string]

export interface RecipeSubject {
  readonly title: string
  readonly rows: readonly RecipeRow[]
}

const subjects = ['Run', 'Optimizer', 'Tokens', 'Loss', 'Pictures'] as const

/** A field's subject and its rows; nothing for what does not apply. Every field of a recipe must be here. */
type Descriptions = {
  readonly [Field in keyof Recipe]: readonly [
    subject: (typeof subjects)[number],
    describe: (value: Recipe[Field], recipe: Recipe) => readonly RecipeRow[],
  ]
}

const one = (label: string, value: string | number): readonly RecipeRow[] => [[label, String(value)]]
const small = (value: number): string => (value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value))
const share = (value: number): string => `${Number((100 * value).toPrecision(4))} %`
const orNone = (value: number, text: string): string => (value === 0 ? 'none' : text)
/** A name as it stands within a line. */
const sentenceStart = (text: string): string => text.slice(0, 1).toLowerCase() + text.slice(1)
const span = ([low, high]: readonly [number, number]): string => `${share(low)} to ${share(high)}`

const descriptions: Descriptions = {
  epochs: ['Run', (value) => one('epochs', value)],
  batch: [
    'Run',
    (batch, { accumulate }) => [
      ['pictures of an update', String(batch * accumulate)],
      ['computed as', accumulate === 1 ? 'one batch' : `${accumulate} batches of ${batch}`],
    ],
  ],
  accumulate: ['Run', () => []], // told with the batch
  seed: ['Run', (value) => one('seed', value)],

  lr: ['Optimizer', (value) => one('learning rate at its peak', small(value))],
  minLr: ['Optimizer', (value) => one('learning rate at the end', small(value))],
  schedule: [
    'Optimizer',
    (value) => one('schedule', value === 'step' ? 'cosine, by update' : 'cosine, by epoch and one epoch late'),
  ],
  warmupEpochs: [
    'Optimizer',
    (value, { warmupLr }) => one('warm-up', orNone(value, `${value} epochs from ${small(warmupLr)}`)),
  ],
  warmupLr: ['Optimizer', () => []], // told with the warm-up
  weightDecay: ['Optimizer', (value) => one('weight decay, of matrices', orNone(value, small(value)))],
  clip: ['Optimizer', (value) => one('largest norm of the gradient', orNone(value, String(value)))],
  emaDecay: ['Optimizer', (value) => one('moving average of the weights (EMA)', orNone(value, `decay ${value}`))],
  rates: [
    'Optimizer',
    (value) =>
      (value ?? []).map(
        ({ names, factor, from = 0 }) =>
          [`learning rate of ${names}`, `× ${factor}${from > 0 ? `, 0 in the first ${from} epochs` : ''}`] as const,
      ),
  ],
  freeze: ['Optimizer', (names) => one('parameters that stay as they are', names.join(', ') || 'none')],

  method: ['Tokens', (value) => one('method', value ?? 'idle')],
  settings: [
    'Tokens',
    (value) => Object.entries(value ?? {}).map(([name, option]) => [`its option ${name}`, String(option)] as const),
  ],
  keep: [
    'Tokens',
    ({ keepRatio, keepRatios, keepTokens }) => [
      ...(typeof keepRatio === 'number' ? one('keep ratio', keepRatio) : []),
      ...(typeof keepRatio === 'object' ? one('keep ratio', `any from ${keepRatio.low} to ${keepRatio.high}`) : []),
      ...(keepRatios ? one('keep ratios by block', keepRatios.join(', ')) : []),
      ...(keepTokens ? one('tokens by block', keepTokens.join(', ')) : []),
    ],
  ],
  shrink: [
    'Tokens',
    (value) => (value ? one('all tokens at first', `until epoch ${value.from}, fewer until epoch ${value.until}`) : []),
  ],
  early: [
    'Tokens',
    (value) =>
      value
        ? Object.entries(value.settings).map(
            ([name, option]) => [`${name} in the first epochs`, `${option}, in ${share(value.share)} of them`] as const,
          )
        : [],
  ],
  stages: [
    'Tokens',
    (value, { keep, method = 'idle' }) =>
      keep.keepRatio === undefined || method !== 'idle'
        ? []
        : one('blocks that idle', value === 'paper' ? 'stages of the paper' : 'stages of the official training script'),
  ],
  score: [
    'Tokens',
    (value, { method = 'idle' }) =>
      method === 'idle'
        ? one('tokens are ranked by', value === 'softmax' ? 'class attention' : 'logits of class attention')
        : [],
  ],
  form: [
    'Tokens',
    (value) => one('computed', value === 'gathered' ? 'selected rows only (gathered)' : 'all rows, masked'),
  ],

  loss: [
    'Loss',
    ({ classification, distillation, feature, cut, ...own }) => [
      ['cross entropy ×', orNone(classification, String(classification))],
      ['teacher’s answers ×', orNone(distillation, String(distillation))],
      ['teacher’s features ×', orNone(feature, String(feature))],
      ...(cut === undefined ? [] : one('token cut ×', orNone(cut, String(cut)))),
      ...Object.entries(own).map(
        ([part, weight]) => [`${sentenceStart(lossLabel(part))} ×`, orNone(weight, String(weight))] as const,
      ),
    ],
  ],
  featureRows: [
    'Loss',
    (value, { loss }) =>
      loss.feature === 0
        ? []
        : one('features of', { class: 'the class token', all: 'all tokens', selected: 'computed tokens' }[value]),
  ],
  cut: [
    'Loss',
    ({ kind, reduction, blocks }, { loss }) =>
      (loss.cut ?? 0) === 0
        ? []
        : [
            ['token cut', kind === 'both' ? 'inter and intra' : kind],
            ['token cut averaged', reduction === 'paper' ? 'as in the paper' : 'as in the official code'],
            ['token cut over', blocks === 'all' ? 'all idle blocks' : 'every second idle block'],
          ],
  ],
  smoothing: ['Loss', (value) => one('label smoothing', orNone(value, String(value)))],
  dropPath: ['Loss', (value) => one('branches left out', orNone(value, `up to ${share(value)}, rising with depth`))],

  augment: [
    'Pictures',
    ({ scale, ratio, flip, randAugment, erase }) => [
      ['random crop', `${span(scale)} of the area`],
      ['aspect of the crop', `${ratio.map((value) => Number(value.toFixed(3))).join(' to ')}`],
      ['mirrored', orNone(flip, share(flip))],
      [
        'RandAugment',
        randAugment
          ? `${randAugment.operations} operations, each with ${share(randAugment.probability)}, magnitude ${randAugment.magnitude} ± ${randAugment.deviation}`
          : 'none',
      ],
      ['rectangle erased', orNone(erase, share(erase))],
    ],
  ],
  mix: [
    'Pictures',
    ({ mixup, cutmix, switchProbability }) => [
      ['mixup α', orNone(mixup, String(mixup))],
      ['CutMix α', orNone(cutmix, String(cutmix))],
      ...(mixup > 0 && cutmix > 0 ? one('CutMix rather than mixup', share(switchProbability)) : []),
    ],
  ],
  repeats: [
    'Pictures',
    (value) =>
      one('repeated augmentation', value === 1 ? 'none' : `${value} times: an epoch sees one picture in ${value}`),
  ],
}

/** The rows of a recipe. A field of a later version that is not known here is told as it is. */
export function recipeTable(recipe: Recipe): RecipeSubject[] {
  const described = (Object.keys(descriptions) as (keyof Recipe)[]).map((field) => {
    const [subject, describe] = descriptions[field] as readonly [
      string,
      (value: unknown, of: Recipe) => readonly RecipeRow[],
    ]
    return { subject, rows: recipe[field] === undefined ? [] : describe(recipe[field], recipe) }
  })
  const others = Object.entries(recipe).filter(([field]) => !(field in descriptions))
  return [
    ...subjects.map((title) => ({
      title,
      rows: described.flatMap(({ subject, rows }) => (subject === title ? rows : [])),
    })),
    ...(others.length > 0
      ? [{ title: 'Other', rows: others.map(([field, value]) => [field, JSON.stringify(value)] as const) }]
      : []),
  ]
}
