/**
 * The recipes to start from, and what may be changed of them.
 *
 * `paper`: section 4.1 of arXiv 2310.05654. `official`: main.py at d46c1c2 as its README calls it, deviations from the
 * paper included. `quick`: few pictures on one machine. How many pictures are computed at once is not part of
 * a recipe's meaning: `batch` × `accumulate` is.
 */
import { fail } from '../errors.js'
import type { AugmentRecipe } from '../images/augment/augment.js'
import { between } from '../images/augment/crop.js'
import { parseRandAugment } from '../images/augment/randaugment.js'
import { keyedRandom } from '../keyed-random.js'
import type { FormName } from '../reduction/method.js'
import { type MethodName, methodOf, schedulingSetting, settingsOf } from '../reduction/registry.js'
import type { KeepRequest } from '../reduction/schedule.js'
import { checkLosses, defaultWeights, learningForms } from './losses.js'
import { commonChanges, officialRecipes, predictorChanges } from './official.js'
import { namePattern } from './rates.js'
import type { Recipe, RecipeChanges, TrainingKeep } from './recipe.js'

const strong: AugmentRecipe = {
  scale: [0.08, 1],
  ratio: [3 / 4, 4 / 3],
  flip: 0.5,
  randAugment: parseRandAugment('rand-m9-mstd0.5-inc1'),
  erase: 0.25,
}

const paper: Recipe = {
  seed: 0,
  epochs: 30,
  batch: 32,
  accumulate: 32,
  lr: 4e-5, // base 2e-5 × 1024 / 512
  minLr: 2e-6,
  warmupEpochs: 0,
  warmupLr: 1e-6,
  schedule: 'step',
  weightDecay: 0.05,
  clip: 0,
  emaDecay: 0.99996,
  keep: { keepRatio: 0.7 },
  stages: 'paper',
  score: 'softmax',
  form: 'gathered',
  loss: { classification: 1, distillation: 5, feature: 500, cut: 20 },
  cut: { kind: 'both', reduction: 'paper', blocks: 'all' },
  featureRows: 'all',
  smoothing: 0.1,
  mix: { mixup: 0.8, cutmix: 1, switchProbability: 0.5 },
  augment: strong,
  repeats: 3,
  dropPath: 0,
  freeze: [],
}

/** The recipes that `--preset` names. */
export const presets = {
  paper,
  official: {
    ...paper,
    accumulate: 64, // 1024 on each of two processes
    lr: 4e-5, // 1e-5 × 2048 / 512
    minLr: 1e-6,
    schedule: 'epoch-late',
    stages: 'train-script',
    score: 'logits',
    loss: { classification: 1, distillation: 10, feature: 1000, cut: 20 },
    cut: { kind: 'both', reduction: 'official', blocks: 'every-second' },
    featureRows: 'class',
    freeze: ['*_token', 'pos_embed'],
  },
  quick: {
    ...paper,
    epochs: 5,
    batch: 8, // four of them make an update, side by side
    accumulate: 4,
    lr: 1e-4,
    minLr: 1e-6,
    clip: 1,
    emaDecay: 0.99,
    cut: { kind: 'both', reduction: 'official', blocks: 'every-second' },
    featureRows: 'class',
    smoothing: 0,
    mix: { mixup: 0, cutmix: 0, switchProbability: 0.5 },
    augment: { scale: [0.35, 1], ratio: [3 / 4, 4 / 3], flip: 0.5, erase: 0 },
    repeats: 1,
  },
} as const satisfies Record<string, Recipe>

export type PresetName = keyof typeof presets

/**
 * A preset with changes. Where `batch` or `accumulate` change and `lr` does not, the rate goes with their product, as in
 * DeiT (arXiv 2012.12877, section 5). The cut loss visits the blocks that its reduction visits where none are asked for.
 *
 * @throws InputError naming the option, what was wanted and what was found
 */
export function makeRecipe(preset: PresetName, changes: RecipeChanges = {}): Recipe {
  const { method = 'idle' } = changes
  const learnsRanking = changes.settings?.ranking === 'predictor'
  const base = merge(presetOf(preset, method), learnsRanking ? predictorChanges : {})
  checkLosses(Object.keys(changes.loss ?? {}), method, (part) => `--loss-weight ${part}`)
  const merged = oneSchedule(merge(base, changes), changes)
  const scale = (merged.batch * merged.accumulate) / (base.batch * base.accumulate)
  const reduction = changes.cut?.reduction
  const recipe: Recipe = {
    ...merged,
    lr: changes.lr ?? base.lr * scale,
    cut:
      reduction !== undefined && changes.cut?.blocks === undefined
        ? { ...merged.cut, blocks: reduction === 'paper' ? 'all' : 'every-second' }
        : merged.cut,
  }
  checkRecipe(recipe)
  return recipe
}

