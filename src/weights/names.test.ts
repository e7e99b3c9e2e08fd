import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type VitConfig, vitParameters } from '../models/config.js'
import { presets } from '../models/presets.js'
import { isSwin } from '../models/swin-config.js'
import { randomVit } from './init.js'
import { huggingFaceDeit, huggingFaceVit } from './layouts.js'
import { fromTimmNames, toTimmNames } from './names.js'
import { float32, type StateDict } from './state.js'

const tiny: VitConfig = {
  imageSize: 8,
  patchSize: 4,
  width: 4,
  depth: 11, // two digits, so that block 1 and block 10 must not be confused
  heads: 2,
  hidden: 8,
  classes: 3,
  distilled: false,
  layerNormEps: 1e-6,
}

const sorted = (state: StateDict) => new Map([...state].sort(([a], [b]) => (a < b ? -1 : 1)))

for (const [layout, distilled] of [
  [huggingFaceVit, false],
  [huggingFaceDeit, true],
] as const)
  test(`${layout.name} names and back are the identity, with and without the model prefix`, () => {
    const state = randomVit({ ...tiny, distilled }, 1)
    const theirs = fromTimmNames(state, layout)
    assert.deepEqual(sorted(toTimmNames(theirs)), sorted(state))
    const base = new Map([...theirs].map(([name, tensor]) => [name.replace(layout.prefix, ''), tensor]))
    assert.deepEqual(sorted(toTimmNames(base)), sorted(state))
  })

test('the Hugging Face names are those of modeling_vit.py', () => {
  const names = [...fromTimmNames(randomVit({ ...tiny, depth: 1 }, 1), huggingFaceVit).keys()]
  const layer = (name: string) => [`${name}.weight`, `${name}.bias`]
  const block = 'vit.encoder.layer.0.'
  assert.deepEqual(
    names.sort(),
    [
      'vit.embeddings.cls_token',
      'vit.embeddings.position_embeddings',
      ...layer('vit.embeddings.patch_embeddings.projection'),
      ...layer(`${block}layernorm_before`),
      ...layer(`${block}attention.attention.query`),
      ...layer(`${block}attention.attention.key`),
      ...layer(`${block}attention.attention.value`),
      ...layer(`${block}attention.output.dense`),
      ...layer(`${block}layernorm_after`),
      ...layer(`${block}intermediate.dense`),
      ...layer(`${block}output.dense`),
      ...layer('vit.layernorm'),
      ...layer('classifier'),
    ].sort(),
  )
  const distilled = fromTimmNames(randomVit({ ...tiny, depth: 1, distilled: true }, 1), huggingFaceDeit)
  for (const name of [
    'deit.embeddings.distillation_token',
    'cls_classifier.weight',
    'distillation_classifier.bias',
    'deit.encoder.layer.0.attention.attention.query.bias',
  ])
    assert.ok(distilled.has(name), name)
})

test('query, key and value are stacked by rows in this order', () => {
  const part = (first: number) => float32(Float32Array.of(first, first + 1), [2, 1])
  const at = 'vit.encoder.layer.3.attention.attention.'
  const state = new Map([
    [`${at}value.weight`, part(5)],
    [`${at}query.weight`, part(1)],
    [`${at}key.weight`, part(3)],
  ])
  const joined = toTimmNames(state)
  assert.deepEqual([...joined.keys()], ['blocks.3.attn.qkv.weight'])
  assert.deepEqual(joined.get('blocks.3.attn.qkv.weight')?.data, Float32Array.of(1, 2, 3, 4, 5, 6))
  assert.deepEqual(joined.get('blocks.3.attn.qkv.weight')?.shape, [6, 1])
})

test('parts that do not fit together are refused, a lonely part stays for the report', () => {
  const at = 'vit.encoder.layer.0.attention.attention.'
  const state: StateDict = new Map([
    [`${at}query.bias`, float32(new Float32Array(2), [2])],
    [`${at}key.bias`, float32(new Float32Array(2), [2])],
  ])
  assert.deepEqual([...toTimmNames(state).keys()], ['blocks.0.attn.q.bias', 'blocks.0.attn.k.bias'])
  state.set(`${at}value.bias`, float32(new Float32Array(3), [3]))
  assert.throws(() => toTimmNames(state), /cannot be joined/)
})

test('timm names stay, buffers go, unknown names stay for the report', () => {
  const scalar = float32(Float32Array.of(1), [])
  const state: StateDict = new Map(
    [
      'blocks.0.norm1.weight',
      'patch_embed.bn1.num_batches_tracked',
      'layers.0.blocks.1.attn_mask',
      'layers.0.blocks.0.attn.relative_position_index',
      'blocks.3.attn.out_zero_mask',
      'score_predictor.0.in_conv.0.weight',
    ].map((name) => [name, scalar]),
  )
  assert.deepEqual([...toTimmNames(state).keys()], ['blocks.0.norm1.weight', 'score_predictor.0.in_conv.0.weight'])
})

test('all presets survive a round trip of their key lists', () => {
  for (const [name, { config }] of Object.entries(presets).filter(([, { config }]) => !isSwin(config))) {
    const shapes = [...vitParameters(config).keys()].filter((key) => !key.includes('qkv'))
    const state: StateDict = new Map(shapes.map((key) => [key, float32(Float32Array.of(0), [1])]))
    const layout = config.distilled ? huggingFaceDeit : huggingFaceVit
    assert.deepEqual([...toTimmNames(fromTimmNames(state, layout)).keys()], shapes, name)
  }
})
