import assert from 'node:assert/strict'
import { test } from 'node:test'
import { narrow as tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { type PositionResizing, type VitConfig, vitParameters } from '../models/config.js'
import { type BuildModelOptions, buildModel } from './build.js'
import { modelConfigJson } from './config-file.js'
import { findHeads } from './heads.js'
import { randomVit } from './init.js'
import { huggingFaceDeit, huggingFaceVit } from './layouts.js'
import { fromTimmNames } from './names.js'
import { resizePositions } from './position.js'
import { floatsOf, type StateDict } from './state.js'

const state = randomVit(tiny, 1)
const vit = { model_type: 'vit', num_attention_heads: 3, hidden_act: 'gelu', num_channels: 3, qkv_bias: true }
const timm = { architecture: 'vit_tiny_patch16_224', global_pool: 'token', model_args: { num_heads: 3 } }
const build = (config: unknown, options: BuildModelOptions = {}, weights: StateDict = state) =>
  buildModel(weights, { config, ...options })

test('weights under three libraries’ names are the same model', () => {
  const distilled: VitConfig = { ...tiny, distilled: true }
  const twoHeads = randomVit(distilled, 2)
  assert.deepEqual(build(vit, {}, fromTimmNames(state, huggingFaceVit)).state, state)
  assert.deepEqual(build({ ...vit, model_type: 'deit' }, {}, fromTimmNames(twoHeads, huggingFaceDeit)).state, twoHeads)
  const wrapped: StateDict = new Map([...state].map(([name, tensor]) => [`timm_model.${name}`, tensor]))
  const model = build({ ...timm, model_type: 'timm_wrapper' }, {}, wrapped)
  assert.deepEqual(model.state, state)
  assert.deepEqual(model.config, { ...tiny, resizing: 'antialias' })
  assert.deepEqual([...model.state.keys()], [...vitParameters(tiny).keys()])
})

test('what Hugging Face says is used or refused by name', () => {
  const refused: readonly [field: object, reason: RegExp][] = [
    [{ model_type: 'swin' }, /: config\.json: model_type should be "vit" or "deit" or .* found "swin"$/],
    [{ hidden_act: 'relu' }, /hidden_act should be "gelu" or .*, found "relu"/],
    [{ num_channels: 1 }, /num_channels should be 3, found 1/],
    [{ qkv_bias: 'no' }, /qkv_bias should be true or false, found "no"/],
    [{ layer_norm_eps: 2 }, /layer_norm_eps should be a small positive number, found 2/],
    [{ hidden_size: 384 }, /config\.json is not of these weights: hidden_size is 384 there and 6 in the weights/],
    [{ image_size: [224, 224] }, /image_size is 224 there and 16 in the weights/],
    [{ image_size: [16, 32] }, /image_size is 16 x 32 there and 16 x 16 in the weights/],
    [{ patch_size: 16, intermediate_size: 24 }, /intermediate_size is 24 there .*, patch_size is 16 there/],
    [{ num_attention_heads: 4 }, /a width of 6 cannot be split into 4 heads/],
  ]
  for (const [field, reason] of refused) assert.throws(() => build({ ...vit, ...field }), reason)
  assert.doesNotThrow(() => build({ ...vit, image_size: [16, 16], hidden_size: 6, hidden_act: 'gelu_python' }))
})

test('LayerNorm’s epsilon: believed, unless it is the library’s default', () => {
  const eps = (config: object) => {
    const { config: sizes, origins } = build({ ...vit, ...config })
    return [sizes.layerNormEps, origins.layerNormEps.source] as const
  }
  assert.deepEqual(eps({ layer_norm_eps: 1e-5 }), [1e-5, 'config.json (layer_norm_eps)'])
  const [value, source] = eps({ layer_norm_eps: 1e-12 })
  assert.equal(value, 1e-6)
  assert.match(source, /config\.json says 1e-12, the library's default, with which such weights were not trained$/)
  assert.equal(eps({})[0], 1e-6)
})

test('what timm says is used or refused by name', () => {
  const args = (more: object) => ({ model_args: { num_heads: 3, ...more } })
  const refused: readonly [field: object, reason: RegExp][] = [
    [{ architecture: 'swin_tiny_patch4_window7_224' }, /architecture should be a ViT, DeiT, or .* kind, found "swin_/],
    [{ architecture: 'vit_base_patch16_rpn_224' }, /architecture should be a ViT, DeiT, or/],
    [{ global_pool: 'max' }, /: config\.json: global_pool should be "token" or .*, found "max"$/],
    [args({ global_pool: 'avgmax' }), /model_args\.global_pool should be "token" or .*, found "avgmax"/],
    [args({ global_pool: 'map' }), /model_args\.global_pool is "map" there, which the weights contradict/],
    [args({ class_token: false }), /model_args\.class_token is false there, which the weights contradict/],
    [args({ act_layer: 'relu' }), /model_args\.act_layer should be "gelu" or .*, found "relu"/],
    [args({ reg_tokens: 4 }), /model_args\.reg_tokens is 4 there, which the weights contradict/],
    [args({ init_values: 1e-5 }), /model_args\.init_values is 0\.00001 there, which the weights contradict/],
    [args({ no_embed_class: true }), /model_args\.no_embed_class is true there, which the weights contradict/],
    [args({ in_chans: 1 }), /model_args\.in_chans should be 3, found 1/],
    [args({ window: 7 }), /model_args\.window is not known here, found 7/],
    [args({ embed_dim: 384 }), /model_args\.embed_dim is 384 there and 6 in the weights/],
    [{ num_classes: 1000 }, /num_classes is 1000 there and 2 in the weights/],
    [{ num_features: 192 }, /num_features is 192 there and 6 in the weights/],
  ]
  for (const [field, reason] of refused) assert.throws(() => build({ ...timm, ...field }), reason)
  const { config, labels } = build({
    ...timm,
    ...args({ img_size: 16, depth: 2, mlp_ratio: 2, act_layer: null, drop_path_rate: 0.1 }),
    label_names: ['n02123045', 'dog'],
    label_descriptions: { n02123045: 'tabby, tabby cat' },
  })
  assert.deepEqual(config, { ...tiny, resizing: 'antialias' })
  assert.deepEqual(labels, ['tabby', 'dog'])
})

test('positions are resized as the code does that the weights come from, also from a folder of ours', () => {
  const square = 5 * tiny.patchSize
  const resized = (how: PositionResizing) => {
    const of = floatsOf(state, 'pos_embed')
    return resizePositions(of, 1, 4, 5, tiny.width, how)
  }
  const positions = (config: unknown, weights: StateDict, options: BuildModelOptions = {}) =>
    floatsOf(build(config, { imageSize: square, ...options }, weights).state, 'pos_embed')
  const token = { mask_token: { dtype: 'F32', shape: [1, 6], data: new Float32Array(6) } } as const
  const scaled = randomVit({ ...tiny, layerScale: true, classes: 0 }, 1)
  const official: StateDict = new Map([...scaled, ...Object.entries(token)])
  const heads = { heads: 3 }
  assert.deepEqual(positions(vit, fromTimmNames(state, huggingFaceVit)), resized('bicubic'))
  assert.deepEqual(positions(undefined, state, heads), resized('bicubic'))
  assert.deepEqual(positions(timm, state), resized('antialias'))
  assert.deepEqual(
    positions(undefined, official, heads),
    resizePositions(floatsOf(scaled, 'pos_embed'), 1, 4, 5, tiny.width, 'offset'),
  )
  const ours = JSON.parse(JSON.stringify(modelConfigJson(build(timm))))
  assert.deepEqual(positions(ours, state), resized('antialias'))
})

test('a model without biases of query, key and value has none, unless a file says that it should', () => {
  const bare: StateDict = new Map([...state].filter(([name]) => !name.endsWith('qkv.bias')))
  const built = build({ ...vit, qkv_bias: false }, {}, bare)
  assert.equal(built.config.qkvBias, 'none')
  assert.deepEqual(new Set(built.state.keys()), new Set(bare.keys()))
  assert.throws(() => build(vit, {}, bare), /query, key and value have biases, the weights have none/)
})

test('heads: by hand, by a file, by an architecture’s name, by published sizes, or not at all', () => {
  const said = { value: 8, field: 'num_attention_heads' }
  assert.equal(findHeads(1280, 32, { given: 20, said }).heads, 20)
  assert.deepEqual(findHeads(1280, 32, { said }), {
    heads: 8,
    source: 'config.json (num_attention_heads)',
    guessed: false,
    doubtful: false,
  })
  // ViT-H, ViT-g and ViT-G have 16 heads, which are wider than 64.
  for (const [size, width, depth] of [
    ['huge', 1280, 32],
    ['giant', 1408, 40],
    ['gigantic', 1664, 48],
  ] as const) {
    const named = findHeads(width, depth, { architecture: `vit_${size}_patch14_clip_224` })
    assert.deepEqual([named.heads, named.guessed], [16, false])
    const guess = findHeads(width, depth)
    assert.deepEqual([guess.heads, guess.guessed, guess.doubtful], [16, true, true])
  }
  // The giant of DINOv2 is of another width: its name tells nothing here.
  assert.deepEqual(findHeads(1536, 40, { architecture: 'vit_giant_patch14_dinov2' }).heads, 24)
  for (const [width, depth, heads] of [
    [192, 12, 3],
    [384, 12, 6],
    [768, 12, 12],
    [1024, 24, 16],
  ] as const)
    assert.deepEqual(findHeads(width, depth), {
      heads,
      source: `a guess, as in published ViTs of width ${width} and depth ${depth}`,
      guessed: true,
      doubtful: false,
    })
  // timm's first vit_small was 768 wide with 8 heads in 8 blocks.
  assert.ok(findHeads(768, 8).doubtful)
  assert.ok(findHeads(512, 12).doubtful)
  assert.throws(() => findHeads(100, 12), /cannot be told from a width of 100/)
  assert.throws(() => findHeads(192, 12, { given: 5 }), new InputError('a width of 192 cannot be split into 5 heads'))
})

test('a doubtful guess, and what a file says in vain, are told', () => {
  const wide = { ...tiny, width: 64, heads: 1 }
  const { warnings, origins } = buildModel(randomVit(wide, 1))
  assert.deepEqual(warnings, [
    '1 attention heads are a guess, heads of 64 numbers: a config.json beside the weights, or --heads, says it',
  ])
  assert.equal(origins.heads.guessed, true)
  assert.deepEqual(buildModel(randomVit(wide, 1), { heads: 2 }).warnings, [])
  assert.deepEqual(build(vit, { heads: 2 }).warnings, [
    '2 attention heads as given, though config.json says 3 (num_attention_heads)',
  ])
  assert.deepEqual(build({ ...vit, id2label: { 0: 'cat' } }).warnings, [
    'config.json names 1 classes, the weights have 2: its names are left out',
  ])
  const multi = build({ ...vit, problem_type: 'multi_label_classification' })
  assert.match(multi.warnings.join(), /^config\.json: problem_type is multi_label_classification; scores here/)
})

test('files of other weights are left out where that may be, and refused where not', () => {
  const other = { ...vit, hidden_size: 384, id2label: { 0: 'cat', 1: 'dog' } }
  const { labels, warnings, origins } = build(other, { unsure: true, heads: 3, preprocessor: { size: 'nonsense' } })
  assert.equal(labels, undefined)
  assert.equal(origins.preprocess.guessed, true)
  assert.deepEqual(warnings, [
    'config.json is left out, it is not of these weights: hidden_size is 384 there and 6 in the weights',
  ])
  assert.throws(
    () => build(other, { folder: 'models/x/' }),
    /^InputError: models\/x\/config\.json is not of these weights/,
  )
})
