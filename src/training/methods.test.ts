/** Training by every method: gradients are slopes, runs go on in the same bits, and what they save runs as it was trained. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { madeUpPictures } from '../../test/support/made-up.js'
import { randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { startDecoders } from '../data/decoder.js'
import { evaluateClassifier } from '../evaluation/evaluate.js'
import { imagenetPreprocess } from '../images/preprocess.js'
import { keyedRandom } from '../keyed-random.js'
import { createRandom } from '../random.js'
import { type MethodName, methodNames, methodOf, methods, withStored } from '../reduction/registry.js'
import { openNodeClassifier } from '../runtime/node.js'
import { loadModel } from '../weights/load.js'
import { float32, type StateDict } from '../weights/state.js'
import { type FinetuneOptions, finetune } from './finetune.js'
import { readLog } from './log.js'
import { makeRecipe } from './options.js'
import { withOwnWeights } from './own-weights.js'
import { createParameters } from './parameters.js'
import { stepPlan } from './plan.js'
import type { RecipeChanges } from './recipe.js'
import { createStep, type StepPlan } from './step.js'

const root = await mkdtemp(join(tmpdir(), 'idlevit-methods-'))
const decoders = startDecoders(1)
after(async () => {
  await Promise.all(decoders.map((decoder) => decoder.close()))
  await rm(root, { recursive: true })
})

const model = (seed: number, deviation = 0.1) => ({
  name: 'tiny',
  config: tiny,
  state: new Map(
    [...randomWeights(tiny, seed, deviation)].map(([name, { shape, data }]) => [
      name,
      float32(data as Float32Array, shape),
    ]),
  ) as StateDict,
})

/** What is asked of each method, with all of its own losses. */
const changes: Readonly<Partial<Record<MethodName, readonly RecipeChanges[]>>> = {
  idle: [{}, { settings: { ranking: 'norm' } }],
  group: [{}, { form: 'masked' }],
  evit: [{}, { settings: { fuse: false } }, { shrink: { from: 0, until: 2 } }],
  dynamicvit: [
    {
      rates: [
        { names: 'score_predictor.*', factor: 1 },
        { names: '*', factor: 0.1, from: 1 },
      ],
    },
  ],
  evovit: [{ loss: { class: 0.5 } }, { loss: { class: 0.5 }, early: { share: 0.5, settings: { layerwise: true } } }],
  ats: [{}, { settings: { samples: 12 } }],
  tome: [{ settings: { r: 3 } }],
  adavit: [{}, { settings: { dropped: 'hidden' } }],
}
const cases = methodNames
  .filter((name) => methodOf(name).windows !== 'only')
  .flatMap((method) =>
    (changes[method] ?? [{}]).map((change) => ({ method, change, title: `${method} ${JSON.stringify(change)}` })),
  )

/** The slope of a step's loss along a random direction of all weights, by its gradients and by differences. */
async function slopes(method: MethodName, change: RecipeChanges, more: Partial<StepPlan> = {}) {
  const recipe = makeRecipe('quick', { method, ...(!change.settings && { keep: { keepRatio: 0.6 } }), ...change })
  const { config, state } = withOwnWeights(model(1, 0.3), recipe)
  const parameters = createParameters(state)
  const gradients = new Float32Array(parameters.values.length)
  const rows = tiny.imageSize ** 2 / tiny.patchSize ** 2 + 1
  const random = createRandom(5)
  const normal = (...shape: number[]) => ({
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
  })
  const plan: StepPlan = { config, ...stepPlan(recipe, config), form: recipe.form, featureRows: 'all', ...more }
  const weights = { ...recipe.loss, feature: 50 }
  const step = await createStep({ ...plan, weights, cut: recipe.cut }, parameters, gradients, { threads: 1 })
  const batch = {
    pixels: randomPixels(tiny, 2, 2),
    targets: { data: Float32Array.from({ length: 10 }, (_, i) => (i % 5 === 1 ? 1 : 0)), shape: [2, 5] },
    teacher: { logits: normal(2, 5), features: normal(2, rows, tiny.width) },
    inputs: more.givenPolicy ? givenPolicies(plan) : {},
  }
  const { parts } = await step.run(batch)
  // Mostly uphill, so that the slope stands out from the rounding of a loss of hundreds.
  const direction = normal(gradients.length).data.map((value, i) => value + 2 * Math.sign(gradients[i] as number))
  const slope = gradients.reduce((sum, g, i) => sum + g * (direction[i] as number), 0)
  const from = parameters.values.slice()
  const at = async (h: number) => {
    for (const [i, w] of from.entries()) parameters.values[i] = w + h * (direction[i] as number)
    return (await step.run(batch)).loss
  }
  const h = 1e-5 // small enough that no choice changes along the way
  const numeric = (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h)
  await step.close()
  return { slope, numeric, parts: Object.keys(parts).sort() }
}

