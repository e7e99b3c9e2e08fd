import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { narrow as tiny } from '../../test/support/models.js'
import { sceneClasses } from '../data/scenes/scene.js'
import { InputError } from '../errors.js'
import { imagenetPreprocess, preprocessOf } from '../images/preprocess.js'
import { type VitConfig, vitParameters } from '../models/config.js'
import { presets } from '../models/presets.js'
import { modelConfigJson, readModelConfig } from './config-file.js'
import { saveSafetensors } from './files.js'
import { randomVit } from './init.js'
import { huggingFaceDeit } from './layouts.js'
import { type LoadOptions, loadModel } from './load.js'
import { fromTimmNames } from './names.js'
import { elements, float32, type StateDict } from './state.js'

const golden = (name: string): string => join(import.meta.dirname, '../../test/golden', name)
const shared = process.env.IDLEVIT_SHARED ?? join(import.meta.dirname, '../../../shared')
const realWeights = join(shared, 'data/weights/deit_tiny_patch16_224.safetensors')
const temporary = temporaryFolder()

let folders = 0
/** A model folder with the given weights and config.json. */
async function folderWith(state: StateDict, config?: unknown): Promise<string> {
  const path = join(temporary.path, `model-${folders++}`)
  mkdirSync(path)
  await saveSafetensors(join(path, 'model.safetensors'), state)
  if (config !== undefined)
    temporary.write(
      `${path.slice(temporary.path.length)}/config.json`,
      typeof config === 'string' ? config : JSON.stringify(config),
    )
  return path
}

async function refused(spec: string, reason: RegExp, options: LoadOptions = {}): Promise<void> {
  await assert.rejects(loadModel(spec, options), (error) => {
    assert.ok(error instanceof InputError, String(error))
    assert.ok(!error.message.includes('\n'))
    assert.match(error.message, reason)
    return true
  })
}

test('a preset with random weights is complete and named by its seed', async () => {
  const model = await loadModel('deit-tiny', { init: 'random:3', imageSize: 32 })
  assert.equal(model.name, 'deit-tiny')
  assert.equal(model.source, 'random:3')
  assert.deepEqual(model.config, { ...presets['deit-tiny']?.config, imageSize: 32 })
  assert.deepEqual([...model.state.keys()], [...vitParameters(model.config).keys()])
})

test('a preset whose weights are on no hub tells where they are, also under its other spelling', async () => {
  await refused(
    'lvvit-s',
    /lvvit-s: its pretrained weights are on no hub: download https:.*lvvit_s-26M.*--init random:0/,
  )
  await refused('lvvit_m@main', /lvvit_m: its pretrained weights are on no hub/)
  const model = await loadModel('lvvit_t', { init: 'random:1', imageSize: 32 })
  assert.deepEqual(model.config, { ...presets['lvvit-t']?.config, imageSize: 32 })
  assert.equal(model.preprocess?.resize, 35) // ⌊32 / 0.9⌋
  const spread = (name: string) => {
    const data = model.state.get(name)?.data as Float32Array
    return Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length)
  }
  // He's deviation, √(2 / fan-in), before a ReLU.
  assert.ok(Math.abs(spread('patch_embed.conv2.weight') / Math.sqrt(2 / 576) - 1) < 0.02)
})

test('a folder written from a model gives the same model back', async () => {
  const config: VitConfig = { ...tiny, distilled: true, layerNormEps: 1e-5 }
  const state = randomVit(config, 1)
  const idle = { keepRatios: [1, 0.7], score: 'logits' } as const
  const preprocess = { resize: 20, crop: 16, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.1] } as const
  const path = await folderWith(state, modelConfigJson({ config, labels: ['cat', 'dog'], idle, preprocess }))
  const { origins, ...loaded } = await loadModel(path)
  assert.deepEqual(loaded, {
    name: path.split('/').at(-1),
    source: path,
    config,
    state,
    labels: ['cat', 'dog'],
    idle,
    preprocess,
    warnings: [],
  })
  const file = join(path, 'config.json')
  assert.deepEqual(origins, {
    heads: { source: `${file} (num_attention_heads)`, guessed: false },
    layerNormEps: { source: `${file} (idlevit.layerNormEps)`, guessed: false },
    preprocess: { source: `${file} (idlevit.preprocess)`, guessed: false },
  })
  const larger = await loadModel(path, { imageSize: 32 })
  assert.deepEqual(larger.preprocess, { ...preprocess, resize: 40, crop: 32 })
})

