/** Checkpoints of token reduction methods load under their official names. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { evaluate, floats, maxAbsDiff, randomPixels, tiny, weightsUnder } from '../../test/support/models.js'
import { golden } from '../../test/support/shared.js'
import { shapeOf } from '../models/backbone.js'
import { buildGraph } from '../models/build.js'
import type { VitConfig } from '../models/config.js'
import { planReduction, type ReductionRequest } from '../reduction/registry.js'
import { openNodeClassifier } from '../runtime/node.js'
import { field } from '../verify/model.js'
import { type Reference, readReference, tensorsUnder, valuesOf } from '../verify/reference.js'
import { buildModel } from './build.js'
import { adaVit } from './layouts.js'
import { loadModel } from './load.js'
import { fromTimmNames } from './names.js'
import { writeSafetensors } from './safetensors.js'
import type { StateDict } from './state.js'

/** Logits of a reference file's model, saved under its official names and loaded as users do. */
async function logitsOf(reference: Reference, request: ReductionRequest) {
  const folder = await mkdtemp(join(tmpdir(), 'idlevit-'))
  try {
    await writeFile(join(folder, 'model.safetensors'), writeSafetensors(tensorsUnder(reference, 'state.') as StateDict))
    await writeFile(
      join(folder, 'config.json'),
      JSON.stringify({ num_attention_heads: field<number>(reference, 'num_heads') }),
    )
    const model = await loadModel(folder)
    const classifier = await openNodeClassifier(model, request)
    const { logits } = await classifier.forward(valuesOf(reference, 'input').data as Float32Array)
    await classifier.close()
    return logits
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('DynamicViT: the predictors are part of the model', async () => {
  const reference = await readReference(golden('dynamicvit-deit.safetensors'))
  const logits = await logitsOf(reference, { method: 'dynamicvit', keepRatio: 0.7 })
  assert.ok(maxAbsDiff(logits, valuesOf(reference, 'expect.logits').data) < 3e-5)
})

test('IdleViT on LV-ViT: batch norms behind the convolutions of its stem, a head on every row', async () => {
  const reference = await readReference(golden('idlevit-lvvit.safetensors'))
  const logits = await logitsOf(reference, { keepRatio: 0.7, score: 'logits' })
  assert.ok(maxAbsDiff(logits, valuesOf(reference, 'expect.logits').data) < 3e-5)
})

test('Evo-ViT: attention in lists of its own, and a head on the mean of the tokens', async () => {
  const reference = await readReference(golden('evo-vit.safetensors'))
  const logits = await logitsOf(reference, { method: 'evovit', keepRatio: 0.5 })
  assert.ok(maxAbsDiff(logits, valuesOf(reference, 'expect.logits').data) < 3e-5)
})

test('AdaViT: query, key and value by themselves, and gates in every block', async () => {
  const reference = await readReference(golden('adavit.safetensors'))
  const logits = await logitsOf(reference, { method: 'adavit' })
  assert.ok(maxAbsDiff(logits, valuesOf(reference, 'expect.logits').data) < 3e-5)
})

for (const attention of ['performer', 'transformer'] as const)
  test(`AdaViT on a T2T-ViT, as its authors released it: ${attention}`, async () => {
    const config: VitConfig = {
      ...tiny,
      imageSize: 64,
      patchSize: 16,
      layerNormEps: 1e-5,
      tokensToToken: { attention, width: 6 },
      qkvBias: 'none',
    }
    const plan = planReduction({ method: 'adavit' }, shapeOf(config))
    const values = weightsUnder(config, plan)
    const saved = fromTimmNames(values as StateDict, adaVit)
    assert.ok(saved.has('blocks.3.attn.query.weight') && saved.has('tokens_to_token.attention2.norm1.bias'))
    const wrapped = new Map([...saved].map(([name, tensor]) => [`module.${name}`, tensor]))
    const model = buildModel(wrapped, { heads: config.heads })
    assert.deepEqual(model.config, config)
    const classifier = await openNodeClassifier(model, { method: 'adavit' })
    const pixels = randomPixels(config, 2, 3)
    const { logits } = await classifier.forward(pixels.data as Float32Array)
    await classifier.close()
    const wanted = await evaluate(buildGraph(config, values, { ...plan, official: true }), { pixel_values: pixels })
    assert.ok(maxAbsDiff(logits, floats(wanted.logits)) < 2e-5 * Math.max(1, ...floats(wanted.logits).map(Math.abs)))
  })

test('SPViT: one predictor under the names of all heads; rows gathered by picture answer as those masked', async () => {
  const reference = await readReference(golden('spvit.safetensors'))
  const keepRatios = [1, 0.617, 0.617, 0.369, 0.137, 0.137]
  const logits = await logitsOf(reference, { method: 'spvit', keepRatios, stay: 'picture' })
  assert.ok(maxAbsDiff(logits, valuesOf(reference, 'expect.argmax.logits').data) < 3e-5)
})

test('SPViT: heads that do not share their weights are refused', async () => {
  const reference = await readReference(golden('spvit.safetensors'))
  const name = 'state.score_predictor.1.in_conv.2.1.weight'
  const tensor = reference.tensors.get(name)
  assert.ok(tensor)
  const other = new Map([...reference.tensors, [name, { ...tensor, data: new Float32Array(tensor.data.length) }]])
  await assert.rejects(
    logitsOf({ ...reference, tensors: other }, { method: 'spvit' }),
    /score_predictor.1.in_conv.2.1.weight: wanted the weights of the first head, which all heads share, found others/,
  )
})
