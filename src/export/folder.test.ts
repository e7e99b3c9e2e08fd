import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { env, pipeline } from '@huggingface/transformers'
import sharp from 'sharp'
import { temporaryFolder } from '../../test/support/folder.js'
import { maxAbsDiff, randomWeights, tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { imagenetPreprocess, preprocessImage } from '../images/preprocess.js'
import type { VitConfig } from '../models/config.js'
import { createSession, openNodeClassifier } from '../runtime/node.js'
import { type LoadedModel, loadModel } from '../weights/load.js'
import type { StateDict } from '../weights/state.js'
import { type ExportOptions, exportModel } from './folder.js'

env.allowRemoteModels = false

const folder = temporaryFolder()
const labels = ['ape', 'bee', 'cat', 'dog', 'elk']
const state = new Map(
  [...randomWeights(tiny, 5)].map(([name, value]) => [name, { dtype: 'F32', ...value }]),
) as StateDict
const model: LoadedModel = { name: 'tiny', source: 'random:5', config: tiny, state, labels }
/** No resizing, so that nothing depends on how it is done. */
const preprocess = { ...imagenetPreprocess(32), resize: 32 }
const rgb = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 37 + ((i * i) >> 5)) % 256)
const pixels = preprocessImage({ width: 32, height: 32, data: rgb }, preprocess)
const picture = join(folder.path, 'picture.png')
await sharp(rgb, { raw: { width: 32, height: 32, channels: 3 } })
  .png()
  .toFile(picture)

let count = 0
async function exported(options: ExportOptions = {}): Promise<string> {
  const out = join(folder.path, `out${count++}`)
  await exportModel(model, out, { preprocess, ...options })
  return out
}

async function ours(options: object) {
  const classifier = await openNodeClassifier(model, options)
  const [predictions = []] = await classifier.predict(pixels)
  await classifier.close()
  return predictions
}

const refuse = (work: Promise<unknown>, reason: RegExp) =>
  assert.rejects(work, (error) => error instanceof InputError && reason.test(error.message))

/** Names and bytes of all files below a path. */
async function content(path: string): Promise<readonly (readonly [string, Buffer | undefined])[]> {
  if (!(await stat(path)).isDirectory()) return [['', await readFile(path)]]
  const names = (await readdir(path, { recursive: true, encoding: 'utf8' })).sort()
  return Promise.all(
    names.map(async (name) => [name, await readFile(join(path, name)).catch(() => undefined)] as const),
  )
}

interface Ranked {
  readonly label: string
  readonly score: number
}

function assertSame(theirs: readonly Ranked[], own: readonly Ranked[], tolerance: number): void {
  assert.deepEqual(
    theirs.map(({ label }) => label),
    own.map(({ label }) => label),
  )
  for (const [i, { score }] of theirs.entries())
    assert.ok(Math.abs(score - (own[i]?.score ?? 0)) < tolerance, `${score} ${own[i]?.score}`)
}

describe('transformers.js', () => {
  for (const [precision, dtype] of [
    ['fp32', 'fp32'],
    ['int8', 'q8'],
    ['fp16', 'fp16'],
  ] as const)
    for (const portable of [false, true])
      it(`gives our top 5 from an exported folder: ${precision}${portable ? ', standard operators' : ''}`, async () => {
        const out = await exported({ precisions: ['fp32', precision], keepRatio: 0.7, portable })
        const classify = await pipeline('image-classification', out, { dtype })
        const theirs = (await classify(picture, { top_k: 5 })) as Ranked[]
        await classify.dispose()
        // Integers round differently when the runtime fuses operators differently.
        assertSame(theirs, await ours({ keepRatio: 0.7, precision }), precision === 'fp32' ? 1e-5 : 1e-2)
      })

  it('gives our top 5 of an LV-ViT, which it knows as a ViT', async () => {
    const config: VitConfig = { ...tiny, stem: 4, qkvBias: 'none', branchScale: 0.5, auxHead: true }
    const own = new Map([...randomWeights(config, 5)].map(([name, value]) => [name, { dtype: 'F32', ...value }]))
    const lvvit: LoadedModel = { ...model, config, state: own as StateDict }
    const out = join(folder.path, 'lvvit')
    await exportModel(lvvit, out, { preprocess, precisions: ['fp32', 'int8'], keepRatio: 0.7, features: true })
    for (const [dtype, precision] of [
      ['fp32', 'fp32'],
      ['q8', 'int8'],
    ] as const) {
      const classify = await pipeline('image-classification', out, { dtype })
      const theirs = (await classify(picture, { top_k: 5 })) as Ranked[]
      await classify.dispose()
      const classifier = await openNodeClassifier(await loadModel(out), { keepRatio: 0.7, precision })
      const [predictions = []] = await classifier.predict(pixels)
      await classifier.close()
      assertSame(theirs, predictions, precision === 'fp32' ? 1e-5 : 1e-2)
    }
  })

  it('finds the int8 file where it is the only one', async () => {
    const out = await exported({ precisions: ['int8'], method: 'none' })
    const classify = await pipeline('image-classification', out)
    assertSame((await classify(picture, { top_k: 5 })) as Ranked[], await ours({ precision: 'int8' }), 1e-4)
    await classify.dispose()
  })
})