test('the embedded models know sixteen classes and take scenes as they are', async () => {
  for (const name of ['demo', 'demo-dense']) {
    const model = await loadModel(name)
    assert.equal(model.name, name)
    assert.deepEqual(model.labels, sceneClasses)
    assert.deepEqual([model.config.imageSize, model.config.classes], [96, 16])
    assert.deepEqual(preprocessOf(model), { ...imagenetPreprocess(96), resize: 96 })
  }
})

test('a Hugging Face folder gives timm names, its heads and labels, and not its epsilon', async () => {
  const config = { ...tiny, distilled: true }
  const state = randomVit(config, 1)
  const hub = { num_attention_heads: 3, layer_norm_eps: 1e-12, hidden_act: 'gelu', id2label: { 0: 'cat', 1: 'dog' } }
  const model = await loadModel(await folderWith(fromTimmNames(state, huggingFaceDeit), hub))
  assert.deepEqual(model.config, config)
  assert.deepEqual(model.state, state)
  assert.deepEqual(model.labels, ['cat', 'dog'])
  assert.equal(model.idle, undefined)
})

test('placeholder labels, and labels for another number of classes, are no labels', async () => {
  const state = randomVit(tiny, 1)
  for (const id2label of [{ 0: 'LABEL_0', 1: 'LABEL_1' }, { 0: 'cat' }, { 1: 'cat', 2: 'dog' }, { 0: 'cat', 1: 7 }]) {
    const path = await folderWith(state, { num_attention_heads: 3, id2label })
    assert.equal((await loadModel(path)).labels, undefined)
  }
})

test('shards behind an index are put together', async () => {
  const state = randomVit({ ...tiny, width: 64, heads: 1 }, 1)
  const path = join(temporary.path, 'sharded')
  mkdirSync(path)
  const names = [...state.keys()]
  const part = (odd: number) => new Map([...state].filter(([name]) => names.indexOf(name) % 2 === odd))
  const file = (odd: number) => `model-0000${odd + 1}-of-00002.safetensors`
  for (const odd of [0, 1]) await saveSafetensors(join(path, file(odd)), part(odd))
  const index = { weight_map: Object.fromEntries(names.map((name, i) => [name, file(i % 2)])) }
  temporary.write('sharded/model.safetensors.index.json', JSON.stringify(index))
  assert.deepEqual((await loadModel(path)).state, state)

  index.weight_map['extra.weight'] = file(0)
  temporary.write('sharded/model.safetensors.index.json', JSON.stringify(index))
  await refused(path, /model-00001-of-00002\.safetensors lacks extra\.weight/)
  index.weight_map['extra.weight'] = '../../etc/passwd'
  temporary.write('sharded/model.safetensors.index.json', JSON.stringify(index))
  await refused(path, /said to be in "\.\.\/\.\.\/etc\/passwd", which is no file name/)
  index.weight_map['extra.weight'] = 'gone.safetensors'
  temporary.write('sharded/model.safetensors.index.json', JSON.stringify(index))
  await refused(path, /gone\.safetensors: no such file/)
})

test('a checkpoint of training loads like the weights in it', async () => {
  const config = { num_attention_heads: 3 }
  const path = await folderWith(new Map(), config)
  // The reference checkpoint is 36 wide with three heads: under the usual name its config.json tells the heads.
  rmSync(join(path, 'model.safetensors'))
  copyFileSync(golden('idlevit-deit.pth'), join(path, 'pytorch_model.bin'))
  const model = await loadModel(path)
  assert.deepEqual(model.config, {
    imageSize: 64,
    patchSize: 8,
    width: 36,
    depth: 12,
    heads: 3,
    hidden: 72,
    classes: 10,
    distilled: false,
    layerNormEps: 1e-6,
  })
})

