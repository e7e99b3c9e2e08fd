import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { encode } from '../../test/support/pictures.js'
import { type Preprocess, preprocessImage } from '../images/preprocess.js'
import type { Dataset } from './dataset.js'
import { startDecoders } from './decoder.js'
import { type LoaderOptions, loadBatches } from './loader.js'

const SIDE = 4
const preprocess: Preprocess = { resize: SIDE, crop: SIDE, mean: [0, 0, 0], std: [1, 1, 1] }
const damaged = (await encode('jpeg')).subarray(0, 300)

/** Picture i is of one colour, (i, 2i, 255 - i), and has label 3i; those in `broken` cannot be read. */
function madeUp(count: number, broken: ReadonlySet<number> = new Set()): Dataset {
  return {
    name: 'made up',
    samples: Array.from({ length: count }, (_, i) => ({ name: `picture ${i}`, label: 3 * i })),
    source: (i) =>
      broken.has(i)
        ? { kind: 'bytes', bytes: damaged }
        : { kind: 'rgb', width: 1, height: 1, data: Uint8Array.of(i, 2 * i, 255 - i) },
    close: async () => {},
  }
}

const colour = (i: number) =>
  preprocessImage({ width: 1, height: 1, data: Uint8Array.of(i, 2 * i, 255 - i) }, preprocess)

/** All batches, checked, as lists of indices; and what was skipped. */
async function collect(dataset: Dataset, options: Omit<LoaderOptions, 'preprocess'>) {
  const batches: number[][] = []
  const skipped: string[] = []
  const onSkip = (name: string, reason: string) => skipped.push(`${name}: ${reason}`)
  for await (const { pixels, labels, names, indices } of loadBatches(dataset, { ...options, preprocess, onSkip })) {
    const expected = new Float32Array(indices.length * 3 * SIDE * SIDE)
    for (const [at, i] of indices.entries()) expected.set(colour(i), at * 3 * SIDE * SIDE)
    assert.deepEqual(pixels, expected)
    assert.deepEqual(
      labels,
      indices.map((i) => 3 * i),
    )
    assert.deepEqual(
      names,
      [...indices].map((i) => `picture ${i}`),
    )
    batches.push([...indices])
  }
  return { batches, skipped }
}

function chunked(indices: readonly number[], batch: number): number[][] {
  return Array.from({ length: Math.ceil(indices.length / batch) }, (_, i) => indices.slice(i * batch, (i + 1) * batch))
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('loadBatches', () => {
  it('leaves the caller’s own threads running, for one loop after the other', async () => {
    const decoders = startDecoders(2)
    try {
      for (const batch of [2, 3]) {
        const { batches } = await collect(madeUp(7), { batch, decoders })
        assert.deepEqual(batches, chunked(range(7), batch))
      }
    } finally {
      await Promise.all(decoders.map((decoder) => decoder.close()))
    }
  })

  for (const [workers, prefetch] of [
    [1, 1],
    [3, 2],
  ] as const) {
    it(`keeps the order with ${workers} workers and ${prefetch} batches ahead`, async () => {
      const { batches, skipped } = await collect(madeUp(23), { batch: 5, workers, prefetch })
      assert.deepEqual(batches, chunked(range(23), 5))
      assert.deepEqual(skipped, [])
    })

    it(`leaves broken pictures out and fills up, with ${workers} workers and ${prefetch} batches ahead`, async () => {
      const broken = new Set([0, 3, 4, 5, 6, 7, 8, 9, 17, 40, 41, 59])
      const { batches, skipped } = await collect(madeUp(60, broken), { batch: 4, workers, prefetch })
      const whole = range(60).filter((i) => !broken.has(i))
      assert.deepEqual(batches, chunked(whole, 4))
      assert.deepEqual(
        skipped.map((line) => Number(/^picture (\d+): damaged or unsupported JPEG file \(.+\)$/.exec(line)?.[1])),
        [...broken],
      )
    })
  }

  it('follows the order it is given, repeats included', async () => {
    const order = [5, 5, 0, 7, 2]
    assert.deepEqual((await collect(madeUp(8), { batch: 2, order })).batches, [[5, 5], [0, 7], [2]])
    assert.deepEqual((await collect(madeUp(8), { batch: 2, order: [] })).batches, [])
    await assert.rejects(collect(madeUp(8), { batch: 2, order: [1, 8] }), {
      message: 'made up: no picture 8, it has 8',
    })
  })

  it('keeps batches valid for as long as is asked for', async () => {
    const seen: { readonly pixels: Float32Array; readonly copy: Float32Array }[] = []
    for await (const { pixels } of loadBatches(madeUp(40), {
      batch: 4,
      preprocess,
      workers: 1,
      prefetch: 1,
      held: 2,
    })) {
      seen.push({ pixels, copy: pixels.slice() })
      for (const { pixels, copy } of seen.slice(-3)) assert.deepEqual(pixels, copy)
    }
    assert.equal(seen.length, 10)
  })

  it('ends without a batch when nothing can be read', async () => {
    const { batches, skipped } = await collect(madeUp(7, new Set(range(7))), { batch: 2, workers: 2 })
    assert.deepEqual(batches, [])
    assert.equal(skipped.length, 7)
  })

  it('stops its workers when the loop is left early, or never entered', async () => {
    const count = () => process.getActiveResourcesInfo().filter((resource) => resource === 'MessagePort').length
    const before = count()
    for await (const { indices } of loadBatches(madeUp(100), { batch: 2, workers: 2, preprocess })) {
      assert.deepEqual([...indices], [0, 1])
      break
    }
    const untouched = loadBatches(madeUp(100), { batch: 2, workers: 2, preprocess })
    await untouched.return?.()
    assert.ok((await untouched.next()).done)
    assert.equal(count(), before)
  })

  it('does not keep the process alive when it is forgotten', async () => {
    const script = `
      import { loadBatches } from ${JSON.stringify(new URL('./loader.ts', import.meta.url).href)}
      const samples = Array.from({ length: 50 }, (_, i) => ({ name: String(i), label: 0 }))
      const source = () => ({ kind: 'rgb', width: 1, height: 1, data: new Uint8Array(3) })
      const preprocess = { resize: 4, crop: 4, mean: [0, 0, 0], std: [1, 1, 1] }
      const batches = loadBatches({ name: '', samples, source, close: async () => {} }, { batch: 5, preprocess, workers: 2, prefetch: 1 })
      await batches.next()
      console.log('left')`
    const cwd = fileURLToPath(new URL('../..', import.meta.url))
    const args = ['--import', 'tsx', '--input-type=module', '--eval', script]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 20_000 })
    assert.equal(stdout, 'left\n')
  })
})
