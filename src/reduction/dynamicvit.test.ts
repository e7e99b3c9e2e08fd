import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { evaluate, floats, maxAbsDiff, randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { golden } from '../../test/support/shared.js'
import { gradients } from '../graph/gradients.js'
import { createGraph, input, output, type Tensor } from '../graph/graph.js'
import { add, scale } from '../graph/ops/elementwise.js'
import { slice } from '../graph/ops/shape.js'
import { crossEntropy } from '../losses/classification.js'
import { logitDistillation } from '../losses/distillation.js'
import { ratioLoss, tokenLoss } from '../losses/dynamicvit.js'
import { forward, shapeOf } from '../models/backbone.js'
import { buildGraph, constantWeights, methodBuild } from '../models/build.js'
import type { VitConfig } from '../models/config.js'
import { createRandom } from '../random.js'
import type { Values } from '../runtime/session.js'
import { field } from '../verify/model.js'
import { readReference, tensorsUnder, valuesOf, vitConfigOf } from '../verify/reference.js'
import { dropPoints, dynamicvit } from './dynamicvit.js'

describe('DynamicViT', () => {
  const keep = [16, 9, 9, 4]
  const random = createRandom(3)
  const own = [...(dynamicvit.parameters?.(shapeOf(tiny), keep) ?? [])].map(([name, shape]) => {
    const count = shape.reduce((a, b) => a * b, 1)
    return [name, { shape, data: Float32Array.from({ length: count }, () => 0.3 * random.normal()) }] as const
  })
  const pixels = randomPixels(tiny, 3, 2)

  const models: Readonly<Record<string, VitConfig>> = {
    'the class token': tiny,
    'every row that is left': { ...tiny, stem: 4, auxHead: true },
    'the mean of the rows that are left': { ...tiny, pool: 'class-mean' },
  }
  for (const [read, config] of Object.entries(models))
    it(`gives the same where rows are dropped and where they are masked, reading ${read}`, () => sameMasked(config))

  async function sameMasked(config: VitConfig) {
    const weights = new Map([...randomWeights(config, 1), ...own])
    const options = { method: 'dynamicvit', keep } as const
    const gathered = await evaluate(buildGraph(config, weights, { ...options, trace: true }), { pixel_values: pixels })
    const policies = dropPoints(keep, 16).map((l) => {
      const home = gathered[`home.${l}`]?.data as BigInt64Array
      return [`policy.${l}`, { data: Float32Array.from(home, (row) => Number(row >= 0n)), shape: [3, 16] }] as const
    })
    const masked = await evaluate(buildGraph(config, weights, { ...options, form: 'masked', givenPolicy: true }), {
      pixel_values: pixels,
      ...Object.fromEntries(policies),
    })
    const [a, b] = [floats(gathered.logits), floats(masked.logits)]
    assert.ok(maxAbsDiff(a, b) < 1e-4 * Math.max(...a.map(Math.abs)), `${maxAbsDiff(a, b)}`)
  }

  it('names the predictor that a checkpoint lacks', () => {
    assert.throws(
      () => buildGraph(tiny, randomWeights(tiny, 1), { method: 'dynamicvit', keep }),
      /dynamicvit: wanted weights trained for it, found a model without score_predictor\.0\.in_conv\.0\.weight \(20 are missing\)/,
    )
  })

  it('has the gradients of the official code', async () => {
    const reference = await readReference(golden('dynamicvit-deit.safetensors'))
    const config = vitConfigOf(reference)
    const points = field<number[]>(reference, 'pruning_loc')
    const counts = field<number[]>(reference, 'K')
    const keep = Array.from({ length: config.depth }, (_, l) => counts[points.filter((p) => p <= l).length - 1] ?? 196)
    const state = tensorsUnder(reference, 'state.')
    const graph = createGraph()
    const pictures = input(graph, 'pixel_values', ['batch', 3, config.imageSize, config.imageSize])
    const trained = new Map([...state].map(([name, { shape }]) => [name, input(graph, name, shape)]))
    const weight = (name: string) => trained.get(name) as Tensor
    const form = dynamicvit.open(methodBuild(graph, weight, config), { keep, form: 'masked' })
    const student = forward(weight, pictures, config, { form, allTokens: true })
    const teacher = forward(constantWeights(graph, tensorsUnder(reference, 'teacher.')), pictures, config, {
      allTokens: true,
    })
    const image = (features: Tensor) => slice(features, 1, 1) // [B, N0, C]
    const policies = points.map((l) => student.blocks[l]?.step.seen?.policy as Tensor)
    const parts = [
      crossEntropy(student.logits, input(graph, 'targets', ['batch', config.classes])),
      scale(ratioLoss(policies, field<number[]>(reference, 'token_ratio')), 2 / points.length),
      scale(logitDistillation(student.logits, teacher.logits), 0.5),
      scale(tokenLoss(image(student.features), image(teacher.features), policies.at(-1) as Tensor), 0.5),
    ]
    const names = [...trained.keys()]
    for (const [i, gradient] of gradients(parts.reduce(add), [...trained.values()]).entries())
      output(`grad.${names[i]}`, gradient)
    const feeds: Record<string, Values> = {
      pixel_values: valuesOf(reference, 'input'),
      targets: valuesOf(reference, 'targets'),
      ...Object.fromEntries(names.map((name) => [name, valuesOf(reference, `state.${name}`)])),
      ...Object.fromEntries(points.map((l) => [`gumbel.${l}`, valuesOf(reference, `gumbel.${l}`)])),
    }
    const found = await evaluate(graph, feeds)
    for (const name of names) {
      const wanted = valuesOf(reference, `grad.${name}`).data as Float32Array
      const largest = wanted.reduce((most, g) => Math.max(most, Math.abs(g)), 0)
      const error = maxAbsDiff(floats(found[`grad.${name}`]), wanted)
      assert.ok(error <= 1e-4 * largest + 1e-9, `${name}: ${error} of ${largest}`)
    }
  })
})
