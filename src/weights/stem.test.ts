/** LV-ViT's checkpoints: the key list is that of the released files, with narrower and fewer blocks. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maxAbsDiff, narrow } from '../../test/support/models.js'
import { type VitConfig, vitParameters } from '../models/config.js'
import { presets } from '../models/presets.js'
import { createRandom } from '../random.js'
import { buildModel } from './build.js'
import { modelConfigJson } from './config-file.js'
import { randomVit } from './init.js'
import { float32, floatsOf, type StateDict } from './state.js'

const config: VitConfig = {
  ...narrow,
  layerNormEps: 1e-5,
  stem: 4,
  qkvBias: 'none',
  branchScale: 0.5,
  auxHead: true,
}

const names = [
  ...['cls_token', 'pos_embed'],
  ...[1, 2, 3].flatMap((i) => [
    `patch_embed.conv${i}.weight`,
    ...['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].map(
      (part) => `patch_embed.bn${i}.${part}`,
    ),
  ]),
  ...['patch_embed.proj.weight', 'patch_embed.proj.bias'],
  ...[0, 1].flatMap((l) =>
    ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'].flatMap((part) =>
      (part === 'attn.qkv' ? ['weight'] : ['weight', 'bias']).map((kind) => `blocks.${l}.${part}.${kind}`),
    ),
  ),
  ...['norm', 'head', 'aux_head'].flatMap((part) => [`${part}.weight`, `${part}.bias`]),
]

/** A checkpoint as the official code writes it. */
function official(): StateDict {
  const [state, random] = [randomVit(config, 1), createRandom(2)]
  const channels = (least: number) =>
    float32(
      Float32Array.from({ length: 4 }, () => least + random.uniform()),
      [4],
    )
  return new Map(
    names.map((name) => {
      if (name.endsWith('num_batches_tracked')) return [name, { dtype: 'I64', shape: [], data: BigInt64Array.of(9n) }]
      if (name.startsWith('patch_embed.bn')) return [name, channels(name.endsWith('_var') ? 0.1 : -0.5)]
      return [name, state.get(name) ?? assert.fail(name)]
    }),
  )
}

test('batch norms become part of the convolutions, and the model is the same again from what we write', () => {
  const file = official()
  const wrapped: StateDict = new Map([...file].map(([name, tensor]) => [`module.${name}`, tensor]))
  const built = buildModel(wrapped, { heads: 3 })
  assert.deepEqual(built.config, config)
  assert.deepEqual([...built.state.keys()], [...vitParameters(config).keys()])
  for (const i of [1, 2, 3]) {
    const part = (name: string) => floatsOf(file, `patch_embed.bn${i}.${name}`)
    const weight = floatsOf(file, `patch_embed.conv${i}.weight`)
    const factor = (c: number) => Number(part('weight')[c]) / Math.sqrt(Number(part('running_var')[c]) + 1e-5)
    const each = weight.length / 4
    const expected = weight.map((w, at) => w * factor(Math.floor(at / each)))
    const bias = part('bias').map((b, c) => b - Number(part('running_mean')[c]) * factor(c))
    assert.ok(maxAbsDiff(floatsOf(built.state, `patch_embed.conv${i}.weight`), expected) < 1e-6)
    assert.ok(maxAbsDiff(floatsOf(built.state, `patch_embed.conv${i}.bias`), bias) < 1e-6)
  }
  assert.match(built.warnings.join(), /^0\.5 as the factor of residual branches is a guess \(LV-ViT-S and M have 1\/2/)
  const again = buildModel(built.state, { config: JSON.parse(JSON.stringify(modelConfigJson(built))) })
  assert.deepEqual([again.config, again.state, again.warnings], [config, built.state, []])
})

test('a factor of 1 is written, too, so that nobody guesses another one', () => {
  const { branchScale: _, ...plain } = config
  const state = randomVit(plain, 1)
  const again = buildModel(state, { config: JSON.parse(JSON.stringify(modelConfigJson({ config: plain }))) })
  assert.deepEqual([again.config, again.warnings], [plain, []])
})

test('the published sizes need no guess', () => {
  for (const name of ['lvvit-t', 'lvvit-s', 'lvvit-m']) {
    const small = { ...(presets[name]?.config ?? assert.fail(name)), hidden: 3, classes: 2, stem: 2 }
    const built = buildModel(randomVit(small, 1))
    assert.deepEqual([built.config, built.warnings], [small, []], name)
  }
})

test('what does not fit together is refused by name', () => {
  const without = (name: string) => new Map([...official()].filter(([each]) => each !== name))
  const variance = float32(Float32Array.of(1, -1, 1, 1), [4])
  const refused = (state: StateDict, reason: RegExp) => assert.throws(() => buildModel(state, { heads: 3 }), reason)
  refused(without('patch_embed.bn2.running_mean'), /missing: patch_embed\.conv2\.bias; 3 unexpected: patch_embed\.bn2/)
  refused(
    without('patch_embed.conv1.weight'),
    /2 missing: patch_embed\.conv1\.weight, patch_embed\.conv1\.bias; 4 unexpected: patch_embed\.bn1/,
  )
  refused(
    official().set('patch_embed.bn1.running_var', variance),
    /patch_embed\.bn1\.running_var: wanted variances of at least 0, found -1 at 1/,
  )
  const factor = (branchScale: number) => ({
    ...modelConfigJson({ config }),
    idlevit: { architecture: { branchScale } },
  })
  assert.throws(
    () => buildModel(official(), { config: factor(2) }),
    /branchScale should be a number above 0 and up to 1/,
  )
})
