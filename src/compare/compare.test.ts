import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Dataset } from '../data/dataset.js'
import { type Decoder, startDecoders } from '../data/decoder.js'
import { openDataset } from '../data/open.js'
import { loadModel } from '../weights/load.js'
import { ask, noAnswers } from './answers.js'
import { type CompareRequest, compare } from './compare.js'
import { comparedMethods } from './methods.js'
import { commonOf, participantsOf } from './participants.js'
import { compareAnswers } from './results.js'
import { type PlannedRow, planRows } from './rows.js'
import { openStore, type Store } from './store.js'
import { speedsOf } from './timing.js'

const COUNT = 21 // the last batch is shorter
const BATCH = 8
let folder = ''
let decoders: readonly Decoder[] = []
let dataset: Dataset
let rows: readonly PlannedRow[] = []
let preprocess: CompareRequest['preprocess']

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idlevit-compare-'))
  decoders = startDecoders(1)
  dataset = await openDataset(`scenes:5:${COUNT}`)
  const model = await loadModel('demo')
  preprocess = model.preprocess as typeof preprocess
  const participants = participantsOf([{ model, preprocess }], dataset, () => {})
  rows = await planRows(participants, {
    methods: comparedMethods(model.config).filter(({ name }) => name === 'idle'),
    keepRatios: [0.5],
    precisions: ['fp32'],
  })
})
after(async () => {
  await Promise.all(decoders.map((decoder) => decoder.close()))
  await rm(folder, { recursive: true })
})

const common = () => commonOf(dataset, { limit: COUNT, preprocess, batch: BATCH })
const request = (store: Store): CompareRequest => ({
  ...{ rows, dataset, preprocess, decoders, store },
  ...{ limit: COUNT, batch: BATCH, rounds: 1, threads: 1 },
})

describe('a comparison', () => {
  it('that was interrupted and resumed has the answers of one that was not', async () => {
    const whole = await openStore(undefined, common(), { resume: false })
    const report = await compare(request(whole))
    assert.equal(report.images, COUNT)

    const out = join(folder, 'resumed')
    let clock = 0
    const now = () => {
      clock += 10_000
      return clock
    }
    const begun = await openStore(out, common(), { resume: false, now })
    const stop = new Error('interrupted')
    const onProgress = (stage: string, done: number) => {
      if (stage === 'classifying' && done >= 2 * BATCH) throw stop
    }
    await assert.rejects(compare({ ...request(begun), onProgress }), stop)
    const resumed = await openStore(out, common(), { resume: true })
    for (const { key } of rows) assert.equal(resumed.answersOf(key).places.length, BATCH)
    let first = COUNT
    const again = await compare({
      ...request(resumed),
      onProgress: (stage, done) => {
        if (stage === 'classifying') first = Math.min(first, done)
      },
    })
    assert.equal(first, 2 * BATCH) // nothing is classified twice
    for (const { key } of rows) assert.deepEqual(resumed.answersOf(key), whole.answersOf(key))
    const answers = ({ rows }: typeof report) => rows.map(({ top1, top5, toDense }) => ({ top1, top5, toDense }))
    assert.deepEqual(answers(again), answers(report))
  })

  it('takes more rows later and keeps the answers of those that it has', async () => {
    const out = join(folder, 'resumed')
    const model = await loadModel('demo')
    const more = await planRows(
      participantsOf([{ model, preprocess }], dataset, () => {}),
      {
        methods: comparedMethods(model.config).filter(({ name }) => name === 'idle'),
        keepRatios: [0.7, 0.5],
        precisions: ['fp32'],
      },
    )
    const store = await openStore(out, common(), { resume: true })
    const notes: string[] = []
    const onProgress = (stage: string, _: number, __: number, note = '') => {
      if (stage === 'classifying') notes.push(note)
    }
    const report = await compare({ ...request(store), rows: more, onProgress })
    assert.deepEqual(new Set(notes), new Set(['1 row']))
    assert.equal(report.rows.length, 3)
  })

  it('gives the same answers where memory holds two rows at a time, and ratios to dense all the same', async () => {
    const model = await loadModel('demo')
    const participants = participantsOf([{ model, preprocess }], dataset, () => {})
    const three = await planRows(participants, {
      methods: comparedMethods(model.config).filter(({ name }) => name === 'idle'),
      keepRatios: [0.9, 0.7, 0.5],
      precisions: ['fp32'],
    })
    const stages = { passes: new Set<string>(), timings: new Set<number>() }
    const run = async (memory?: number) => {
      const store = await openStore(undefined, common(), { resume: false })
      return compare({
        ...request(store),
        rows: three,
        ...(memory !== undefined && { memory }),
        onProgress(stage, _, total, note = '') {
          if (stage === 'classifying') stages.passes.add(note)
          if (stage === 'timing') stages.timings.add(total)
        },
      })
    }
    const [together, apart] = [await run(), await run(1)]
    assert.deepEqual(stages.passes, new Set(['4 rows', 'pass 1 of 2, 2 rows', 'pass 2 of 2, 2 rows']))
    assert.deepEqual([together.timedTogether, apart.timedTogether], [4, 2])
    const answers = ({ rows }: typeof apart) => rows.map(({ name, top1, toDense }) => ({ name, top1, toDense }))
    assert.deepEqual(answers(apart), answers(together))
    assert.ok(apart.rows.every(({ speedup }) => speedup > 0))
  })

  it('refuses to mix answers to pictures that changed', async () => {
    const store = await openStore(undefined, common(), { resume: false })
    const [dense] = rows as [PlannedRow]
    store.keep(dense.key, dense.name, { places: '1'.repeat(COUNT), pictures: 'others' })
    await assert.rejects(compare(request(store)), /pictures changed between the rows dense and idle 0\.5/)
  })
})

