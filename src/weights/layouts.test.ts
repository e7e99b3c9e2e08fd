/** Layouts of checkpoints: each is the same model under our names. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anything, dinov2, layoutCases } from '../../test/support/layouts.js'
import { buildModel } from './build.js'
import { modelConfigJson } from './config-file.js'
import { randomVit } from './init.js'

/** Without options that are there and undefined. */
const defined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T

for (const [name, { config: wanted, json, weights, warnings }] of Object.entries(layoutCases))
  test(`${name}: the same model under our names, and again from what we write`, () => {
    const config = defined(wanted)
    const state = randomVit(config, 1)
    const options = json ? { config: json } : { heads: config.heads }
    const built = buildModel(weights(state), options)
    assert.deepEqual(built.config, config)
    assert.deepEqual(built.state, state)
    assert.match(built.warnings.join('; '), warnings ?? /^$/)
    const again = buildModel(built.state, { config: JSON.parse(JSON.stringify(modelConfigJson(built))) })
    assert.deepEqual([again.config, again.state, again.warnings], [config, state, []])
  })

test('a mask that is 0 everywhere leaves no bias of query, key and value', () => {
  const { config, weights, json } = layoutCases['official DINOv3'] ?? assert.fail()
  const state = weights(randomVit(config, 1))
  for (const [name, tensor] of state)
    if (name.endsWith('.bias_mask')) state.set(name, { ...tensor, data: new Float32Array(tensor.data.length) })
  const built = buildModel(state, { config: json })
  assert.equal(built.config.qkvBias, 'none')
})

test('parts that are not implemented are refused by name', () => {
  const state = randomVit(dinov2, 1)
  const refused = (names: readonly string[], reason: RegExp) =>
    assert.throws(
      () => buildModel(new Map([...state, ...names.map((name) => [name, anything(3, 128)] as const)]), { heads: 2 }),
      reason,
    )
  refused(['blocks.0.mlp.fc1_g.weight'], /1 unexpected: blocks\.0\.mlp\.fc1_g\.weight/)
  refused(
    ['blocks.1.attn.rel_pos_h'],
    /decomposed relative positions .*: not computed here, found blocks\.1\.attn\.rel_pos_h$/,
  )
  refused(['pre_logits.fc.weight'], /unexpected: pre_logits\.fc\.weight/)
  const gated = { model_type: 'dinov3_vit', num_attention_heads: 2, use_gated_mlp: true }
  assert.throws(() => buildModel(state, { config: gated }), /use_gated_mlp is true there, which the weights contradict/)
})

/** Keys of microsoft/beit-base-patch16-224 (Hugging Face) and beit_base_patch16_224 (timm), with one block. */
const beit: Readonly<Record<string, readonly string[]>> = {
  'Hugging Face': [
    'beit.embeddings.cls_token',
    'beit.embeddings.patch_embeddings.projection.weight',
    'beit.embeddings.patch_embeddings.projection.bias',
    'beit.encoder.layer.0.lambda_1',
    'beit.encoder.layer.0.lambda_2',
    'beit.encoder.layer.0.attention.attention.query.weight',
    'beit.encoder.layer.0.attention.attention.query.bias',
    'beit.encoder.layer.0.attention.attention.key.weight',
    'beit.encoder.layer.0.attention.attention.value.weight',
    'beit.encoder.layer.0.attention.attention.value.bias',
    'beit.encoder.layer.0.attention.attention.relative_position_bias.relative_position_bias_table',
    'beit.encoder.layer.0.attention.attention.relative_position_bias.relative_position_index',
    'beit.encoder.layer.0.attention.output.dense.weight',
    'beit.encoder.layer.0.intermediate.dense.weight',
    'beit.encoder.layer.0.output.dense.weight',
    'beit.encoder.layer.0.layernorm_before.weight',
    'beit.encoder.layer.0.layernorm_after.weight',
    'beit.pooler.layernorm.weight',
    'classifier.weight',
  ],
  timm: [
    'cls_token',
    'patch_embed.proj.weight',
    'patch_embed.proj.bias',
    'blocks.0.gamma_1',
    'blocks.0.gamma_2',
    'blocks.0.norm1.weight',
    'blocks.0.attn.q_bias',
    'blocks.0.attn.v_bias',
    'blocks.0.attn.relative_position_bias_table',
    'blocks.0.attn.relative_position_index',
    'blocks.0.attn.qkv.weight',
    'blocks.0.attn.proj.weight',
    'blocks.0.norm2.weight',
    'blocks.0.mlp.fc1.weight',
    'blocks.0.mlp.fc2.weight',
    'fc_norm.weight',
    'head.weight',
  ],
}

for (const [layout, names] of Object.entries(beit))
  test(`a BEiT of ${layout} is refused by its relative positions`, () => {
    const shape = (name: string) => (/patch_embed.*weight/.test(name) ? [4, 3, 2, 2] : [4, 4])
    const state = new Map(names.map((name) => [name, anything(...shape(name))] as const))
    assert.throws(
      () => buildModel(state),
      ({ message }: Error) => message.startsWith('relative positions (BEiT): not computed here, found '),
    )
  })
