import assert from 'node:assert/strict'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { commit, type FakeHub, gitOid, goodToken, sha256, startHub } from '../../test/support/hub.js'
import { narrow as tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { presets } from '../models/presets.js'
import { downloadModel, type HubProgress } from './hub.js'
import { randomVit } from './init.js'
import { huggingFaceVit } from './layouts.js'
import { loadModel } from './load.js'
import { fromTimmNames } from './names.js'
import { writeSafetensors } from './safetensors.js'
import type { StateDict } from './state.js'

const state = randomVit(tiny, 1)
const write = (weights: StateDict) =>
  new Uint8Array(Buffer.concat(writeSafetensors(fromTimmNames(weights, huggingFaceVit))))
const weights = write(state)
const config = Buffer.from(JSON.stringify({ num_attention_heads: 3, id2label: { 0: 'cat', 1: 'dog' } }))
const shardIndex = Buffer.from(JSON.stringify({ weight_map: { head: 'model-1.safetensors' } }))
const preprocessor = Buffer.from(
  JSON.stringify({
    image_processor_type: 'ViTImageProcessor',
    size: 18,
    do_center_crop: true,
    crop_size: 16,
    resample: 2,
  }),
)
const model = {
  'config.json': config,
  'preprocessor_config.json': preprocessor,
  'model.safetensors': weights,
  'README.md': Buffer.from('x'),
}

/** A branch with other weights than `main` has. */
const olderState = randomVit(tiny, 2)
const older = {
  commit: 'fedcba9876543210fedcba9876543210fedcba98',
  files: { 'config.json': config, 'model.safetensors': write(olderState) },
}

const deitTiny = presets['deit-tiny']?.config ?? assert.fail('no deit-tiny')
const deitState = randomVit(deitTiny, 1)
const repositories = {
  'facebook/deit-tiny-patch16-224': {
    'config.json': Buffer.from(JSON.stringify({ model_type: 'vit', num_attention_heads: 3, layer_norm_eps: 1e-12 })),
    'preprocessor_config.json': Buffer.from(
      JSON.stringify({ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], size: 224 }),
    ),
    'model.safetensors': write(deitState),
  },
  'facebook/tiny': model,
  'timm/tiny.fb_in1k': { 'model.safetensors': weights },
  'gated/tiny': model,
  'closed/tiny': model,
  'owner/empty': { 'README.md': Buffer.from('x') },
  'owner/bin': { 'pytorch_model.bin': weights },
  'owner/sharded': { 'model.safetensors.index.json': shardIndex, 'model-1.safetensors': weights },
}
const hub: FakeHub = await startHub(repositories, {
  'facebook/tiny': { v1: older, 'refs/pr/1': older },
  'facebook/deit-tiny-patch16-224': { v1: older },
})

const folder = temporaryFolder()
let home = ''
let homes = 0
const variables = ['HF_ENDPOINT', 'HF_HOME', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_TOKEN', 'HF_HUB_OFFLINE']
const before = Object.fromEntries(variables.map((name) => [name, process.env[name]]))

beforeEach(() => {
  for (const name of variables) delete process.env[name]
  home = join(folder.path, `home-${homes++}`)
  process.env.HF_HOME = home
  process.env.HF_ENDPOINT = `${hub.url}/`
  hub.requests.length = hub.breaks.length = hub.statuses.length = 0
  hub.damaged = false
})
afterEach(() => {
  for (const [name, value] of Object.entries(before))
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
})

const download = (id: string, onProgress: (progress: HubProgress) => void = () => {}) =>
  downloadModel(id, { onProgress, retryDelay: 1 })

const storage = (id = 'facebook/tiny') => join(home, 'hub', `models--${id.replace('/', '--')}`)

async function refused(work: Promise<unknown>, reason: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof InputError, String(error))
    assert.ok(!error.message.includes('\n'))
    assert.match(error.message, reason)
    return true
  })
}

test('a model comes from the hub into the usual cache, and the second time from there', async () => {
  const { origins, ...loaded } = await loadModel('facebook/tiny')
  const snapshot = join(storage(), 'snapshots', commit)
  assert.deepEqual(loaded, {
    name: 'facebook/tiny',
    source: 'facebook/tiny',
    config: tiny,
    state,
    labels: ['cat', 'dog'],
    preprocess: {
      resize: 18,
      crop: 16,
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
      mode: 'squash',
      interpolation: 'bilinear',
    },
    warnings: [],
  })
  assert.equal(origins?.preprocess.source, join(snapshot, 'preprocessor_config.json'))
  assert.equal(readFileSync(join(storage(), 'refs', 'main'), 'utf8'), commit)
  assert.equal(readlinkSync(join(snapshot, 'model.safetensors')), `../../blobs/${sha256(weights)}`)
  assert.equal(readlinkSync(join(snapshot, 'config.json')), `../../blobs/${gitOid(config)}`)
  assert.ok(!lstatSync(join(storage(), 'blobs', sha256(weights))).isSymbolicLink())
  assert.ok(!existsSync(join(snapshot, 'README.md')))

  hub.requests.length = 0
  await loadModel('facebook/tiny')
  assert.deepEqual(hub.requests, ['GET /api/models/facebook/tiny/revision/main'])
})

