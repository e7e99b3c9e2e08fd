/**
 * The options that commands share: one definition each, with its reader, so that a name means the same everywhere.
 *
 * A command picks what it takes with {@link addOptions} and gets {@link SharedOptions}; the `read…` functions below
 * check options against each other. What depends on the model (how many blocks a list must cover) is checked where
 * the model is known.
 */
import { type Command, Option } from 'commander'
import { fail } from '../errors.js'
import type { Preprocess } from '../images/preprocess.js'
import { sidesOf } from '../images/sides.js'
import type { StepRequest } from '../models/steps.js'
import { present } from '../present.js'
import type { Score } from '../reduction/idle-block.js'
import type { Setting } from '../reduction/method.js'
import {
  checkSetting,
  type MethodChoice,
  type MethodName,
  type MethodSettings,
  methodNames,
  methodOf,
  type StoredReduction,
  settingsOf,
  withStored,
} from '../reduction/registry.js'
import type { KeepRequest } from '../reduction/schedule.js'
import type { Device } from '../runtime/session.js'
import { readPlan } from '../tune/plan-file.js'
import { addSection, columns, mustBeGiven, refuseMissing } from './help.js'
import {
  confidence,
  deviations,
  list,
  means,
  oneOf,
  positive,
  type Reader,
  randomInit,
  ratio,
  seed,
  sizes,
  text,
  whole,
} from './values.js'

/** What tokens are ranked by: the class token's attention after (`softmax`) or before the softmax (`logits`). */
export const scores = ['softmax', 'logits'] as const satisfies readonly Score[]
/** Number formats of inference. */
export const precisions = ['fp32', 'fp16', 'int8'] as const
/** Execution providers of ONNX Runtime. */
export const devices = ['cpu', 'webgpu', 'cuda'] as const satisfies readonly Device[]

export type Precision = (typeof precisions)[number]

/** An option of a method, as in `r=13`. */
export interface NamedValue {
  readonly name: string
  readonly value: string
}

/** Reads `name=value`. */
function namedValue(text: string, option: string): NamedValue {
  const [, name, value] =
    /^([\w-]+)=(.+)$/s.exec(text) ?? fail(`${option}: wanted name=value, found ${JSON.stringify(text)}`)
  return { name: name as string, value: value as string }
}

/** The methods, what a keep ratio means to them, and their options. */
const methodsHelp = (): string =>
  columns(
    methodNames.flatMap((name) => {
      const { summary, keeps, paper } = methodOf(name)
      const meaning = [summary, ...(keeps ? [`--keep-ratio K: ${keeps}`] : []), ...(paper ? [paper] : [])].join('; ')
      const settings = Object.entries(settingsOf(name))
      return [
        [name, meaning],
        ...settings.map(([option, { describes }]) => [`  ${option}=`, describes] as const),
      ] as const
    }),
  )

interface Definition<T> extends Extra {
  readonly flags: string
  readonly description: string
  readonly read: Reader<T>
  /** May be given more than once: the value is a list. */
  readonly repeatable?: boolean
}

interface Extra {
  readonly conflicts?: readonly string[]
  /** What holds where the option is not given, in the words of the help. */
  readonly otherwise?: string
}

const define = <T>(flags: string, description: string, read: Reader<T>, extra: Extra = {}): Definition<T> => ({
  flags,
  description,
  read,
  ...extra,
})

/** An option that may be given more than once. */
const defineList = <T>(flags: string, description: string, read: Reader<T>): Definition<readonly T[]> =>
  ({ flags, description, read, repeatable: true }) as unknown as Definition<readonly T[]>

/** A picture side in pixels; above this a resized picture no longer fits into memory. */
const side = whole(1, 16384)
const sides = sizes(side)
const count = whole(1, 2 ** 31 - 1)

/** What `--data` takes. */
export const dataText =
  'image folder, list of "path index" lines, WebDataset tars (train-{0..4}.tar.gz), CIFAR-10 batches, or ' +
  'scenes[:SEED[:COUNT]], generated pictures for the model demo'