/** A preset as it is for a method: the recipe under which all are compared, or the one of its authors. */
export function presetOf(preset: PresetName, method: MethodName = 'idle'): Recipe {
  if (method === 'idle') return presets[preset]
  const isOfficial = preset === 'official'
  const { cut: _, ...common } = presets[isOfficial ? 'paper' : preset].loss
  const shared = {
    ...presets[isOfficial ? 'paper' : preset],
    method,
    form: learningForms(method)[0] as FormName,
    loss: { ...defaultWeights(method), ...common },
  }
  return merge(merge(shared, commonChanges[method] ?? {}), isOfficial ? (officialRecipes[method] ?? {}) : {})
}

/** A recipe that says once how many tokens there are: what is given overrules what the preset has. */
function oneSchedule(recipe: Recipe, { method, keep, settings }: RecipeChanges): Recipe {
  const own = recipe.settings ?? {}
  if (settings && schedulingSetting({ ...settings, ...(method && { method }) }) && keep === undefined)
    return { ...recipe, keep: {} }
  if (keep === undefined || !method || settings) return recipe
  const others = Object.entries(own).filter(([name]) => !settingsOf(method)[name]?.schedules)
  return { ...recipe, settings: Object.fromEntries(others) }
}

/** Fields that are given replace those of the base; `keep` and lists as a whole. */
function merge(base: Recipe, changes: RecipeChanges): Recipe {
  const inner = ['loss', 'cut', 'mix', 'augment'] as const
  const given = (record: object) =>
    Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
  const outer = { ...base, ...given(changes) } as Recipe
  const innerRecords = inner.map((name) => [name, { ...base[name], ...given(changes[name] ?? {}) }])
  return { ...outer, ...Object.fromEntries(innerRecords) } as Recipe
}

/** Throws an InputError at the first field that makes no sense. */
function checkRecipe(recipe: Recipe): void {
  const check = (holds: boolean, option: string, wanted: string, found: unknown) =>
    holds || fail(`${option}: wanted ${wanted}, found ${JSON.stringify(found)}`)
  const count = (option: string, value: number, least = 1) =>
    check(Number.isSafeInteger(value) && value >= least, option, `a whole number of at least ${least}`, value)
  const share = (option: string, value: number) => check(value >= 0 && value <= 1, option, 'a share from 0 to 1', value)
  const positive = (option: string, value: number) => check(value > 0, option, 'a number above 0', value)
  const notNegative = (option: string, value: number) => check(value >= 0, option, 'a number of at least 0', value)
  count('--seed', recipe.seed, 0)
  count('--epochs', recipe.epochs)
  count('--batch', recipe.batch)
  count('--accumulate', recipe.accumulate)
  count('--repeats', recipe.repeats)
  positive('--lr', recipe.lr)
  check(recipe.minLr >= 0 && recipe.minLr <= recipe.lr, '--min-lr', `at most --lr (${recipe.lr})`, recipe.minLr)
  check(
    recipe.warmupEpochs >= 0 && recipe.warmupEpochs < recipe.epochs,
    '--warmup-epochs',
    `fewer than the ${recipe.epochs} epochs`,
    recipe.warmupEpochs,
  )
  notNegative('--weight-decay', recipe.weightDecay)
  notNegative('--clip', recipe.clip)
  check(recipe.emaDecay >= 0 && recipe.emaDecay < 1, '--ema', 'a number from 0 to below 1', recipe.emaDecay)
  for (const [part, weight] of Object.entries(recipe.loss)) notNegative(`--${part}-weight`, weight)
  checkMethod(recipe)
  check(
    Object.values(recipe.loss).some((weight) => weight > 0),
    '--loss',
    'a part of the loss above 0',
    recipe.loss,
  )
  check(recipe.smoothing >= 0 && recipe.smoothing < 1, '--smoothing', 'a number from 0 to below 1', recipe.smoothing)
  notNegative('--mixup', recipe.mix.mixup)
  notNegative('--cutmix', recipe.mix.cutmix)
  check(recipe.dropPath >= 0 && recipe.dropPath < 1, '--drop-path', 'a number from 0 to below 1', recipe.dropPath)
  share('--flip', recipe.augment.flip)
  share('--erase', recipe.augment.erase)
  const [least, most] = recipe.augment.scale
  check(least > 0 && least <= most && most <= 1, '--crop-scale', 'two shares of the area, least..most', [least, most])
}