test("DeiT's preset, its cached snapshot and a copy of its folder have its own recipe, not what its file says", async () => {
  const recipe = { resize: 256, crop: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
  const { preprocess, origins, config } = await loadModel('deit-tiny')
  assert.deepEqual(preprocess, recipe)
  assert.match(origins?.preprocess.source ?? '', /^DeiT's own recipe; the preprocessor_config\.json of facebook\/deit/)
  assert.equal(config.layerNormEps, 1e-6)
  const snapshot = join(storage('facebook/deit-tiny-patch16-224'), 'snapshots', commit)
  assert.deepEqual((await loadModel(snapshot)).preprocess, recipe)
  const copy = join(folder.path, 'deit-tiny-patch16-224')
  cpSync(snapshot, copy, { recursive: true, dereference: true })
  assert.deepEqual((await loadModel(copy)).preprocess, recipe)
  // Under a name of its own it is somebody's model, whose file is believed.
  renameSync(copy, join(folder.path, 'my-vit'))
  const mine = await loadModel(join(folder.path, 'my-vit'))
  assert.deepEqual(mine.preprocess?.mean, [0.5, 0.5, 0.5])
  assert.equal(mine.origins?.preprocess.source, join(folder.path, 'my-vit', 'preprocessor_config.json'))
})

test('HF_HUB_CACHE names the cache, timm models need no config.json', async () => {
  process.env.HF_HUB_CACHE = join(home, 'elsewhere')
  const path = await download('timm/tiny.fb_in1k')
  assert.equal(path, join(home, 'elsewhere', 'models--timm--tiny.fb_in1k', 'snapshots', commit))
  assert.deepEqual(new Uint8Array(readFileSync(join(path, 'model.safetensors'))), weights)
})

test('shards are fetched with their index, and torch weights where there is nothing better', async () => {
  const sharded = await download('owner/sharded')
  assert.ok(existsSync(join(sharded, 'model-1.safetensors')))
  assert.ok(existsSync(join(await download('owner/bin'), 'pytorch_model.bin')))
})

test('a transfer that breaks goes on where it stopped', async () => {
  hub.breaks.push(2000, 1500)
  const progress: HubProgress[] = []
  const path = await download('timm/tiny.fb_in1k', (step) => progress.push(step))
  assert.deepEqual(new Uint8Array(readFileSync(join(path, 'model.safetensors'))), weights)
  const content = hub.requests.filter((request) => request.includes('/content/'))
  const url = `GET /timm/tiny.fb_in1k/content/${commit}/model.safetensors`
  const end = weights.byteLength - 1
  assert.deepEqual(content, [url, `${url} bytes=2000-${end}`, `${url} bytes=3500-${end}`])
  for (const [i, { bytes }] of progress.entries()) assert.ok(bytes > (progress[i - 1]?.bytes ?? 0))
  assert.deepEqual(progress.at(-1), { file: 'model.safetensors', bytes: end + 1, total: end + 1 })
})

test('an interrupted download is taken up by the next run', async () => {
  mkdirSync(join(storage(), 'blobs'), { recursive: true })
  writeFileSync(join(storage(), 'blobs', `${sha256(weights)}.incomplete`), weights.subarray(0, 3000))
  const path = await download('facebook/tiny')
  assert.deepEqual(new Uint8Array(readFileSync(join(path, 'model.safetensors'))), weights)
  assert.ok(hub.requests.some((request) => request.endsWith(`bytes=3000-${weights.byteLength - 1}`)))
})

test('a hub in trouble is asked again, but not for ever', async () => {
  hub.statuses.push(500, 503)
  await download('timm/tiny.fb_in1k')
  hub.statuses.push(503, 503, 503, 503, 503)
  await refused(download('owner/bin'), /answers with status 503 for owner\/bin: try again later$/)
})

test('damaged content is thrown away', async () => {
  hub.damaged = true
  await refused(download('timm/tiny.fb_in1k'), /model\.safetensors of timm\/tiny\.fb_in1k arrived damaged/)
  hub.damaged = false
  await download('timm/tiny.fb_in1k')
})

test('refusals are told apart, each in one line', async () => {
  await refused(
    download('owner/nothing'),
    /no model named owner\/nothing on http.*, or it needs a token: set HF_TOKEN \(401\)$/,
  )
  await refused(download('gated/tiny'), /no model named gated\/tiny on .*set HF_TOKEN \(401\)$/)
  await refused(download('closed/tiny'), /access to closed\/tiny is restricted: ask for it at .*closed\/tiny/)
  await refused(download('owner/empty'), /owner\/empty on .* holds no model\.safetensors, /)
  process.env.HF_TOKEN = 'hf_wrong'
  await refused(download('facebook/tiny'), /refuses the token in HF_TOKEN for facebook\/tiny/)
  process.env.HF_TOKEN = 'wrong'
  await refused(download('facebook/tiny'), /HF_TOKEN is not a token of the hub: it should start with hf_$/)
  process.env.HF_TOKEN = goodToken
  await refused(download('owner/nothing'), /^no model named owner\/nothing on http/)
  await download('gated/tiny')
  process.env.HF_ENDPOINT = 'nonsense'
  await refused(download('facebook/tiny'), /HF_ENDPOINT should be an http or https address, found nonsense/)
})

test('without a network the cache serves, or one line says why not', async () => {
  await download('facebook/tiny')
  process.env.HF_ENDPOINT = 'http://127.0.0.1:1' // nobody listens there
  assert.deepEqual((await loadModel('facebook/tiny')).state, state)
  await refused(
    download('timm/tiny.fb_in1k'),
    /cannot load timm\/tiny\.fb_in1k from http:\/\/127\.0\.0\.1:1: the network fails/,
  )

  process.env.HF_HUB_OFFLINE = '1'
  process.env.HF_ENDPOINT = hub.url
  hub.requests.length = 0
  assert.deepEqual((await loadModel('facebook/tiny')).state, state)
  await refused(download('timm/tiny.fb_in1k'), /timm\/tiny\.fb_in1k is not in the cache .* and HF_HUB_OFFLINE is set$/)
  assert.deepEqual(hub.requests, [])
  rmSync(join(storage(), 'blobs', sha256(weights))) // a dangling link is no cached file
  await refused(download('facebook/tiny'), /is not in the cache/)
})

test('a branch, a tag or a commit is a model of its own, in a snapshot of its own', async () => {
  await download('facebook/tiny')
  for (const revision of ['v1', 'refs/pr/1', older.commit]) {
    const loaded = await loadModel(`facebook/tiny@${revision}`)
    assert.deepEqual(loaded.state, olderState)
    assert.deepEqual([loaded.name, loaded.source], [`facebook/tiny@${revision}`, `facebook/tiny@${revision}`])
    assert.ok(existsSync(join(storage(), 'snapshots', older.commit, 'model.safetensors')))
  }
  assert.equal(readFileSync(join(storage(), 'refs', 'v1'), 'utf8'), older.commit)
  assert.equal(readFileSync(join(storage(), 'refs', 'refs', 'pr', '1'), 'utf8'), older.commit)
  assert.ok(!existsSync(join(storage(), 'refs', older.commit)), 'a commit needs no reference')
  assert.equal(readFileSync(join(storage(), 'refs', 'main'), 'utf8'), commit)
  for (const main of ['facebook/tiny', 'facebook/tiny@main', `facebook/tiny@${commit}`])
    assert.deepEqual((await loadModel(main)).state, state)
})

test('a preset at a revision', async () => {
  assert.deepEqual((await loadModel('deit-tiny')).state.get('cls_token'), deitState.get('cls_token'))
  const loaded = await loadModel('deit-tiny@v1')
  assert.deepEqual(loaded.state, olderState)
  assert.deepEqual([loaded.name, loaded.source], ['deit-tiny@v1', 'facebook/deit-tiny-patch16-224@v1'])
})

test('a revision that there is not is told from a model that there is not', async () => {
  await refused(
    download('facebook/tiny@v2'),
    /^facebook\/tiny on http:\/\/127\.0\.0\.1:\d+ has no branch, tag or commit v2$/,
  )
  await refused(
    download('facebook/tiny@0123456'),
    /has no branch, tag or commit 0123456 \(a commit is named by all of its 40 digits\)$/,
  )
  process.env.HF_TOKEN = goodToken
  await refused(download('owner/nothing@v1'), /^no model named owner\/nothing on http/)
  await refused(loadModel('deit-tiny@v2'), /^facebook\/deit-tiny-patch16-224 on .* has no branch, tag or commit v2$/)
  hub.requests.length = 0
  for (const revision of ['', '../main', 'a/../../b', 'a//b', '/etc', 'a b', 'a/', 'x.lock', '-x'])
    await refused(
      loadModel(`facebook/tiny@${revision}`),
      /^facebook\/tiny@.*: wanted a branch, a tag or a commit behind the @, found "/,
    )
  assert.deepEqual(hub.requests, [])
})

test('without a network the cache serves the revisions that it holds', async () => {
  await download('facebook/tiny')
  await download('facebook/tiny@v1')
  await download('owner/sharded')
  process.env.HF_HUB_OFFLINE = '1'
  hub.requests.length = 0
  for (const revision of ['v1', older.commit])
    assert.deepEqual((await loadModel(`facebook/tiny@${revision}`)).state, olderState)
  await refused(download('facebook/tiny@v2'), /^facebook\/tiny@v2 is not in the cache .* and HF_HUB_OFFLINE is set$/)
  rmSync(join(storage('owner/sharded'), 'snapshots', commit, 'model-1.safetensors'))
  await refused(download(`owner/sharded@${commit}`), /is not in the cache/)
  delete process.env.HF_HUB_OFFLINE
  process.env.HF_ENDPOINT = 'http://127.0.0.1:1'
  assert.deepEqual((await loadModel('facebook/tiny@v1')).state, olderState)
  assert.deepEqual(hub.requests, [])
})
