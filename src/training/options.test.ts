import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InputError } from '../errors.js'
import { frozenParameters, keepOfStep, keepRatioOfStep, makeRecipe, presets, recipeDifferences } from './options.js'

test("presets have the numbers of the paper and of the official code's README", () => {
  const { paper, official } = presets
  for (const preset of [paper, official]) {
    assert.equal(preset.epochs, 30)
    assert.equal(preset.weightDecay, 0.05)
    assert.equal(preset.emaDecay, 0.99996)
    assert.deepEqual(preset.mix, { mixup: 0.8, cutmix: 1, switchProbability: 0.5 })
    assert.equal(preset.smoothing, 0.1)
    assert.equal(preset.repeats, 3)
    assert.equal(preset.augment.erase, 0.25)
    assert.deepEqual([preset.dropPath, preset.clip, preset.warmupEpochs], [0, 0, 0])
    assert.equal(preset.lr, 4e-5)
  }
  assert.equal(paper.batch * paper.accumulate, 1024)
  assert.equal(official.batch * official.accumulate, 2048)
  assert.deepEqual([paper.minLr, official.minLr], [2e-6, 1e-6])
  assert.deepEqual(paper.loss, { classification: 1, distillation: 5, feature: 500, cut: 20 })
  assert.deepEqual(official.loss, { classification: 1, distillation: 10, feature: 1000, cut: 20 })
  assert.deepEqual(official.cut, { kind: 'both', reduction: 'official', blocks: 'every-second' })
  assert.deepEqual(official.freeze, ['*_token', 'pos_embed'])
})

test('what is given replaces what the preset says, in inner records field by field', () => {
  const recipe = makeRecipe('paper', { epochs: 3, mix: { mixup: 0 }, loss: { cut: 0, feature: undefined } })
  assert.equal(recipe.epochs, 3)
  assert.deepEqual(recipe.mix, { mixup: 0, cutmix: 1, switchProbability: 0.5 })
  assert.deepEqual(recipe.loss, { classification: 1, distillation: 5, feature: 500, cut: 0 })
  assert.deepEqual(makeRecipe('paper'), presets.paper)
})

test('the learning rate goes with the pictures of an update, unless it is given', () => {
  assert.equal(makeRecipe('paper', { accumulate: 8 }).lr, 1e-5)
  assert.equal(makeRecipe('paper', { batch: 16, accumulate: 8, lr: 1e-4 }).lr, 1e-4)
})

test('each reduction of the cut loss visits its own blocks, unless they are given', () => {
  assert.equal(makeRecipe('paper', { cut: { reduction: 'official' } }).cut.blocks, 'every-second')
  assert.equal(makeRecipe('official', { cut: { reduction: 'paper' } }).cut.blocks, 'all')
  assert.equal(makeRecipe('paper', { cut: { reduction: 'official', blocks: 'all' } }).cut.blocks, 'all')
  assert.equal(makeRecipe('official', { cut: { kind: 'inter' } }).cut.blocks, 'every-second')
})

test('values that make no sense are refused by the name of their option', () => {
  const refused = [
    [{ epochs: 0 }, '--epochs: wanted a whole number of at least 1, found 0'],
    [{ lr: 0 }, '--lr: wanted a number above 0, found 0'],
    [{ lr: 1e-7 }, '--min-lr: wanted at most --lr (1e-7), found 0.000001'],
    [{ warmupEpochs: 5 }, '--warmup-epochs: wanted fewer than the 5 epochs, found 5'],
    [{ emaDecay: 1 }, '--ema: wanted a number from 0 to below 1, found 1'],
    [{ smoothing: 1 }, '--smoothing: wanted a number from 0 to below 1, found 1'],
    [{ augment: { scale: [0.5, 0.2] } }, '--crop-scale: wanted two shares of the area, least..most, found [0.5,0.2]'],
  ] as const
  for (const [changes, message] of refused) assert.throws(() => makeRecipe('quick', changes), new InputError(message))
})

test('an elastic run sees both ends in every four updates and stays between them', () => {
  const keep = { keepRatio: { low: 0.5, high: 1 } }
  const ratios = Array.from({ length: 400 }, (_, step) => keepRatioOfStep(keep, 1, step) as number)
  for (let i = 0; i < 400; i += 4) {
    assert.equal(ratios[i], 0.5)
    assert.equal(ratios[i + 2], 1)
  }
  const drawn = ratios.filter((_, i) => i % 2 === 1)
  assert.ok(drawn.every((ratio) => ratio >= 0.5 && ratio <= 1))
  assert.ok(Math.abs(drawn.reduce((a, b) => a + b) / drawn.length - 0.75) < 0.05)
  assert.deepEqual(keepOfStep(keep, 1, 7), { keepRatio: ratios[7] })
  assert.deepEqual(keepOfStep({ keepRatio: 0.7 }, 1, 7), { keepRatio: 0.7 })
  assert.deepEqual(keepOfStep({ keepTokens: [9, 4] }, 1, 7), { keepTokens: [9, 4] })
})

test('patterns freeze parameters by name', () => {
  const names = ['pos_embed', 'blocks.0.mlp.fc1.weight', 'blocks.0.mlp.fc1.bias', 'blocks.10.mlp.fc1.bias']
  assert.deepEqual(frozenParameters(names, []), new Set())
  assert.deepEqual(frozenParameters(names, ['blocks.0.*']), new Set(names.slice(1, 3)))
  assert.deepEqual(frozenParameters(names, ['*.bias', 'pos_embed']), new Set([names[0], names[2], names[3]]))
  assert.throws(() => frozenParameters(names, ['posXembed']), /--freeze: no parameter is called posXembed/)
  assert.throws(() => frozenParameters(names, ['pos.embed']), /--freeze: no parameter is called pos.embed/)
  assert.throws(() => frozenParameters(names, ['*']), /every parameter is frozen/)
})

test('differences between recipes are told by field', () => {
  const before = makeRecipe('quick')
  assert.deepEqual(recipeDifferences(before, JSON.parse(JSON.stringify(before))), [])
  assert.deepEqual(recipeDifferences(before, makeRecipe('quick', { lr: 1e-3, mix: { mixup: 1 } })), [
    'lr: 0.0001 became 0.001',
    'mix: {"mixup":0,"cutmix":0,"switchProbability":0.5} became {"mixup":1,"cutmix":0,"switchProbability":0.5}',
  ])
})