const definitions = {
  model: define(
    '--model <name>',
    'demo (embedded), a preset (deit-tiny), a hub id (owner/name[@revision]), a weights file or a model folder',
    text('a preset, a hub id or a path'),
  ),
  init: define('--init <random:SEED>', 'seeded random weights instead of pretrained ones (presets only)', randomInit),
  mean: define('--mean <r,g,b>', 'mean that pictures are normalised by', means, {
    otherwise: "the model's, or ImageNet's",
  }),
  std: define('--std <r,g,b>', 'deviation that pictures are normalised by', deviations, {
    otherwise: "the model's, or ImageNet's",
  }),
  resize: define('--resize <pixels>', 'shorter side before the crop; of rectangles HxW, which is covered', sides, {
    otherwise: 'as the model was trained',
  }),
  crop: define('--crop <pixels>', 'side of the centre crop, or HxW: the picture size of the model', sides, {
    otherwise: 'as the model was trained',
  }),
  heads: define('--heads <N>', 'attention heads', whole(1, 4096), { otherwise: 'as the files say, or guessed' }),
  labels: define('--labels <file>', 'class names: one a line, or JSON', text('a path'), {
    otherwise: "the model's, or ImageNet's",
  }),
  keepRatio: define('--keep-ratio <K>', 'share of tokens kept per stage: 1, K, K², K³', ratio, {
    conflicts: ['keepRatios', 'keepTokens'],
    otherwise: "the model's, or 1",
  }),
  keepRatios: define('--keep-ratios <r0,r1,…>', 'share of tokens kept, per block', list(ratio), {
    conflicts: ['keepTokens'],
  }),
  keepTokens: define('--keep-tokens <n0,n1,…>', 'number of image tokens kept, per block', list(count)),
  maxGmacs: define('--max-gmacs <G>', 'the largest keep ratio whose plan does at most G GMACs a picture', positive, {
    conflicts: ['keepRatio', 'keepRatios', 'keepTokens'],
  }),
  plan: define(
    '--plan <file>',
    'a plan that tune or calibrate wrote: method, its options and tokens by block',
    text('a path'),
    {
      conflicts: ['keepRatio', 'keepRatios', 'keepTokens', 'maxGmacs', 'method', 'methodOption', 'score'],
    },
  ),
  method: define(
    '--method <name>',
    `token reduction: ${methodNames.join(', ')}; dvt for a cascade of nets`,
    oneOf(...methodNames, 'dvt'),
    {
      otherwise: 'idle, or none where all tokens are kept',
    },
  ),
  methodOption: defineList('--method-option <name=value>', 'an option of the method, repeatable', namedValue),
  score: define('--score <name>', `ranking of tokens: ${scores.join(', ')}`, oneOf(...scores), {
    otherwise: "the model's, or softmax",
  }),
  thresholds: define(
    '--thresholds <t,t>',
    'of a cascade (DVT) or a plan in steps: confidence from which a net or step answers, one number for each but the last',
    list(confidence),
    { otherwise: "the model's or the plan's; without them all are asked" },
  ),
  precision: define('--precision <name>', `number format: ${precisions.join(', ')}`, oneOf(...precisions), {
    otherwise: 'fp32',
  }),
  device: define('--device <name>', `where to compute: ${devices.join(', ')}`, oneOf(...devices), { otherwise: 'cpu' }),
  threads: define('--threads <N>', 'threads inside an operation', whole(1, 1024), { otherwise: 'the physical cores' }),
  batch: define('--batch <N>', 'pictures computed at once', count),
  seed: define('--seed <N>', 'seed of everything random', seed),
}

type Definitions = typeof definitions

/** Names of the shared options that take a value. */
export type SharedName = keyof Definitions

/** What the shared options hold after parsing; an option that was not given and has no default is absent. */
export type SharedOptions = {
  readonly [N in SharedName]?: Definitions[N] extends Definition<infer T> ? T : never
} & { readonly json?: boolean }

type Value<N extends SharedName> = NonNullable<SharedOptions[N]>

