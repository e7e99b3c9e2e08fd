/** Training on a Swin: gradients are slopes, and what a run saves runs as it was trained. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { madeUpPictures } from '../../test/support/made-up.js'
import { maxAbsDiff, randomPixels, randomWeights, tinySwin } from '../../test/support/models.js'
import { startDecoders } from '../data/decoder.js'
import { evaluateClassifier } from '../evaluation/evaluate.js'
import { imagenetPreprocess } from '../images/preprocess.js'
import { createRandom } from '../random.js'
import { withStored } from '../reduction/registry.js'
import { openNodeClassifier } from '../runtime/node.js'
import { loadModel } from '../weights/load.js'
import { float32, type StateDict } from '../weights/state.js'
import { type FinetuneOptions, finetune } from './finetune.js'
import { makeRecipe } from './options.js'
import { withOwnWeights } from './own-weights.js'
import { createParameters } from './parameters.js'
import { stepPlan } from './plan.js'
import type { RecipeChanges } from './recipe.js'
import { createStep } from './step.js'

const temporary = temporaryFolder()
const decoders = startDecoders(1)
after(() => Promise.all(decoders.map((decoder) => decoder.close())))

const model = (seed: number) => ({
  name: 'tiny-swin',
  config: tinySwin,
  state: new Map(
    [...randomWeights(tinySwin, seed, 0.2)].map(([name, { shape, data }]) => [
      name,
      float32(data as Float32Array, shape),
    ]),
  ) as StateDict,
})

/** A step of two pictures under a recipe: its loss and gradients, and its loss elsewhere. */
async function openStep(change: RecipeChanges) {
  const recipe = makeRecipe('quick', { keep: { keepRatio: 0.6 }, ...change })
  const { config, state } = withOwnWeights(model(1), recipe)
  const parameters = createParameters(state)
  const gradients = new Float32Array(parameters.values.length)
  const random = createRandom(5)
  const normal = (...shape: number[]) => ({
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
  })
  const plan = { config, ...stepPlan(recipe, config), form: recipe.form, featureRows: 'all', dropPath: true } as const
  const weights = { ...recipe.loss, feature: 50, cut: 0 }
  const step = await createStep({ ...plan, weights }, parameters, gradients, { threads: 1 })
  const batch = {
    pixels: randomPixels(tinySwin, 2, 2),
    targets: { data: Float32Array.from({ length: 10 }, (_, i) => (i % 5 === 1 ? 1 : 0)), shape: [2, 5] },
    teacher: { logits: normal(2, 5), features: normal(2, 16, 32) },
    dropPath: { data: Float32Array.from({ length: 24 }, (_, i) => (i % 5 === 0 ? 0 : 1.25)), shape: [6, 2, 2] },
  }
  const { loss, parts } = await step.run(batch)
  assert.deepEqual(Object.keys(parts).sort(), ['classification', 'distillation', 'feature'])
  const from = parameters.values.slice()
  return {
    loss,
    gradients: gradients.slice(),
    async lossAt(direction: Float32Array, h: number) {
      for (const [i, w] of from.entries()) parameters.values[i] = w + h * (direction[i] as number)
      return (await step.run(batch)).loss
    },
    close: () => step.close(),
  }
}

for (const variant of ['block', 'ffn'] as const) {
  it(`the gradient of the whole loss is its slope: ${variant}`, async () => {
    const { gradients, lossAt, close } = await openStep({ settings: { variant, ranking: 'norm' } })
    const random = createRandom(6)
    const direction = gradients.map((g) => random.normal() + 2 * Math.sign(g))
    const slope = gradients.reduce((sum, g, i) => sum + g * (direction[i] as number), 0)
    const around = async (h: number) => (await lossAt(direction, h)) - (await lossAt(direction, -h))
    const h = 1e-5 // small enough that no choice changes along the way
    const numeric = (8 * (await around(h)) - (await around(2 * h))) / (12 * h)
    await close()
    assert.ok(Math.abs(slope - numeric) < 2e-2 * Math.abs(numeric), `slope ${slope}, differences ${numeric}`)
  })

  for (const ranking of ['norm', 'received'] as const)
    it(`both forms have the same loss and gradients: ${variant}, ${ranking}`, async () => {
      const [gathered, masked] = await Promise.all(
        (['gathered', 'masked'] as const).map((form) => openStep({ settings: { variant, ranking }, form })),
      )
      assert.ok(gathered && masked)
      const largest = gathered.gradients.reduce((most, g) => Math.max(most, Math.abs(g)), 0)
      assert.ok(maxAbsDiff(gathered.gradients, masked.gradients) < 1e-4 * largest)
      assert.ok(Math.abs(gathered.loss - masked.loss) < 1e-4 * gathered.loss)
      await Promise.all([gathered.close(), masked.close()])
    })
}

/** What is asked, but for the ratio. */
const asked: readonly RecipeChanges[] = [
  { settings: { variant: 'block', ranking: 'predictor' } },
  { settings: { variant: 'ffn', ranking: 'predictor' } },
  { settings: { dead: true, ranking: 'predictor' } },
  { method: 'dynamicswin' },
]

describe('a run learns, interrupted and resumed ends in the same bits, and what it saves runs as it was trained', () => {
  for (const [i, change] of asked.entries())
    it(JSON.stringify(change), async () => {
      const out = join(temporary.path, `run-${i}`)
      const warned: string[] = []
      const recipe = makeRecipe('quick', {
        epochs: 1,
        batch: 4,
        accumulate: 1,
        lr: 1e-3,
        keep: { keepRatio: 0.6 },
        ...change,
      })
      const preprocess = imagenetPreprocess(tinySwin.imageSize)
      const validation = madeUpPictures(10, 2, tinySwin.classes)
      const student = model(1)
      const settings = {
        model: student,
        teacher: model(2),
        recipe,
        training: madeUpPictures(13, 1, tinySwin.classes),
        validation,
        preprocess,
        out,
        session: { threads: 1 },
        decoders,
        warn: (message: string) => void warned.push(message),
      }
      const { progress } = await finetune(settings)
      const again = join(temporary.path, `resumed-${i}`)
      const stop = new AbortController()
      const onEntry: FinetuneOptions['onEntry'] = ({ kind, step }) => {
        if (kind === 'step' && step === 2) stop.abort()
      }
      const { interrupted } = await finetune({ ...settings, out: again, signal: stop.signal, onEntry })
      assert.ok(interrupted)
      await finetune({ ...settings, out: again, resume: true })
      const [whole, resumed] = await Promise.all(
        [out, again].map((folder) => readFile(join(folder, 'model.safetensors'))),
      )
      assert.deepEqual(resumed, whole)
      assert.equal(
        warned.some((message) => message.includes('token cut loss')),
        change.method === undefined,
      )
      const loaded = await loadModel(out)
      const drawn = withOwnWeights(student, recipe).state
      for (const [name, { data }] of drawn)
        assert.notDeepEqual(loaded.state.get(name)?.data, data, `${name} did not learn`)
      const stored = withStored({}, loaded.idle)
      for (const [name, value] of Object.entries(change.settings ?? {}))
        assert.equal(stored[name as keyof typeof stored], value)
      const classifier = await openNodeClassifier(loaded, { ...stored, threads: 1 })
      assert.ok(classifier.plan.keep.some((kept) => kept < 64))
      const report = await evaluateClassifier(classifier, validation, { preprocess, decoders })
      await classifier.close()
      assert.equal(report.top1, progress.best?.top1)
      assert.ok(Math.abs(report.loss - (progress.best?.loss as number)) < 1e-5)
    })
})