/** Decisions from outside: what falls off does so at random. */
function givenPolicies({ keep }: StepPlan) {
  const random = createRandom(3)
  const alive = Array.from({ length: 32 }, () => 1)
  return Object.fromEntries(
    keep.flatMap((kept, l) => {
      if (kept === (keep[l - 1] ?? 16)) return []
      for (const i of alive.keys()) if (random.uniform() < 0.3) alive[i] = 0
      return [[`policy.${l}`, { data: Float32Array.from(alive), shape: [2, 16] }]]
    }),
  )
}

describe('the gradient of the whole loss is its slope', () => {
  const parts: Readonly<Partial<Record<MethodName, readonly string[]>>> = {
    idle: ['cut'],
    dynamicvit: ['ratio', 'token'],
    evovit: ['class'],
  }
  // Decisions by chance have the gradient of their chance instead of none: verify compares it with the official code's.
  for (const { method, change, title } of cases.filter((each) => !methodOf(each.method).learning?.noise))
    it(title, async () => {
      const found = await slopes(method, change)
      assert.deepEqual(found.parts, ['classification', 'distillation', 'feature', ...(parts[method] ?? [])].sort())
      const error = Math.abs(found.slope - found.numeric)
      assert.ok(error < 1e-2 * Math.abs(found.numeric), `slope ${found.slope}, differences ${found.numeric}`)
    })
  it('dynamicvit, decisions given', async () => {
    const found = await slopes('dynamicvit', {}, { givenPolicy: true })
    assert.deepEqual(found.parts, ['classification', 'distillation', 'feature', 'ratio', 'token'])
    const error = Math.abs(found.slope - found.numeric)
    assert.ok(error < 1e-2 * Math.abs(found.numeric), `slope ${found.slope}, differences ${found.numeric}`)
  })
})

const options = (out: string, method: MethodName, change: RecipeChanges, more: Partial<FinetuneOptions> = {}) => ({
  model: model(1),
  teacher: model(2),
  recipe: makeRecipe('quick', {
    method,
    epochs: 2,
    batch: 4,
    accumulate: 2,
    lr: 1e-3,
    ...(method !== 'none' && !change.settings && { keep: { keepRatio: 0.5 } }),
    ...change,
  }),
  training: madeUpPictures(17, 1, tiny.classes),
  validation: madeUpPictures(10, 2, tiny.classes),
  preprocess: imagenetPreprocess(tiny.imageSize),
  out,
  session: { threads: 1 },
  decoders,
  ...more,
})

