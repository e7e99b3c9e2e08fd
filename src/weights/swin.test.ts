/** Swin under the names of the official repository, of timm and of Hugging Face: the key lists of the released files. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tinySwin } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { presets } from '../models/presets.js'
import { type SwinConfig, swinParameters } from '../models/swin-config.js'
import { buildModel } from './build.js'
import { modelConfigJson } from './config-file.js'
import { describedSwin } from './config-swin.js'
import { inferSwinConfig } from './infer-swin.js'
import { randomVit } from './init.js'
import { huggingFaceSwin } from './layouts.js'
import { fromTimmNames } from './names.js'
import { float32, type StateDict, type WeightTensor } from './state.js'

const state = randomVit(tinySwin, 1)
const side = { config: { model_type: 'swin', image_size: 32 } }

/** Buffers that the official code saves. */
const buffers = (path: string): [string, WeightTensor][] => [
  [`${path}.relative_position_index`, { dtype: 'I64', shape: [16, 16], data: new BigInt64Array(256) }],
  [path.replace(/\.attn.*$/, '.attn_mask'), float32(new Float32Array(256), [1, 16, 16])],
]

test('the official layout, buffers and all', () => {
  const official = new Map([...state, ...buffers('layers.0.blocks.1.attn')])
  const model = buildModel(official, side)
  assert.deepEqual(model.state, state)
  assert.deepEqual(model.config, tinySwin)
  assert.deepEqual(model.warnings, [])
  assert.match(buildModel(official).warnings.join(), /pictures of 224 pixels are a guess/)
})

test('timm’s layout: merging at the start of the next stage, and a head of its own', () => {
  const timm: StateDict = new Map(
    [...state].map(([name, tensor]) => [
      name
        .replace(/^layers\.(\d)\.downsample/, (_, stage) => `layers.${Number(stage) + 1}.downsample`)
        .replace(/^head\./, 'head.fc.'),
      tensor,
    ]),
  )
  assert.ok(timm.has('layers.2.downsample.reduction.weight') && !timm.has('layers.0.downsample.norm.weight'))
  const config = {
    architecture: 'swin_tiny_patch4_window7_224',
    num_classes: 5,
    num_features: 32,
    global_pool: 'avg',
    pretrained_cfg: {
      input_size: [3, 32, 32],
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
      crop_pct: 0.9,
      interpolation: 'bicubic',
    },
  }
  const model = buildModel(timm, { config })
  assert.deepEqual(
    [...model.state],
    [...state].map(([name]) => [name, model.state.get(name)]),
  )
  for (const [name, tensor] of state) assert.deepEqual(model.state.get(name), tensor, name)
  assert.deepEqual(model.config, tinySwin)
  assert.deepEqual([model.preprocess.resize, model.preprocess.crop], [35, 32])
})

test('Hugging Face’s layout, with and without its prefix', () => {
  const theirs = fromTimmNames(state, huggingFaceSwin)
  for (const key of [
    'swin.embeddings.patch_embeddings.projection.weight',
    'swin.embeddings.norm.bias',
    'swin.encoder.layers.1.blocks.0.attention.self.query.weight',
    'swin.encoder.layers.1.blocks.0.attention.self.relative_position_bias_table',
    'swin.encoder.layers.0.blocks.1.attention.output.dense.bias',
    'swin.encoder.layers.2.blocks.1.intermediate.dense.weight',
    'swin.encoder.layers.0.downsample.reduction.weight',
    'swin.layernorm.weight',
    'classifier.weight',
  ])
    assert.ok(theirs.has(key), key)
  const whole: StateDict = new Map([...theirs, ...buffers('swin.encoder.layers.0.blocks.1.attention.self').slice(0, 1)])
  assert.deepEqual(buildModel(whole, side).state, state)
  const base: StateDict = new Map(
    [...theirs].filter(([name]) => !name.startsWith('classifier')).map(([name, t]) => [name.replace(/^swin\./, ''), t]),
  )
  assert.deepEqual(buildModel(base, side).config, { ...tinySwin, classes: 0 })
})

test('presets are recognised from their shapes, and a config that was written is read back', () => {
  for (const name of ['swin-tiny', 'swin-small', 'swin-base']) {
    const config = (presets[name] ?? assert.fail()).config as SwinConfig
    const hollow: StateDict = new Map(
      [...swinParameters(config)].map(([key, shape]) => [key, { dtype: 'F32', shape, data: new Float32Array(0) }]),
    )
    assert.deepEqual(inferSwinConfig(hollow), config, name)
  }
  const idle = { method: 'idle', variant: 'ffn', ranking: 'norm', keepTokens: [256, 256, 32, 32, 8, 8] } as const
  const model = buildModel(state, { config: JSON.parse(JSON.stringify(modelConfigJson({ config: tinySwin, idle }))) })
  assert.deepEqual(model.config, tinySwin)
  assert.deepEqual(model.idle, idle)
  const written = JSON.parse(JSON.stringify(modelConfigJson({ config: tinySwin })))
  assert.deepEqual(describedSwin(written, 'config.json', 5), tinySwin)
  assert.throws(() => describedSwin({ ...written, depths: [2, 2] }, 'config.json', 5), /num_heads should be 2 numbers/)
})

test('other picture sizes run where windows divide the maps, and what does not fit is refused by name', () => {
  assert.deepEqual(buildModel(state, { ...side, imageSize: 64 }).config, { ...tinySwin, imageSize: 64 })
  const refused: readonly (readonly [() => unknown, RegExp])[] = [
    [
      () => buildModel(state, { ...side, imageSize: 48 }),
      /stage 1 has a map of 12 x 12|stage 2 has a map of 6 x 6 tokens, which windows of 4 do not divide/,
    ],
    [() => buildModel(state, { ...side, imageSize: 50 }), /windows of 4 do not divide|not whole/],
    [
      () => buildModel(state, { ...side, imageSize: 16 }),
      /wants windows of another side than the weights have: layers\.2/,
    ],
    [
      () => buildModel(state, { config: { ...side.config, window_size: 7 } }),
      /window_size is 7 there, which the weights contradict/,
    ],
    [() => buildModel(state, { config: { ...side.config, depths: [2, 2, 6] } }), /depths is \[2,2,6\] there/],
    [
      () => buildModel(state, { config: { ...side.config, use_absolute_embeddings: true } }),
      /absolute positions are not known here/,
    ],
    [() => buildModel(state, { config: { model_type: 'vit' } }), /model_type should be "swin", found "vit"/],
    [
      () => buildModel(new Map([...state, ['absolute_pos_embed', float32(new Float32Array(4), [1, 4])]]), side),
      /1 unexpected: absolute_pos_embed/,
    ],
    [() => buildModel(state, { ...side, heads: 3 }), /heads: a Swin's tables tell them, 1 in its first stage, found 3/],
  ]
  for (const [build, reason] of refused)
    assert.throws(build, (error) => {
      assert.ok(error instanceof InputError, String(error))
      assert.match(error.message, reason)
      return true
    })
})
