/** Features in files: read back by readers that are not ours, held to what the model itself gives. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { temporaryFolder } from '../../test/support/folder.js'
import { maxAbsDiff, randomWeights, tiny } from '../../test/support/models.js'
import type { Dataset } from '../data/dataset.js'
import { startDecoders } from '../data/decoder.js'
import { openDataset } from '../data/open.js'
import { readSource } from '../data/source.js'
import { openUnlabelled } from '../data/unlabelled.js'
import { imagenetPreprocess, preprocessImage } from '../images/preprocess.js'
import type { VitConfig } from '../models/config.js'
import { openNodeClassifier } from '../runtime/node.js'
import { loadModel } from '../weights/load.js'
import { parseSafetensors } from '../weights/safetensors.js'
import { embedPictures } from './embed.js'

const folder = temporaryFolder()
const COUNT = 11
const config = { ...tiny, distilled: true }
const model = { name: 'tiny', config, state: randomWeights(config, 3) }
const preprocess = { ...imagenetPreprocess(config.imageSize), resize: config.imageSize }
const classifier = await openNodeClassifier(model, { keepRatio: 0.5, features: true, threads: 1 })
const decoders = startDecoders(1)
after(() => Promise.all([classifier.close(), ...decoders.map((decoder) => decoder.close())]))
const scenes = await openDataset(`scenes:5:${COUNT}`)
const [N0, P, C] = [16, 2, config.width]

/** Rows `[N, C]` of every scene, each picture run by itself. */
const alone = await Promise.all(
  scenes.samples.map(async ({ name }, i) => {
    const image = await readSource(scenes.source(i), name)
    return (await classifier.forward(preprocessImage(image, preprocess))).features as Float32Array
  }),
)

const out = (name: string) => join(folder.path, name)
const embed = (name: string, options: Partial<Parameters<typeof embedPictures>[2]> = {}, dataset: Dataset = scenes) =>
  embedPictures(classifier, dataset, { out: out(name), preprocess, batch: 4, decoders, ...options })