test('the real DeiT-Tiny has its published size', {
  skip: !existsSync(realWeights) && `${realWeights} is not here`,
}, async () => {
  const model = await loadModel(realWeights)
  assert.deepEqual(model.config, presets['deit-tiny']?.config)
  const count = [...model.state.values()].reduce((sum, { shape }) => sum + elements(shape), 0)
  assert.equal(count, 5_717_416)
})

test('the picture size changes the position embedding', async () => {
  const path = await folderWith(randomVit(tiny, 1), { num_attention_heads: 3 })
  const { config, state } = await loadModel(path, { imageSize: 32 })
  assert.equal(config.imageSize, 32)
  assert.deepEqual(state.get('pos_embed')?.shape, [1, 65, 6])
  await refused(path, /an image size of 30 is no multiple of the patch size 4/, { imageSize: 30 })
  await refused('deit-tiny', /an image size of 30 is no multiple of the patch size 16/, {
    imageSize: 30,
    init: 'random:0',
  })
})

test('weights that do not fit are refused with the file and the lists', async () => {
  const state = randomVit(tiny, 1)
  state.delete('norm.bias')
  state.set('score_predictor.weight', float32(Float32Array.of(1), [1]))
  const path = await folderWith(state, { num_attention_heads: 3 })
  await refused(
    path,
    /model\.safetensors: the weights do not fit: 1 missing: norm\.bias; 1 unexpected: score_predictor\.weight$/,
  )
  const nan = new Map(randomVit(tiny, 1)).set('norm.bias', float32(new Float32Array(6).fill(Number.NaN), [6]))
  await refused(await folderWith(nan, { num_attention_heads: 3 }), /1 with NaN or infinite values: norm\.bias$/)
  await refused(await folderWith(randomVit(tiny, 1)), /heads cannot be told from a width of 6/)
  await refused(
    await folderWith(randomVit(tiny, 1), { num_attention_heads: 4 }),
    /a width of 6 cannot be split into 4 heads/,
  )
  const swin = new Map([['layers.0.blocks.0.norm1.weight', float32(Float32Array.of(1), [1])]])
  await refused(
    await folderWith(swin),
    /not a ViT or DeiT: there is no patch_embed\.proj\.weight \(it holds layers\.0\.blocks\.0\.norm1\.weight\)/,
  )
})

test('names that lead nowhere are refused with what was wanted', async () => {
  const known = Object.keys(presets).join(', ')
  await refused('deit-tinny', new RegExp(`unknown model deit-tinny: .* nor one of demo, demo-dense, ${known}$`))
  await refused('toString', /unknown model toString/)
  await refused('', /unknown model/)
  await refused('somewhere/model.pth', /^somewhere\/model\.pth: no such file$/)
  await refused('./deit', /^\.\/deit: no such file$/)
  await refused(`${golden('evil.pth')}/x`, /no such file$/)
  const empty = join(temporary.path, 'empty')
  mkdirSync(empty)
  await refused(empty, /empty: the folder holds no weights: no model\.safetensors, /)
  await refused(golden('evil.pth'), /evil\.pth: refused: it asks for posix\.system/)
  await refused('deit-tiny', /init should be random:SEED, found zeros/, { init: 'zeros' })
  await refused('owner/name', /random weights need one of deit-tiny, /, { init: 'random:0' })
  await refused('deit-tiny', /a seed must be an integer/, { init: `random:${'9'.repeat(30)}` })
})