describe('an exported folder', () => {
  it('holds these files, their sizes and the cost of a picture', async () => {
    const out = join(folder.path, 'sizes')
    const report = await exportModel(model, out, { precisions: ['fp32', 'int8'], keepRatio: 0.5 })
    assert.deepEqual(
      report.files.map(({ path }) => path),
      ['config.json', 'model.safetensors', 'onnx/model.onnx', 'onnx/model_quantized.onnx', 'preprocessor_config.json'],
    )
    for (const { path, bytes } of report.files) assert.equal((await readFile(join(out, path))).length, bytes)
    assert.ok(report.gmacs > 0)
    assert.deepEqual(
      (await readdir(folder.path)).filter((name) => name.startsWith('.')),
      [],
    )
  })

  it('preprocesses as the weights were trained, not as facebook/deit-* says', async () => {
    const out = join(folder.path, 'preprocessing')
    await exportModel({ ...model, config: { ...tiny, imageSize: 224, patchSize: 56 }, state: large() }, out, {
      weights: false,
    })
    const json = JSON.parse(await readFile(join(out, 'preprocessor_config.json'), 'utf8'))
    assert.deepEqual(json.size, { shortest_edge: 256 })
    assert.deepEqual(json.crop_size, { height: 224, width: 224 })
    assert.deepEqual(
      [json.image_mean, json.image_std],
      [
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
      ],
    )
    assert.equal(json.resample, 3)
  })

  it('is a model that idlevit loads, idled as it was exported', async () => {
    const loaded = await loadModel(await exported({ keepTokens: [16, 12, 9, 4], score: 'logits' }))
    assert.deepEqual(loaded.config, tiny)
    assert.deepEqual(loaded.labels, labels)
    assert.deepEqual(loaded.idle, { method: 'idle', keepTokens: [16, 12, 9, 4], score: 'logits' })
    assert.deepEqual(loaded.state.get('head.weight')?.data, state.get('head.weight')?.data)
  })

  it('uses standard operators only when it is to be portable', async () => {
    for (const precision of ['fp32', 'fp16', 'int8'] as const) {
      const out = await exported({
        precisions: [precision],
        portable: true,
        keepRatio: 0.7,
        features: true,
        weights: false,
      })
      const file = { fp32: 'model', fp16: 'model_fp16', int8: 'model_quantized' }[precision]
      const bytes = await readFile(join(out, 'onnx', `${file}.onnx`))
      assert.ok(!bytes.includes('com.microsoft'), precision)
    }
    const own = await readFile(join(await exported({ weights: false }), 'onnx', 'model.onnx'))
    assert.ok(own.includes('com.microsoft'))
  })

  it('gives features in raster order when asked', async () => {
    const out = await exported({ features: true, keepRatio: 0.5, weights: false })
    const session = await createSession(new Uint8Array(await readFile(join(out, 'onnx', 'model.onnx'))))
    assert.deepEqual([...session.inputs, ...session.outputs], ['pixel_values', 'logits', 'features'])
    const { features } = await session.run({ pixel_values: { data: pixels, shape: [1, 3, 32, 32] } })
    const classifier = await openNodeClassifier(model, { keepRatio: 0.5, features: true })
    const own = await classifier.forward(pixels)
    assert.deepEqual(features?.shape, [1, 17, tiny.width])
    assert.ok(maxAbsDiff(features?.data as Float32Array, own.features as Float32Array) < 1e-5)
    await session.close()
    await classifier.close()
  })

  it('takes another precision in, and keeps the first and the weights', async () => {
    const out = await exported({ keepRatio: 0.7 })
    const first = await readFile(join(out, 'onnx', 'model.onnx'))
    const weights = await stat(join(out, 'model.safetensors'))
    const { files } = await exportModel(model, out, {
      precisions: ['int8'],
      keepRatio: 0.7,
      preprocess,
      weights: false,
    })
    assert.deepEqual(
      files.map(({ path }) => path),
      ['config.json', 'model.safetensors', 'onnx/model.onnx', 'onnx/model_quantized.onnx', 'preprocessor_config.json'],
    )
    assert.ok((await readFile(join(out, 'onnx', 'model.onnx'))).equals(first))
    assert.equal((await stat(join(out, 'model.safetensors'))).ino, weights.ino)
    for (const [dtype, precision] of [
      ['fp32', 'fp32'],
      ['q8', 'int8'],
    ] as const) {
      const classify = await pipeline('image-classification', out, { dtype })
      const theirs = (await classify(picture, { top_k: 5 })) as Ranked[]
      await classify.dispose()
      assertSame(theirs, await ours({ keepRatio: 0.7, precision }), precision === 'fp32' ? 1e-5 : 1e-2)
    }
  })

  it('tells transformers.js which file there is, as long as fp32 is not there', async () => {
    const dtypeOf = async (out: string) =>
      JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))['transformers.js_config']?.dtype
    const out = await exported({ precisions: ['int8'], weights: false })
    assert.equal(await dtypeOf(out), 'q8')
    await exportModel(model, out, { precisions: ['fp16'], preprocess })
    assert.ok(['q8', 'fp16'].includes(await dtypeOf(out)))
    await exportModel(model, out, { precisions: ['fp32'], preprocess })
    assert.equal(await dtypeOf(out), undefined)
    assert.equal((await readdir(join(out, 'onnx'))).length, 3)
    await rm(join(out, 'onnx', 'model.onnx')) // by its owner
    await exportModel(model, out, { precisions: ['int8'], preprocess })
    assert.ok(['q8', 'fp16'].includes(await dtypeOf(out)))
  })

  it('can be exported onto itself and loses nothing', async () => {
    for (const options of [{ keepRatio: 0.5 }, { method: 'none' }] as const) {
      const out = await exported(options)
      const loaded = await loadModel(out)
      const { keepTokens } = loaded.idle ?? {}
      await exportModel(loaded, out, keepTokens ? { keepTokens, weights: false } : { ...options, weights: false })
      assert.deepEqual((await loadModel(out)).state, loaded.state)
    }
  })

  it('never mixes with another model, plan, preprocessing or other class names', async () => {
    const out = await exported({ keepRatio: 0.7 })
    const before = await content(out)
    const head = state.get('head.bias') as NonNullable<ReturnType<StateDict['get']>>
    const moved = { ...head, data: Float32Array.from(head.data as Float32Array, (x) => x + 1) }
    const other = { ...model, state: new Map([...state, ['head.bias', moved]]) } as LoadedModel
    const cases: readonly [LoadedModel, ExportOptions, RegExp][] = [
      [other, {}, /of another model/],
      [{ ...model, config: { ...tiny, heads: 3 } }, {}, /of another model/],
      [{ ...model, labels: ['a', 'b', 'c', 'd', 'e'] }, {}, /with other class names/],
      [model, { keepRatio: 0.5 }, /with another plan \(.*"keepTokens":\[16,11,7,5\].*; now .*\[16,8,4,2\]/],
      [model, { score: 'logits' }, /with another plan .*"softmax".*now.*"logits"/],
      [model, { method: 'none' }, /with another plan/],
      [model, { elastic: true }, /with another plan/],
      [model, { preprocess: { ...preprocess, resize: 40 } }, /with other preprocessing .*32.*now .*40/],
    ]
    for (const [from, options, reason] of cases)
      await refuse(exportModel(from, out, { precisions: ['int8'], keepRatio: 0.7, preprocess, ...options }), reason)
    assert.deepEqual(await content(out), before)
  })

  it('is written nowhere else', async () => {
    const foreign = join(folder.path, 'foreign')
    await mkdir(join(foreign, 'onnx'), { recursive: true })
    folder.write('foreign/config.json', '{"model_type":"vit"}')
    folder.write('foreign/onnx/model.onnx', 'theirs')
    const added = await exported()
    await writeFile(join(added, 'onnx', 'model_fp16.onnx'), 'theirs')
    for (const [out, reason] of [
      [folder.path, /wanted a new or empty folder/],
      [foreign, /wanted a new or empty folder/],
      [added, /onnx.model_fp16\.onnx, which no export wrote/],
      [picture, /wanted a folder, found a file/],
    ] as const) {
      const before = await content(out)
      await refuse(exportModel(model, out, { preprocess, precisions: ['fp16'] }), reason)
      assert.deepEqual(await content(out), before)
    }
    const empty = join(folder.path, 'empty')
    await mkdir(empty)
    await exportModel(model, empty, { weights: false })
    assert.ok((await readdir(empty)).includes('onnx'))
  })

  it('leaves nothing behind when it fails', async () => {
    const before = await readdir(folder.path)
    await assert.rejects(exportModel({ ...model, state: new Map() }, join(folder.path, 'failed')))
    await assert.rejects(exportModel(model, join(folder.path, 'failed'), { keepRatio: 2 }), InputError)
    assert.deepEqual(await readdir(folder.path), before)
  })
})

function large(): StateDict {
  const config = { ...tiny, imageSize: 224, patchSize: 56 }
  return new Map([...randomWeights(config, 5)].map(([name, value]) => [name, { dtype: 'F32', ...value }])) as StateDict
}
