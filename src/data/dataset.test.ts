import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { temporaryFolder } from '../../test/support/folder.js'
import { encode, HEIGHT, rgb, WIDTH } from '../../test/support/pictures.js'
import { needs, sharedPath } from '../../test/support/shared.js'
import { type Dataset, type DatasetOptions, openDataset } from './dataset.js'
import { readSource } from './source.js'

const folder = temporaryFolder()
const png = await encode('png')
const webp = await encode('webp lossless')

function makeFolder(...parts: string[]): string {
  const path = join(folder.path, ...parts)
  mkdirSync(path, { recursive: true })
  return path
}

/** A tar file of these entries, in order. */
async function tar(entries: readonly (readonly [name: string, content: Uint8Array | string])[]): Promise<Buffer> {
  const archive = pack()
  for (const [name, content] of entries) archive.entry({ name }, Buffer.from(content))
  archive.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of archive as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Reads every picture: all those written here are the same one. */
async function checkPictures(dataset: Dataset): Promise<void> {
  for (const [index, { name }] of dataset.samples.entries()) {
    const image = await readSource(dataset.source(index), name)
    assert.deepEqual([image.width, image.height, Uint8Array.from(image.data)], [WIDTH, HEIGHT, rgb], name)
  }
}

const labels = (dataset: Dataset) => dataset.samples.map(({ label }) => label)
const names = (dataset: Dataset) => dataset.samples.map(({ name }) => name)

const refused = (spec: string, message: string, options?: DatasetOptions) =>
  assert.rejects(openDataset(spec, options), { name: 'InputError', message })

describe('an image folder', () => {
  it('has the sorted sub-folders as classes, and pictures at any depth', async () => {
    const root = makeFolder('images')
    for (const path of ['b/2.PNG', 'b/10.png', 'B/x.png', 'a/deep/er/1.png', 'a/z.webp', 'a/notes.txt', '.git/1.png']) {
      makeFolder('images', ...path.split('/').slice(0, -1))
      folder.write(`images/${path}`, path.endsWith('webp') ? webp : png)
    }
    symlinkSync(root, join(root, 'a', 'loop'))
    const dataset = await openDataset(root)
    assert.deepEqual(dataset.classNames, ['B', 'a', 'b'])
    assert.deepEqual(names(dataset), ['B/x.png', 'a/deep/er/1.png', 'a/z.webp', 'b/10.png', 'b/2.PNG'])
    assert.deepEqual(labels(dataset), [0, 1, 1, 2, 2])
    await checkPictures(dataset)
  })

  it('is refused without classes or pictures', async () => {
    const empty = makeFolder('empty')
    await refused(empty, `${empty}: wanted one sub-folder per class, found none`)
    const flat = makeFolder('flat')
    folder.write('flat/1.png', png)
    await refused(flat, `${flat}: wanted one sub-folder per class, found 1 pictures without a class`)
    const bare = makeFolder('bare', 'class')
    await refused(join(folder.path, 'bare'), `${bare}: a class folder without pictures`)
    await refused('nowhere', 'nowhere: no such file or folder')
  })
})

describe('a list file', () => {
  makeFolder('list', 'with blanks')
  folder.write('list/with blanks/a b.png', png)
  const outside = folder.write('outside.png', png)

  it('names pictures relative to itself or absolutely, blanks and all', async () => {
    const lines = `\uFEFFwith blanks/a b.png 7\r\n\r\n  ${outside}\t0  \n`
    const dataset = await openDataset(folder.write('list/list.txt', lines), { classes: 8 })
    assert.deepEqual(dataset.samples, [
      { name: 'with blanks/a b.png', label: 7 },
      { name: outside, label: 0 },
    ])
    await checkPictures(dataset)
  })

  const bad = (name: string, content: string | Uint8Array, message: string, options?: DatasetOptions) =>
    it(`is refused: ${name}`, () => {
      const path = folder.write('list/bad.txt', content)
      return refused(path, `${path}${message}`, options)
    })
  const good = `${outside} 1\n`
  bad('no index', `${good}lonely.png\n`, ":2: no 'path index' but 'lonely.png'")
  bad('a word for an index', `${good}${outside} cat`, ":2: wanted a class index, found 'cat'")
  bad('a negative index', `${outside} -1`, ":1: wanted a class index, found '-1'")
  bad('a fraction', `${outside} 1.5`, ":1: wanted a class index, found '1.5'")
  bad('an index out of range', `${good}\n${outside} 10`, ':3: label 10 is out of range (0 to 9)', { classes: 10 })
  bad('an index beyond any class', `${outside} 99999999999`, ':1: label 99999999999 is out of range')
  bad('missing pictures', `${good}x.png 0\ny.png 0`, ':2: no such picture: x.png (2 of 3 are missing)')
  bad('no lines', '\n\n', ": holds no pictures ('path index' lines)")
  bad('not text', png, ": not a text file of 'path index' lines")
})

describe('tar shards', () => {
  const long = `${'deep/'.repeat(40)}name`
  const shards = [
    [
      ['0001.png', png],
      ['0001.cls', '3'],
      ['0001.json', '{}'],
    ],
    [
      ['set/b.cls', ' 5\n'],
      ['set/b.webp', webp],
      ['set/a.seg.png', 'something else'],
      [`${long}.PNG`, png],
      [`${long}.cls`, '0'],
    ],
  ] as const

  for (const zipped of [false, true]) {
    it(`are read ${zipped ? 'gzipped' : 'plain'}, by brace range`, async () => {
      const ending = zipped ? 'tar.gz' : 'tar'
      for (const [i, entries] of shards.entries()) {
        const content = await tar(entries)
        folder.write(`shard-${i + 8}.${ending}`, zipped ? gzipSync(content) : content)
      }
      const spec = join(folder.path, `shard-{8..9}.${ending}`)
      const dataset = await openDataset(spec)
      assert.deepEqual(names(dataset), [
        `shard-8.${ending}/0001.png`,
        `shard-9.${ending}/set/b.webp`,
        `shard-9.${ending}/${long}.PNG`,
      ])
      assert.deepEqual(labels(dataset), [3, 5, 0])
      await checkPictures(dataset)
      await dataset.close()
      const out = join(folder.path, `shard-8.${ending}`)
      await refused(spec, `${out}, 0001.cls: label 3 is out of range (0 to 2)`, { classes: 3 })
    })
  }

  it('are refused when something is missing, doubled or no class index', async () => {
    const bad = async (entries: Parameters<typeof tar>[0], reason: string) => {
      const path = folder.write('bad.tar', await tar(entries))
      await refused(path, `${path}${reason}`)
    }
    await bad([['k.png', png]], ": 'k' has a picture but no label (k.cls)")
    await bad([['k.cls', '1']], ": 'k' has a label but no picture")
    await bad([['k.cls', 'one']], ", k.cls: wanted a class index, found 'one'")
    await bad([['k.cls', '1'.repeat(100)]], ": 'k.cls' is no class index (100 bytes)")
    const twice: [string, Uint8Array][] = [
      ['k.png', png],
      ['k.webp', webp],
    ]
    await bad(twice, ": 'k' has two pictures, k.png and k.webp")
    const path = folder.write('bad.tar', await tar([['readme.txt', 'nothing here']]))
    await refused(path, `${path}: holds no pictures (key.jpg, key.png, key.webp with key.cls)`)
    const absent = join(folder.path, 'shard-7.tar')
    await refused(join(folder.path, 'shard-{7..8}.tar'), `${absent}: no such file or folder`)
  })

  it('are refused when cut short or not tar files', async () => {
    const whole = await tar(shards[0])
    const zipped = gzipSync(whole)
    const matching = (path: string, message: RegExp) =>
      assert.rejects(openDataset(path), (error: Error) => error.name === 'InputError' && message.test(error.message))
    await matching(folder.write('cut.tar', whole.subarray(0, 700)), /cut\.tar: not a whole tar file \(/)
    await matching(folder.write('cut.tar.gz', zipped.subarray(0, 200)), /cut\.tar\.gz: not a whole gzipped tar file \(/)
    await matching(folder.write('text.tar', 'text '.repeat(500)), /text\.tar: not a whole tar file \(/)
    await matching(folder.write('empty.tar', ''), /empty\.tar: holds no pictures/)
  })

  const cifar = sharedPath('data/cifar10/test-0.tar.gz')
  it('of CIFAR-10 hold 10,000 pictures, 1,000 a class', needs(cifar, 'data/cifar10'), async () => {
    const dataset = await openDataset(cifar as string, { classes: 10 })
    const counts = new Array<number>(10).fill(0)
    for (const label of labels(dataset)) counts[label] = (counts[label] ?? 0) + 1
    assert.deepEqual(counts, new Array(10).fill(1000))
    const image = await readSource(dataset.source(9_999), 'last')
    assert.deepEqual([image.width, image.height], [32, 32])
    await dataset.close()
  })
})

describe('CIFAR-10 binary batches', () => {
  /** Record r: label, then red = r, green = the row, blue = the column. */
  const batch = (batchLabels: readonly number[]) =>
    Uint8Array.from({ length: batchLabels.length * 3073 }, (_, i) => {
      const [record, at] = [Math.trunc(i / 3073), (i % 3073) - 1]
      if (at < 0) return batchLabels[record] as number
      return [record, Math.trunc(at / 32) % 32, at % 32][Math.trunc(at / 1024)] as number
    })

  it('are read from files and from their folder', async () => {
    makeFolder('cifar')
    folder.write('cifar/data_batch_1.bin', batch([9, 0]))
    folder.write('cifar/data_batch_2.bin', batch([4, 5, 6]))
    folder.write('cifar/test_batch.bin', batch([1]))
    for (const spec of ['cifar', 'cifar/data_batch_{1..2}.bin']) {
      const dataset = await openDataset(join(folder.path, spec))
      assert.deepEqual(labels(dataset), [9, 0, 4, 5, 6])
      assert.equal(names(dataset)[3], 'data_batch_2.bin#1')
      assert.deepEqual([dataset.classNames?.[0], dataset.classNames?.[9]], ['airplane', 'truck'])
      const { width, height, data } = await readSource(dataset.source(3), 'picture')
      assert.deepEqual([width, height, data.length], [32, 32, 3072])
      const at = (3 * 32 + 20) * 3
      assert.deepEqual([...data.subarray(at, at + 3)], [1, 3, 20])
    }
    assert.deepEqual(labels(await openDataset(join(folder.path, 'cifar/test_batch.bin'))), [1])
  })

  it('are refused when of another kind', async () => {
    const cut = folder.write('cut.bin', batch([1, 2]).subarray(0, 5000))
    await refused(cut, `${cut}: not a CIFAR-10 binary batch (records of 3073 bytes, but the file has 5000)`)
    const high = folder.write('high.bin', batch([1, 10]))
    await refused(high, `${high}, picture 1: label 10 is out of range (0 to 9)`)
  })
})