describe('answers', () => {
  it('are places of the label among five, and skip what cannot be read', async () => {
    const list = join(folder, 'list.txt')
    await writeFile(join(folder, 'broken.jpg'), 'no picture')
    const { default: sharp } = await import('sharp')
    await sharp({ create: { width: 9, height: 9, channels: 3, background: 'red' } }).toFile(join(folder, 'red.png'))
    const lines = ['red.png 3', 'broken.jpg 0', 'red.png 0', 'red.png 6', 'broken.jpg 1']
    await writeFile(list, lines.join('\n'))
    const data = await openDataset(list)
    // Class 3 first, then 2, 4, 1, 5, 0, 6.
    const logits = [0.1, 0.3, 0.5, 0.9, 0.4, 0.2, 0]
    const classifier = {
      forward: async (pixels: Float32Array) => {
        const count = pixels.length / (3 * 8 * 8)
        return { logits: Float32Array.from({ length: 7 * count }, (_, i) => logits[i % 7] as number), classes: 7 }
      },
    }
    const skipped: number[] = []
    const [answers] = await ask([{ classifier, labels: data.samples.map(({ label }) => label) }], [noAnswers], data, {
      ...{ batch: 2, limit: 5, decoders, preprocess: { ...preprocess, resize: 8, crop: 8 } },
      onSkip: (index) => skipped.push(index),
    })
    assert.equal(answers?.places, '1x--x')
    assert.deepEqual(skipped, [1, 4])
    await data.close()
  })

  it('are compared picture by picture', () => {
    // Of nine that could be read both are right on two, the one alone on one, the other alone on three.
    const { gained, lost, points, p } = compareAnswers({ places: '111x2--3-2' }, { places: '11-x111---' })
    assert.deepEqual([gained, lost], [1, 3])
    assert.equal(points.toFixed(6), ((100 * -2) / 9).toFixed(6))
    assert.equal(p, 0.625) // 2 (1 + 4) / 16
  })
})

describe('the folder of a comparison', () => {
  const store = (out: string, resume: boolean, changed = {}) => openStore(out, { ...common(), ...changed }, { resume })

  it('replaces nothing that is not its own', async () => {
    for (const name of ['compare.html', 'compare.json', 'answers.json']) {
      const out = join(folder, `others-${name}`)
      await mkdir(out)
      await writeFile(join(out, name), 'mine')
      for (const resume of [false, true])
        await assert.rejects(store(out, resume), new RegExp(`${name}.*(earlier comparison|it would be lost)`))
      assert.equal(await readFile(join(out, name), 'utf8'), 'mine')
    }
    await assert.rejects(store(join(folder, 'list.txt'), false), /wanted a folder, found a file/)
  })

  it('says what there is not to resume, and what differs', async () => {
    await assert.rejects(
      store(join(folder, 'absent'), true),
      /absent: there is no comparison to resume: it holds no answers/,
    )
    await mkdir(join(folder, 'empty'))
    await assert.rejects(store(join(folder, 'empty'), true), /no comparison to resume: it holds no answers\.json/)
    await assert.rejects(
      store(join(folder, 'resumed'), true, { images: 99 }),
      /--resume: .*resumed was begun with images 21, found 99/,
    )
    const damaged = JSON.parse(await readFile(join(folder, 'resumed', 'answers.json'), 'utf8'))
    for (const row of Object.values(damaged.rows as Record<string, { places: unknown }>)) row.places = 'seven'
    await mkdir(join(folder, 'damaged'))
    await writeFile(join(folder, 'damaged', 'answers.json'), JSON.stringify(damaged))
    await assert.rejects(store(join(folder, 'damaged'), true), /answers\.json: is damaged/)
  })
})

describe('speeds', () => {
  const timing = (...rounds: number[]) => ({ rounds, min: Math.min(...rounds), median: 0, max: Math.max(...rounds) })

  it('are ratios inside rounds, and images a second at the usual pace', () => {
    // The second half of the rounds ran on a machine half as fast.
    const [dense, fast, late] = speedsOf(
      [
        [timing(10, 10, 10), timing(5, 5, 5)],
        [timing(20, 20, 20), timing(10, 10, 10)],
      ],
      16,
    )
    assert.equal(dense?.speedup, 1)
    assert.deepEqual([fast?.speedup, late?.speedup], [2, 2])
    assert.equal(dense?.imagesPerSecond, 16_000 / 15)
    assert.equal(late?.imagesPerSecond, fast?.imagesPerSecond)
  })
})