describe('a run that is interrupted and resumed ends in the same bits, and runs as it was trained', () => {
  for (const { method, change, title } of cases)
    it(title, async () => {
      const [whole, out] = [await mkdtemp(join(root, 'whole-')), await mkdtemp(join(root, 'run-'))]
      const settings = options(whole, method, change)
      const { progress } = await finetune(settings)
      const stop = new AbortController()
      const onEntry: FinetuneOptions['onEntry'] = ({ kind, step }) => {
        if (kind === 'step' && step === 3) stop.abort()
      }
      const first = await finetune(options(out, method, change, { signal: stop.signal, onEntry }))
      assert.ok(first.interrupted)
      await finetune(options(out, method, change, { resume: true }))
      const weights = (folder: string) => readFile(join(folder, 'model.safetensors'))
      assert.deepEqual(await weights(out), await weights(whole))
      const steps = async (folder: string) =>
        (await readLog(join(folder, 'log.jsonl'))).flatMap((entry) =>
          entry.kind === 'step' ? [[entry.step, entry.loss, entry.parts, entry.gradientNorm]] : [],
        )
      assert.deepEqual(await steps(out), await steps(whole))

      const loaded = await loadModel(whole)
      const stored = withStored({}, loaded.idle)
      assert.equal(stored.method, method === 'none' ? 'idle' : method) // where nothing is said every token is kept
      const classifier = await openNodeClassifier(loaded, { ...stored, threads: 1 })
      const { preprocess, validation } = settings
      const report = await evaluateClassifier(classifier, validation, { preprocess, decoders })
      await classifier.close()
      assert.equal(report.top1, progress.best?.top1)
      assert.ok(Math.abs(report.loss - (progress.best?.loss as number)) < 1e-5)
    })
})

describe('new weights', () => {
  it('predictors are drawn from the seed, and layer norms begin as none', () => {
    const recipe = (seed: number) => makeRecipe('quick', { method: 'dynamicvit', seed })
    const [one, same, other] = [1, 1, 2].map((seed) => withOwnWeights(model(1), recipe(seed)).state)
    const name = 'score_predictor.2.out_conv.4.weight'
    assert.deepEqual(one?.get(name), same?.get(name))
    assert.notDeepEqual(one?.get(name), other?.get(name))
    assert.ok(one?.get('score_predictor.0.in_conv.0.weight')?.data.every((value) => Number(value) === 1))
    assert.ok(one?.get('score_predictor.0.in_conv.1.bias')?.data.every((value) => Number(value) === 0))
    const again = withOwnWeights({ ...model(1), state: one as StateDict }, recipe(2))
    assert.equal(again.state, one) // a predictor that is there stays
  })

  it('Evo-ViT’s head on the class token is the one that was on it', () => {
    const { config, state } = withOwnWeights(model(1), makeRecipe('official', { method: 'evovit' }))
    assert.deepEqual([config.pool, config.classHead], ['mean', true])
    for (const name of ['head', 'norm'])
      assert.deepEqual(state.get(`${name}_cls.weight`)?.data, model(1).state.get(`${name}.weight`)?.data)
    const distilled = { ...model(1), config: { ...tiny, distilled: true } }
    assert.throws(
      () => withOwnWeights(distilled, makeRecipe('official', { method: 'evovit' })),
      /evovit: a head on the class token .* without a distillation token/,
    )
  })
})

it('noise is the same for the same seed, update and batch, and another one otherwise', async () => {
  const recipe = makeRecipe('quick', { method: 'dynamicvit', keep: { keepRatio: 0.6 } })
  const { config, state } = withOwnWeights(model(1, 0.3), recipe)
  const parameters = createParameters(state)
  const plan = { config, ...stepPlan(recipe, config), teacher: false }
  const step = await createStep(plan, parameters, new Float32Array(parameters.values.length), { threads: 1 })
  const batch = { pixels: randomPixels(tiny, 2, 2), targets: { data: new Float32Array(10).fill(0.2), shape: [2, 5] } }
  const loss = async (moment: readonly [number, number, number]) => (await step.run({ ...batch, moment })).loss
  assert.equal(await loss([1, 2, 3]), await loss([1, 2, 3]))
  for (const moment of [
    [2, 2, 3],
    [1, 3, 3],
    [1, 2, 4],
  ] as const)
    assert.notEqual(await loss(moment), await loss([1, 2, 3]))
  await step.close()
})

it('Gumbel noise has the mean and the variance of its distribution', () => {
  const random = keyedRandom(1, 'gumbel', 0)
  const draws = Array.from({ length: 20000 }, () => methods.dynamicvit.learning?.noise?.gumbel?.(random) as number)
  const mean = draws.reduce((a, b) => a + b, 0) / draws.length
  const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length
  assert.ok(Math.abs(mean - 0.5772) < 0.04, `mean ${mean}`)
  assert.ok(Math.abs(variance - Math.PI ** 2 / 6) < 0.08, `variance ${variance}`)
})