const numpy = (() => {
  try {
    execFileSync('python3', ['-c', 'import numpy'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

/** An NPY file as its format's document says it is to be read. */
function readNpy(path: string): { descr: string; shape: number[]; values: number[] } {
  const bytes = readFileSync(path)
  assert.equal(bytes.subarray(0, 8).toString('latin1'), '\u0093NUMPY\u0001\u0000')
  const start = 10 + bytes.readUInt16LE(8)
  assert.equal(start % 64, 0)
  const header = bytes.subarray(10, start).toString('latin1')
  const match = /^\{'descr': '(<[fi][24])', 'fortran_order': False, 'shape': \(([\d, ]+)\), \} *\n$/.exec(header)
  assert.ok(match, header)
  const descr = match[1] as string
  const shape = (match[2] as string)
    .split(',')
    .filter((text) => text.trim() !== '')
    .map(Number)
  const data = bytes.subarray(start)
  const size = Number(descr[2])
  assert.equal(data.length, size * shape.reduce((a, b) => a * b, 1))
  const read = (i: number) => (descr[1] === 'i' ? data.readInt32LE(i) : data.readFloatLE(i))
  const values = size === 4 ? Array.from({ length: data.length / 4 }, (_, i) => read(4 * i)) : []
  return { descr, shape, values }
}

const floats = (values: readonly number[]) => Float32Array.from(values)

describe('embedPictures', () => {
  it('writes what the head reads, whatever the batch: the mean of both prefix rows of a distilled model', async () => {
    const expected = alone.flatMap((rows) =>
      Array.from({ length: C }, (_, c) => ((rows[c] as number) + (rows[C + c] as number)) / 2),
    )
    for (const batch of [1, 4, 50]) {
      const { images, width, skipped, resumed } = await embed('head.npy', { batch })
      assert.deepEqual([images, width, skipped, resumed], [COUNT, C, [], 0])
      const { descr, shape, values } = readNpy(out('head.npy'))
      assert.deepEqual([descr, shape], ['<f4', [COUNT, C]])
      assert.ok(maxAbsDiff(floats(values), floats(expected)) < 1e-5)
    }
    assert.deepEqual(readFileSync(out('head.paths.txt'), 'utf8').split('\n'), [
      ...scenes.samples.map(({ name }) => name),
      '',
    ])
    const labels = readNpy(out('head.labels.npy'))
    assert.deepEqual([labels.descr, labels.shape], ['<i4', [COUNT]])
    assert.deepEqual(
      labels.values,
      scenes.samples.map(({ label }) => label),
    )
  })

  it('writes the class row, and the mean of the image rows', async () => {
    await embed('class.npy', { pool: 'class' })
    const first = readNpy(out('class.npy')).values.slice(0, C)
    assert.ok(maxAbsDiff(floats(first), (alone[0] as Float32Array).slice(0, C)) < 1e-5)
    await embed('mean.npy', { pool: 'mean' })
    await embed('tokens.npy', { tokens: true })
    const tokens = readNpy(out('tokens.npy'))
    assert.deepEqual(tokens.shape, [COUNT, N0, C])
    const means = Array.from({ length: COUNT * C }, (_, i) => {
      const [picture, c] = [Math.trunc(i / C), i % C]
      const column = Array.from({ length: N0 }, (_, t) => tokens.values[(picture * N0 + t) * C + c] as number)
      return column.reduce((a, b) => a + b, 0) / N0
    })
    assert.ok(maxAbsDiff(floats(readNpy(out('mean.npy')).values), floats(means)) < 1e-6)
  })

  it('writes all tokens in raster order and the prefix rows apart, in every format', async () => {
    await embed('all.npy', { tokens: true })
    await embed('all.safetensors', { tokens: true })
    await embed('all.parquet', { tokens: true })
    const expected = floats(alone.flatMap((rows) => Array.from(rows.subarray(P * C))))
    const prefix = floats(alone.flatMap((rows) => Array.from(rows.subarray(0, P * C))))
    assert.ok(maxAbsDiff(floats(readNpy(out('all.npy')).values), expected) < 1e-5)
    assert.deepEqual(readNpy(out('all.prefix.npy')).shape, [COUNT, P, C])
    assert.ok(maxAbsDiff(floats(readNpy(out('all.prefix.npy')).values), prefix) < 1e-5)

    const { state, metadata } = parseSafetensors(readFileSync(out('all.safetensors')))
    assert.deepEqual(state.get('features')?.shape, [COUNT, N0, C])
    assert.ok(maxAbsDiff(state.get('features')?.data as Float32Array, expected) < 1e-5)
    assert.ok(maxAbsDiff(state.get('prefix')?.data as Float32Array, prefix) < 1e-5)
    assert.deepEqual(
      Array.from(state.get('labels')?.data as Int32Array),
      scenes.samples.map(({ label }) => label),
    )
    const paths = Buffer.from(state.get('paths')?.data as Uint8Array)
      .toString()
      .split('\n')
      .slice(0, -1)
    assert.deepEqual(
      paths,
      scenes.samples.map(({ name }) => name),
    )
    assert.equal(metadata.method, 'idle')
    assert.equal(metadata.keep, '16,8,4,2')

    const file = await asyncBufferFromFile(out('all.parquet'))
    const rows = (await parquetReadObjects({ file })) as {
      path: string
      label: number
      class: string
      features: number[][]
      prefix: number[][]
    }[]
    assert.deepEqual(
      rows.map(({ path }) => path),
      scenes.samples.map(({ name }) => name),
    )
    assert.deepEqual(
      rows.map(({ label }) => label),
      scenes.samples.map(({ label }) => label),
    )
    assert.equal(rows[0]?.class, scenes.classNames?.[scenes.samples[0]?.label as number])
    assert.ok(maxAbsDiff(floats(rows.flatMap(({ features }) => features.flat())), expected) < 1e-5)
    assert.ok(maxAbsDiff(floats(rows.flatMap((row) => row.prefix.flat())), prefix) < 1e-5)
  })

  it('divides by the length, and writes float16', async () => {
    await embed('unit.npy', { normalize: true })
    const { values } = readNpy(out('unit.npy'))
    for (let row = 0; row < COUNT; row++)
      assert.ok(Math.abs(Math.hypot(...values.slice(row * C, (row + 1) * C)) - 1) < 1e-6)
    const near = (rows: Float32Array) => assert.ok(maxAbsDiff(rows, floats(values)) < 2 ** -11)
    await embed('half.safetensors', { normalize: true, half: true })
    const tensor = parseSafetensors(readFileSync(out('half.safetensors'))).state.get('features')
    assert.equal(tensor?.dtype, 'F16')
    near(tensor?.data as Float32Array)
    await embed('half.parquet', { normalize: true, half: true })
    const file = await asyncBufferFromFile(out('half.parquet'))
    assert.equal((await parquetMetadataAsync(file)).schema.at(-1)?.logical_type?.type, 'FLOAT16')
    near(floats((await parquetReadObjects({ file })).flatMap(({ features }) => features as number[])))
    await embed('half.npy', { normalize: true, half: true })
    assert.equal(readNpy(out('half.npy')).descr, '<f2')
  })

  it('is read by NumPy itself', { skip: numpy ? false : 'python3 has no numpy' }, async () => {
    await embed('numpy.npy', { tokens: true, half: true })
    const script = 'import numpy, sys; a = numpy.load(sys.argv[1]); print(a.dtype, a.shape, float(a[3, 5, 7]))'
    const [dtype, ...rest] = execFileSync('python3', ['-c', script, out('numpy.npy')], { encoding: 'utf8' }).split(' ')
    assert.deepEqual([dtype, rest.slice(0, 3).join(' ')], ['float16', `(${COUNT}, ${N0}, ${C})`])
    const value = (alone[3] as Float32Array)[(P + 5) * C + 7] as number
    assert.ok(Math.abs(Number(rest[3]) - value) <= 2 ** -10 * Math.abs(value))
  })

  it('leaves no hole where a picture cannot be read, and counts and names it', async () => {
    const broken = [0, 3, 4, 10]
    const mixed: Dataset = {
      ...scenes,
      source: (i) => (broken.includes(i) ? { kind: 'bytes', bytes: Uint8Array.of(1, 2, 3) } : scenes.source(i)),
    }
    const { images, skipped, available } = await embed('holes.npy', {}, mixed)
    assert.deepEqual([images, available], [COUNT - broken.length, COUNT])
    const name = (i: number) => scenes.samples[i]?.name as string
    assert.deepEqual(
      skipped.map(({ path }) => path),
      broken.map(name),
    )
    const kept = [1, 2, 5, 6, 7, 8, 9]
    assert.deepEqual(readFileSync(out('holes.paths.txt'), 'utf8').trimEnd().split('\n'), kept.map(name))
    await embed('whole.npy')
    const [some, all] = [readNpy(out('holes.npy')).values, readNpy(out('whole.npy')).values]
    const expected = kept.flatMap((i) => all.slice(i * C, (i + 1) * C))
    assert.ok(maxAbsDiff(floats(some), floats(expected)) < 1e-5)
  })

  it('gives up where none can be read, and leaves nothing', async () => {
    const none: Dataset = { ...scenes, source: () => ({ kind: 'bytes', bytes: Uint8Array.of(1) }) }
    await assert.rejects(embed('none.npy', {}, none), /^InputError: scenes:5:11: no picture could be read: 11 × /)
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.startsWith('none')),
      [],
    )
  })

  for (const format of ['npy', 'safetensors', 'parquet'])
    it(`goes on after a stop and ends in the same bytes: ${format}`, async () => {
      const broken = [1, 6]
      const mixed: Dataset = {
        ...scenes,
        source: (i) => (broken.includes(i) ? { kind: 'bytes', bytes: Uint8Array.of(1, 2, 3) } : scenes.source(i)),
      }
      const options = { tokens: true, batch: 2 }
      const [name, other] = [`whole.${format}`, `parts.${format}`]
      const whole = await embed(name, options, mixed)
      for (const stop of [1, 2]) {
        const controller = new AbortController()
        let batches = 0
        const onProgress = () => {
          batches++
          if (batches === stop) controller.abort()
        }
        const stopped = embed(other, { ...options, resume: true, signal: controller.signal, onProgress }, mixed)
        await assert.rejects(stopped, { name: 'AbortError' })
        assert.ok(!existsSync(out(other)))
      }
      await assert.rejects(
        embed(other, options, mixed),
        /parts\.\w+\.partial: an unfinished run is there \(\d of 11 pi/,
      )
      const differs = embed(other, { ...options, resume: true, normalize: true }, mixed)
      await assert.rejects(differs, /was begun with normalize false, this run has true/)
      const { resumed, images, skipped } = await embed(other, { ...options, resume: true }, mixed)
      assert.ok(resumed >= 6, `${resumed}`)
      assert.deepEqual([images, skipped], [whole.images, whole.skipped])
      assert.ok(readFileSync(out(other)).equals(readFileSync(out(name))))
      assert.ok(!existsSync(`${out(other)}.partial`))
    })

  it('writes no labels where there are none, and any path', async () => {
    const image = await readSource(scenes.source(0), '')
    const { default: sharp } = await import('sharp')
    const raw = { raw: { width: image.width, height: image.height, channels: 3 } } as const
    const png = await sharp(image.data, raw).png().toBuffer()
    const path = folder.write('a\nb.png', png)
    const dataset = await openUnlabelled('pictures', { pictures: [path, path], leftOut: [] })
    await embed('named.npy', {}, dataset)
    assert.equal(readFileSync(out('named.paths.txt'), 'utf8'), `${path.replace('\n', '\\n')}\n`.repeat(2))
    assert.ok(!existsSync(out('named.labels.npy')))
    assert.ok(
      maxAbsDiff(
        floats(readNpy(out('named.npy')).values.slice(0, C)),
        floats(readNpy(out('head.npy')).values.slice(0, C)),
      ) < 1e-5,
    )
    await embed('named.parquet', {}, dataset)
    const [row] = await parquetReadObjects({ file: await asyncBufferFromFile(out('named.parquet')) })
    assert.deepEqual([Object.keys(row ?? {}), row?.path], [['path', 'features'], path])
  })

  it('holds no more memory after many batches than after a few', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const live: number[] = []
    const many = await openDataset('scenes:5:120')
    await embedPictures(classifier, many, {
      out: out('many.npy'),
      preprocess,
      tokens: true,
      batch: 4,
      decoders,
      onProgress() {
        collect()
        live.push(process.memoryUsage().arrayBuffers)
      },
    })
    const [early, late] = [live.slice(5, 10), live.slice(-5)].map((values) => Math.max(...values)) as [number, number]
    const batch = 4 * 4 * (3 * config.imageSize ** 2 + (N0 + P) * C) // bytes of pixels and rows
    assert.ok(late <= early + 2 * batch, `${early} bytes after ten batches, ${late} after ${live.length}`)
  })

  it('counts tokens that a method drops, and leaves them out of the mean', async () => {
    const plain = { ...model, config: tiny, state: randomWeights(tiny, 3) }
    const dropping = await openNodeClassifier(plain, { method: 'ats', keepRatio: 0.5, features: true, threads: 1 })
    const options = { preprocess, batch: 4, decoders }
    const { gone } = await embedPictures(dropping, scenes, { ...options, out: out('ats.npy'), tokens: true })
    const { values } = readNpy(out('ats.npy'))
    const rows = Array.from({ length: COUNT * N0 }, (_, i) => values.slice(i * C, (i + 1) * C))
    const there = rows.map((row) => row.some((value) => value !== 0))
    assert.ok(gone > 0.2 && gone < 1, `${gone}`)
    assert.equal(gone, there.filter((is) => !is).length / (COUNT * N0))
    await embedPictures(dropping, scenes, { ...options, out: out('ats-mean.npy'), pool: 'mean' })
    const first = rows.slice(0, N0).filter((_, t) => there[t])
    const mean = Array.from(
      { length: C },
      (_, c) => first.reduce((sum, row) => sum + (row[c] as number), 0) / first.length,
    )
    assert.ok(maxAbsDiff(floats(readNpy(out('ats-mean.npy')).values.slice(0, C)), floats(mean)) < 1e-5)
    assert.equal((await embed('idle.npy', { tokens: true })).gone, 0)
    await dropping.close()
  })

  const traced = { features: true, trace: true, threads: 1 } as const
  const pooling: Readonly<Record<string, VitConfig>> = {
    'SigLIP: a pooling query': { ...tiny, classToken: false, pool: 'attention', activation: 'gelu-tanh' },
    'CLIP: a projection': { ...tiny, preNorm: true, projection: 7, classes: 0 },
    'MAE finetuned: a mean that is normed': { ...tiny, pool: 'mean', normAfterPool: true },
    'DINOv2 with a linear head: the class row beside the mean': { ...tiny, pool: 'class-mean' },
  }
  for (const [name, config] of Object.entries(pooling))
    it(`writes what the head reads where the model pools it, ${name}`, async () => {
      const state = randomWeights(config, 3)
      const own = await openNodeClassifier({ name, config, state }, { features: true, keepRatio: 0.6, threads: 1 })
      const dense = await openNodeClassifier({ name, config, state }, { method: 'none', ...traced })
      const idled = await openNodeClassifier({ name, config, state }, { keepRatio: 0.6, ...traced })
      const width = { attention: C, mean: C, 'class-mean': 2 * C, class: 7 }[config.pool ?? 'class']
      const file = out(`head-${config.pool ?? 'class'}.npy`)
      try {
        const { pool, width: told } = await embedPictures(own, scenes, { out: file, preprocess, batch: 5, decoders })
        assert.deepEqual([told, pool], [width, 'head'])
        const { shape, values } = readNpy(file)
        assert.deepEqual(shape, [COUNT, width])
        // The head on the rows of the file gives the model's answers.
        const [weight, bias] = ['weight', 'bias'].map((kind) => state.get(`head.${kind}`)?.data as Float32Array)
        for (const i of [0, COUNT - 1]) {
          const image = await readSource(scenes.source(i), '')
          const { logits, pooled } = await own.forward(preprocessImage(image, preprocess))
          const row = values.slice(i * width, (i + 1) * width)
          assert.ok(maxAbsDiff(floats(row), pooled ?? new Float32Array(0)) < 1e-5)
          const read = Array.from({ length: config.classes }, (_, k) =>
            row.reduce((sum, v, c) => sum + v * (weight?.[k * width + c] as number), bias?.[k] as number),
          )
          assert.ok(maxAbsDiff(floats(read), logits.slice(0, config.classes)) < 1e-4)
        }
        const again = { out: out(`again-${width}-${config.pool}.npy`), preprocess, batch: 5, decoders }
        const { report } = await embedPictures(idled, scenes, { ...again, dense, normalize: true })
        assert.ok(report && report.cosine.max <= 1 + 1e-6 && report.cosine.min < 1 - 1e-6)
        assert.equal(report.neighbours.queries, COUNT)
      } finally {
        for (const each of [own, dense, idled]) await each.close()
      }
    })

  it('refuses what is no finite number, and what float16 does not hold', async () => {
    const scaled = (factor: number) => {
      const state = new Map(model.state)
      const weight = state.get('norm.weight') as { shape: readonly number[]; data: Float32Array }
      state.set('norm.weight', { ...weight, data: weight.data.map((value) => value * factor) })
      return openNodeClassifier({ ...model, state }, { features: true, threads: 1 })
    }
    for (const [factor, message] of [
      [1e6, /scenes:5#0: -?\d+\S* is beyond float16 \(65504\); leave --half out/],
      [Number.NaN, /scenes:5#0: the model gives features that are no finite numbers/],
    ] as const) {
      const wrong = await scaled(factor)
      const options = { out: out(`${factor}.npy`), preprocess, half: true, decoders }
      await assert.rejects(embedPictures(wrong, scenes, options), message)
      assert.ok(!existsSync(`${options.out}.partial`))
      await wrong.close()
    }
  })
})

describe('the comparison with the dense model', () => {
  it('is 1 where nothing idles, and below where something does', async () => {
    const open = (options: object) => openNodeClassifier(model, { ...options, features: true, trace: true, threads: 1 })
    const [dense, all, some] = [
      await open({ method: 'none' }),
      await open({ keepRatio: 1 }),
      await open({ keepRatio: 0.25 }),
    ]
    const options = { out: out('compared.npy'), preprocess, batch: 4, decoders, dense }
    const same = (await embedPictures(all, scenes, options)).report
    assert.ok(same && same.cosine.min > 1 - 1e-6)
    assert.deepEqual(same.neighbours, { queries: COUNT, recallAt1: 1, recallAt10: 1 })
    assert.ok(same.blocks.every(({ cosine, gone }) => Math.abs(cosine - 1) < 1e-6 && gone === 0))

    const { report } = await embedPictures(some, scenes, options)
    assert.ok(report)
    const { cosine, worst, blocks } = report
    assert.equal(worst[0]?.cosine, cosine.min)
    assert.ok(cosine.min < cosine.mean && cosine.mean < cosine.max && cosine.max < 0.9999)
    assert.ok(Math.abs((blocks[0]?.cosine ?? 0) - 1) < 1e-6 && (blocks[3]?.cosine ?? 1) < 0.999)
    for (const classifier of [dense, all, some]) await classifier.close()
  })
})

it('embeds pictures in memory too', async () => {
  const { loadClassifier } = await import('../runtime/pictures.js')
  const demo = await loadClassifier('demo', { keepRatio: 0.5, features: true, threads: 1 })
  const images = await Promise.all([0, 1, 2].map((i) => readSource(scenes.source(i), '')))
  const vectors = await demo.embed(images, { normalize: true, batch: 2 })
  const loaded = await loadModel('demo')
  const { report: _, ...written } = await embedPictures(demo, scenes, {
    out: out('demo.npy'),
    preprocess: demo.preprocess,
    normalize: true,
    limit: 3,
    decoders,
  })
  assert.equal(written.width, loaded.config.width)
  assert.ok(maxAbsDiff(floats(vectors.flatMap((v) => [...v])), floats(readNpy(out('demo.npy')).values)) < 1e-5)
  await demo.close()
  const blind = await loadClassifier('demo', { threads: 1 })
  await assert.rejects(blind.embed(images), /embed: wanted a classifier that was opened with features: true/)
  await blind.close()
})