/** Throws an InputError where the method does not learn like that. */
function checkMethod({ method = 'idle', settings, form, keep, shrink, rates = [] }: Recipe): void {
  const forms = learningForms(method)
  if (!forms.includes(form)) fail(`--form: wanted ${forms.join(' or ')}, as ${method} is trained, found ${form}`)
  if (settings?.ranking === 'predictor' && form !== 'masked')
    fail(`--form: wanted masked, whose gradients reach the predictor, found ${form}`)
  if (methodOf(method).onePicture?.({ ...settings, form }))
    fail(`--form: wanted masked, in which every picture of a batch has its own number of tokens, found ${form}`)
  if (typeof keep.keepRatio === 'object' && !methodOf(method).elastic)
    fail(`--keep-ratio LOW..HIGH: wanted a method whose number of tokens can change from run to run, found ${method}`)
  for (const { names, factor } of rates)
    if (!(factor >= 0)) fail(`--lr-factor: wanted a factor of at least 0 for ${names}, found ${factor}`)
  if (!shrink) return
  if (!(shrink.from >= 0 && shrink.from < shrink.until))
    fail(`--shrink: wanted FROM..UNTIL, the first below the second, found ${shrink.from}..${shrink.until}`)
  if (typeof keep.keepRatio !== 'number') fail('--shrink: wanted one --keep-ratio, at which it ends')
  if (methodOf(method).parameters) fail(`--shrink: the weights of ${method} are for one number of tokens`)
}

/**
 * The base keep ratio of one update. Of every four elastic updates one is at the low end and one at the high end,
 * so that both are always seen (the "sandwich" of slimmable networks, arXiv 1903.05134); the others are drawn.
 *
 * @returns undefined where the tokens are listed by block
 */
export function keepRatioOfStep({ keepRatio }: TrainingKeep, seed: number, step: number): number | undefined {
  if (keepRatio === undefined || typeof keepRatio === 'number') return keepRatio
  const turn = step % 4
  if (turn === 0) return keepRatio.low
  if (turn === 2) return keepRatio.high
  return between(keyedRandom(seed, 'elastic', step), [keepRatio.low, keepRatio.high])
}

/** What the blocks of one update keep. */
export function keepOfStep(keep: TrainingKeep, seed: number, step: number): KeepRequest {
  const { keepRatios, keepTokens } = keep
  const keepRatio = keepRatioOfStep(keep, seed, step)
  return {
    ...(keepRatio !== undefined && { keepRatio }),
    ...(keepRatios !== undefined && { keepRatios }),
    ...(keepTokens !== undefined && { keepTokens }),
  }
}

/**
 * Which of the parameters stay as they are.
 *
 * @throws InputError when a pattern fits none, or all are frozen
 */
export function frozenParameters(names: Iterable<string>, patterns: readonly string[]): Set<string> {
  const all = [...names]
  const frozen = new Set<string>()
  for (const pattern of patterns) {
    const found = all.filter((name) => namePattern(pattern).test(name))
    if (found.length === 0)
      fail(`--freeze: no parameter is called ${pattern}; there are ${all.slice(0, 4).join(', ')}, …`)
    for (const name of found) frozen.add(name)
  }
  if (all.length > 0 && frozen.size === all.length)
    fail('--freeze: every parameter is frozen: nothing would be trained')
  return frozen
}

/** The fields in which two recipes differ, as `lr: 0.0001 became 0.0002`, for refusing to resume under another recipe. */
export function recipeDifferences(before: Recipe, now: Recipe): string[] {
  const text = (value: unknown) => JSON.stringify(value) ?? 'nothing'
  return (Object.keys({ ...before, ...now }) as (keyof Recipe)[])
    .filter((field) => text(before[field]) !== text(now[field]))
    .map((field) => `${field}: ${text(before[field])} became ${text(now[field])}`)
}