/** Options of every command that builds a model and a plan for it. */
export const modelOptions = [
  'model',
  'init',
  'heads',
  'keepRatio',
  'keepRatios',
  'keepTokens',
  'maxGmacs',
  'plan',
  'method',
  'methodOption',
  'score',
] as const
/** Options of every command that turns pictures into tensors. */
export const pictureOptions = ['mean', 'std', 'resize', 'crop'] as const
/** Options of every command that computes. */
export const runtimeOptions = ['precision', 'device', 'threads', 'batch'] as const

/** The headings in a command's help; what no heading names stands under Options. */
const headings: readonly (readonly [heading: string, names: readonly SharedName[]])[] = [
  ['Classes:', ['labels']],
  ['Tokens:', ['keepRatio', 'keepRatios', 'keepTokens', 'maxGmacs', 'plan', 'method', 'methodOption', 'score']],
  ['Pictures:', pictureOptions],
  ['Computing:', ['thresholds', ...runtimeOptions]],
]

/** What {@link addOptions} may be told besides the names. */
export interface AddOptions {
  /** Options that must be given: leaving one out is wrong usage. */
  readonly required?: readonly SharedName[]
  /** Values where none is given. */
  readonly defaults?: { readonly [N in SharedName]?: Value<N> }
  /** What else holds in this command where an option is not given, in words. */
  readonly otherwise?: { readonly [N in SharedName]?: string }
}

/** Adds an option that must be given and that one command alone has. */
export function addRequired(command: Command, flags: string, description: string, read: Reader<string>): Command {
  const option = new Option(flags, description)
  return command.addOption(mustBeGiven(option.argParser((given) => read(given, `--${option.name()}`))))
}

/**
 * Adds the named shared options, and `--json`, to a command, whose action then gets {@link SharedOptions}.
 *
 * @throws InputError while the command line is parsed, when a value does not fit
 *
 * @example
 * addOptions(program.command('info'), [...modelOptions, 'seed'], { required: ['model'] })
 *   .action((options: SharedOptions) => { … })
 */
export function addOptions(command: Command, names: readonly SharedName[], extra: AddOptions = {}): Command {
  for (const name of names) {
    const { flags, description, read, conflicts, otherwise, repeatable }: Definition<unknown> = definitions[name]
    const option = new Option(flags, description)
    const readOne = (given: string) => read(given, `--${option.name()}`)
    if (repeatable) option.argParser((given, before: readonly unknown[] = []) => [...before, readOne(given)])
    else option.argParser(readOne)
    if (conflicts !== undefined) option.conflicts([...conflicts])
    const heading = headings.find(([, under]) => under.includes(name))?.[0]
    if (heading !== undefined) option.helpGroup(heading)
    if (extra.required?.includes(name)) mustBeGiven(option)
    const preset = extra.defaults?.[name]
    option.default(preset, preset === undefined ? (extra.otherwise?.[name] ?? otherwise) : undefined)
    command.addOption(option)
  }
  if (names.includes('methodOption')) addSection(command, 'Methods:', methodsHelp())
  return command.option('--json', 'one JSON document on stdout').hook('preAction', (_, action) => refuseMissing(action))
}

/** The reduction that the options ask for, as the classifier and the graph builder take it. */
export interface Reduction extends StepRequest {
  readonly method: MethodName
  /** Of steps: the confidence from which each but the last answers. */
  readonly thresholds?: readonly number[]
}

/**
 * The reduction that the options ask for; what they leave open is as the model's folder says (`stored`), or dense. Without
 * `--method` it is the folder's or `idle`, or `none` where every token is kept; a list goes through even then, so that its
 * length is checked.
 *
 * @throws InputError on an option of another method
 */
export function readReduction(options: SharedOptions, stored: StoredReduction = {}): Reduction {
  const { keepRatio, keepRatios, keepTokens, plan } = options
  if (plan !== undefined) return readPlan(plan).reduction
  const method = singleNetMethod(options)
  const settings = readMethodOptions(options, method ?? stored.method ?? 'idle')
  const reduction = withStored({ ...present({ method, keepRatio, keepRatios, keepTokens }), ...settings }, stored)
  if (method !== undefined || reduction.method !== 'idle' || !keepsAll(reduction)) return reduction
  return { method: 'none', ...present(pickKeep(reduction)) }
}