test('a config.json that is wrong is refused by the field', () => {
  const own = { resize: 96, crop: 96, mean: [0, 0, 0], std: [1, 1, 1] }
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [[1], /c\.json: not a JSON object$/],
    [{ num_attention_heads: 2.5 }, /num_attention_heads should be a positive integer, found 2\.5/],
    [{ hidden_act: 'swish' }, /hidden_act should be "gelu" or .*, found "swish"/],
    [{ idlevit: 3 }, /idlevit should be an object/],
    [{ idlevit: { layerNormEps: -1 } }, /idlevit\.layerNormEps should be a small positive number, found -1/],
    [{ idlevit: { keepRatios: [1, 1.5] } }, /idlevit\.keepRatios should be numbers above 0 and up to 1/],
    [{ idlevit: { keepTokens: [1.5] } }, /idlevit\.keepTokens should be positive integers/],
    [{ idlevit: { score: 'best' } }, /idlevit\.score should be softmax or logits, found "best"/],
    [
      { idlevit: { preprocess: { ...own, crop: 112 } } },
      /idlevit\.preprocess\.resize: wanted at least 112, .* found 96/,
    ],
    [{ idlevit: { preprocess: { ...own, mean: [0, 0] } } }, /idlevit\.preprocess should have mean and std of three/],
    [{ idlevit: { preprocess: { ...own, std: [1, 0, 1] } } }, /idlevit\.preprocess\.std: wanted deviations/],
    [
      { idlevit: { preprocess: { ...own, interpolation: 'cubic' } } },
      /interpolation: wanted one of box, .* found cubic/,
    ],
    [{ idlevit: { preprocess: { ...own, mode: 'border' } } }, /mode: wanted center or squash, found border/],
  ]
  for (const [json, reason] of cases) assert.throws(() => readModelConfig(json, 'c.json'), reason)
  assert.deepEqual(readModelConfig({}, 'c.json'), { source: 'c.json', sizes: [], warnings: [], hints: {} })
})

test('a config.json that is no JSON is named', async () => {
  await refused(await folderWith(randomVit(tiny, 1), '{'), /config\.json: not valid JSON$/)
})

test('config.json is read beside weights of any name, when they are the only ones there', async () => {
  const state = randomVit(tiny, 1)
  const path = await folderWith(state, { num_attention_heads: 2, hidden_size: tiny.width })
  const renamed = join(path, 'finetuned.safetensors')
  renameSync(join(path, 'model.safetensors'), renamed)
  assert.equal((await loadModel(renamed)).config.heads, 2)
  // By hand is by hand, and what it contradicts is told.
  const byHand = await loadModel(renamed, { heads: 3 })
  assert.equal(byHand.config.heads, 3)
  assert.match(byHand.warnings?.join() ?? '', /^3 attention heads as given, though .*config\.json says 2/)

  writeFileSync(join(path, 'config.json'), JSON.stringify({ num_attention_heads: 2, hidden_size: 384 }))
  const foreign = await loadModel(renamed, { heads: 3 })
  assert.match(
    foreign.warnings?.join() ?? '',
    /config\.json is left out, .*hidden_size is 384 there and 6 in the weights$/,
  )

  writeFileSync(join(path, 'other.pth'), '')
  const among = await loadModel(renamed, { heads: 3 })
  assert.match(among.warnings?.join() ?? '', /config\.json may be of other\.pth, .*: not read$/)
  await refused(renamed, /heads cannot be told from a width of 6/)
})

test('a config.json of other weights is refused beside weights of the usual name', async () => {
  const path = await folderWith(randomVit(tiny, 1), { num_attention_heads: 3, num_hidden_layers: 12, image_size: 16 })
  await refused(path, /config\.json is not of these weights: num_hidden_layers is 12 there and 2 in the weights$/)
})

test('the picture side is the crop, whoever says it', async () => {
  const path = await folderWith(randomVit(tiny, 1), { num_attention_heads: 3 })
  const { config, preprocess } = await loadModel(path, { preprocess: { crop: 32 } })
  assert.deepEqual([config.imageSize, preprocess?.crop, preprocess?.resize], [32, 32, 37])
  await refused(path, /crop: wanted the picture side 16, found 32/, { imageSize: 16, preprocess: { crop: 32 } })
  await refused(path, /resize: wanted at least 16, the side of the crop, found 12/, { preprocess: { resize: 12 } })
})
