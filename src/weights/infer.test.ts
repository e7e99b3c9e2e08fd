import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InputError } from '../errors.js'
import { type VitConfig, vitParameters } from '../models/config.js'
import { presets } from '../models/presets.js'
import { isSwin } from '../models/swin-config.js'
import { checkState, compareState, inferVitConfig, resizeVit, unflattenPatchWeights } from './infer.js'
import { randomVit } from './init.js'
import { elements, float32, type StateDict } from './state.js'

/** Shapes without values, for architectures too large to fill. */
const hollow = (config: VitConfig): StateDict =>
  new Map([...vitParameters(config)].map(([name, shape]) => [name, { dtype: 'F32', shape, data: new Float32Array(0) }]))

const tiny: VitConfig = {
  imageSize: 8,
  patchSize: 4,
  width: 6,
  depth: 2,
  heads: 3,
  hidden: 5,
  classes: 4,
  distilled: true,
  layerNormEps: 1e-6,
}

test('every preset is recognised from its shapes', () => {
  for (const [name, { config }] of Object.entries(presets)) {
    if (isSwin(config)) continue // see swin.test.ts
    const { layerNormEps, activation } = config // no shape tells these
    const found = inferVitConfig(hollow(config), { layerNormEps, ...(activation && { activation }) })
    assert.deepEqual(found, config, name)
  }
})

test('DeiT-S and its distilled form have the published parameter counts', () => {
  const count = (name: string) => {
    const { config } = presets[name] ?? assert.fail(name)
    return [...vitParameters(config).values()].reduce((sum, shape) => sum + elements(shape), 0)
  }
  assert.deepEqual(['deit-tiny', 'deit-small', 'deit-small-distilled'].map(count), [5_717_416, 22_050_664, 22_436_432])
})

test('any sizes are recognised', () => {
  const config = fc.record({
    grid: fc.integer({ min: 1, max: 5 }),
    patchSize: fc.integer({ min: 1, max: 5 }),
    heads: fc.integer({ min: 1, max: 3 }),
    perHead: fc.integer({ min: 1, max: 3 }),
    depth: fc.integer({ min: 1, max: 12 }),
    hidden: fc.integer({ min: 1, max: 9 }),
    classes: fc.integer({ min: 1, max: 9 }),
    distilled: fc.boolean(),
    layerNormEps: fc.constantFrom(1e-5, 1e-6),
  })
  fc.assert(
    fc.property(config, ({ grid, perHead, ...rest }) => {
      const sizes = { ...rest, imageSize: grid * rest.patchSize, width: rest.heads * perHead }
      assert.deepEqual(inferVitConfig(hollow(sizes), sizes), sizes)
    }),
  )
})

test('what is no ViT, or contradicts itself, is refused with the reason', () => {
  const broken = (name: string, shape: readonly number[]): StateDict =>
    new Map(hollow(tiny)).set(name, { dtype: 'F32', shape, data: new Float32Array(0) })
  const cases: readonly (readonly [StateDict, RegExp])[] = [
    [new Map(), /not a ViT or DeiT: there is no patch_embed\.proj\.weight \(the file holds no tensors\)/],
    [new Map([['fc.weight', float32(new Float32Array(1), [1])]]), /it holds fc\.weight/],
    [broken('cls_token', [6]), /cls_token \[6\] should be \[1, 1, width\]/],
    [broken('pos_embed', [1, 7, 6]), /pos_embed has 7 rows: without 2 for the tokens in front they form no square/],
    [broken('patch_embed.proj.weight', [6, 3, 4, 2]), /should be \[width, 3, patch, patch\]/],
    [broken('patch_embed.proj.weight', [6, 50]), /should be \[width, 3, patch, patch\]/],
    [broken('head.weight', [0, 6]), /head\.weight \[0, 6\] should be/],
    [hollow(tiny), /the number of heads cannot be told from a width of 6/],
  ]
  for (const [state, reason] of cases) assert.throws(() => inferVitConfig(state), reason)
  assert.throws(() => inferVitConfig(hollow(tiny), { heads: 4 }), /a width of 6 cannot be split into 4 heads/)
})

test('missing, unexpected, mis-shaped, integer and non-finite tensors are listed in one error', () => {
  const state = randomVit(tiny, 1)
  assert.doesNotThrow(() => checkState(state, vitParameters(tiny)))
  state.delete('norm.bias')
  state.delete('blocks.1.attn.proj.weight')
  state.set('score_predictor.weight', float32(new Float32Array(1), [1]))
  state.set('head.bias', float32(new Float32Array(5), [5]))
  state.set('norm.weight', { dtype: 'I32', shape: [6], data: new Int32Array(6) })
  state.set('blocks.0.norm1.bias', float32(Float32Array.of(0, 0, 0, Number.NaN, 0, 0), [6]))
  state.set('blocks.0.norm2.bias', float32(Float32Array.of(0, 0, 0, 0, 0, -Infinity), [6]))
  // Large but finite values are no fault, though their sum overflows.
  state.set('blocks.0.norm1.weight', float32(new Float32Array(6).fill(3.4e38), [6]))
  assert.deepEqual(compareState(state, vitParameters(tiny)), {
    missing: ['blocks.1.attn.proj.weight', 'norm.bias'],
    unexpected: ['score_predictor.weight'],
    misshaped: ['head.bias [5] instead of [4]'],
    mistyped: ['norm.weight I32'],
    notFinite: ['blocks.0.norm1.bias', 'blocks.0.norm2.bias'],
  })
  assert.throws(
    () => checkState(state, vitParameters(tiny)),
    new InputError(
      'the weights do not fit: 2 missing: blocks.1.attn.proj.weight, norm.bias; 1 unexpected: score_predictor.weight; ' +
        '1 of the wrong shape: head.bias [5] instead of [4]; 1 not floating-point: norm.weight I32; ' +
        '2 with NaN or infinite values: blocks.0.norm1.bias, blocks.0.norm2.bias',
    ),
  )
})

test('a gap in the numbering of the blocks shows as missing and unexpected keys', () => {
  const state = new Map(
    [...randomVit(tiny, 1)].map(([name, tensor]) => [name.replace('blocks.1.', 'blocks.7.'), tensor]),
  )
  const report = compareState(state, vitParameters(inferVitConfig(state, tiny)))
  assert.equal(report.missing.length, 12)
  assert.ok(report.missing.every((name) => name.startsWith('blocks.1.')))
  assert.ok(report.unexpected.every((name) => name.startsWith('blocks.7.')))
})

test('old two-dimensional patch weights keep their order: channel, row, column', () => {
  const state = randomVit(tiny, 1)
  const patch = state.get('patch_embed.proj.weight') ?? assert.fail()
  const flat = new Map(state).set('patch_embed.proj.weight', { ...patch, shape: [6, 48] })
  assert.deepEqual(inferVitConfig(flat, tiny), tiny)
  assert.deepEqual(unflattenPatchWeights(flat), state)
  assert.equal(unflattenPatchWeights(state), state)
})

test('another picture size changes the position embedding alone', () => {
  const state = randomVit(tiny, 1)
  const resized = resizeVit(tiny, state, 16)
  assert.deepEqual(resized.config, { ...tiny, imageSize: 16 })
  checkState(resized.state, vitParameters(resized.config))
  for (const [name, tensor] of state) if (name !== 'pos_embed') assert.equal(resized.state.get(name), tensor)
  assert.equal(resizeVit(tiny, state, 8).state, state)
  assert.throws(() => resizeVit(tiny, state, 10), /an image size of 10 is no multiple of the patch size 4/)
})