const pickKeep = ({ keepRatio, keepRatios, keepTokens }: KeepRequest): KeepRequest => ({
  keepRatio,
  keepRatios,
  keepTokens,
})

const keepsAll = ({ keepRatio = 1, keepRatios = [keepRatio], keepTokens }: KeepRequest): boolean =>
  !keepTokens && keepRatios.every((ratio) => ratio === 1)

/** The method that `--method` names for a single net; a cascade is a model, and says by itself that it is one. */
export function singleNetMethod({ method, model }: Pick<SharedOptions, 'method' | 'model'>): MethodName | undefined {
  if (method !== 'dvt') return method
  return fail(`--method dvt: wanted a DVT checkpoint, a cascade of nets, found ${model ?? 'none'}`)
}

/** The method that the options name, with its options; how many tokens it keeps is said elsewhere. */
export function readChoice(options: SharedOptions): MethodChoice {
  if (options.plan !== undefined) {
    const { keepTokens: _, steps: __, thresholds: ___, ...choice } = readPlan(options.plan).reduction
    return choice
  }
  const method = singleNetMethod(options)
  return { ...present({ method }), ...readMethodOptions(options, method ?? 'idle') }
}

/** The options of a method, from `--score` and `--method-option`. */
function readMethodOptions({ score, methodOption = [] }: SharedOptions, method: MethodName): MethodSettings {
  const entries = methodOption.map(({ name, value }) => {
    const called = `--method-option ${name}`
    return [name, settingValue(checkSetting(method, name, called), called, value)] as const
  })
  return { ...present({ score }), ...Object.fromEntries(entries) }
}

/**
 * The options of methods that stand side by side: each goes to those that have it.
 *
 * @throws InputError on an option that none of them has, or that says how many tokens there are, which `--keep-ratio` says
 */
export function readOptionsOfAll(
  { score, methodOption = [] }: Pick<SharedOptions, 'score' | 'methodOption'>,
  compared: readonly MethodName[],
): MethodSettings {
  const entries = methodOption.map(({ name, value }) => {
    const called = `--method-option ${name}`
    const owner = compared.find((method) => Object.hasOwn(settingsOf(method), name))
    if (!owner) return fail(`${called}: wanted an option of ${compared.join(', ')}, none of which has it`)
    const setting = checkSetting(owner, name, called)
    if (setting.schedules) fail(`${called}: says how many tokens there are, which --keep-ratio says for all`)
    return [name, settingValue(setting, called, value)] as const
  })
  return { ...present({ score }), ...Object.fromEntries(entries) }
}

const settingValue = (setting: Setting<unknown>, called: string, value: string): unknown =>
  setting.parse(value) ?? fail(`${called}: wanted ${setting.wanted}, found ${value}`)

/** What the options override of a model's preprocessing; absent is the model's own. */
export type PictureOverrides = Partial<Preprocess>

/**
 * Preprocessing overrides.
 *
 * @throws InputError when the crop is larger than the resized picture
 */
export function readPictureOverrides({ mean, std, resize, crop }: SharedOptions): PictureOverrides {
  const [cropHeight, cropWidth] = crop === undefined ? [] : sidesOf(crop)
  const [resizeHeight, resizeWidth] = resize === undefined ? [] : sidesOf(resize)
  const over = (axis: number | undefined, limit: number | undefined) =>
    axis !== undefined && limit !== undefined && axis > limit
  if (over(cropHeight, resizeHeight) || over(cropWidth, resizeWidth)) {
    const found = typeof crop === 'number' ? crop : `${cropHeight}x${cropWidth}`
    const wanted =
      typeof resize === 'number'
        ? `${resize}, the shorter side after --resize`
        : `${resizeHeight}x${resizeWidth}, as in --resize`
    fail(`--crop: wanted at most ${wanted}, found ${found}`)
  }
  return present({
    mean,
    std,
    resize: resizeWidth,
    crop: cropWidth,
    ...(typeof resize !== 'number' && { resizeHeight }),
    ...(typeof crop !== 'number' && { cropHeight }),
  })
}
