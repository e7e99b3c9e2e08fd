import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type Header, pack } from 'tar-stream'
import { temporaryFolder } from '../../test/support/folder.js'
import { encode, HEIGHT, rgb, WIDTH } from '../../test/support/pictures.js'
import { needs, sharedPath } from '../../test/support/shared.js'
import type { Dataset, DatasetOptions } from './dataset.js'
import { openDataset } from './open.js'
import { readSource } from './source.js'

const folder = temporaryFolder()
const png = await encode('png')
const webp = await encode('webp lossless')

function makeFolder(...parts: string[]): string {
  const path = join(folder.path, ...parts)
  mkdirSync(path, { recursive: true })
  return path
}

type Entry = Pick<Header, 'name'> & Partial<Header>

/** A tar file of these entries, in order. */
async function tar(entries: readonly (readonly [Entry | string, content: Uint8Array | string])[]): Promise<Buffer> {
  const archive = pack()
  for (const [entry, content] of entries) {
    const header: Entry = typeof entry === 'string' ? { name: entry } : entry
    if (header.type === undefined) archive.entry(header, Buffer.from(content))
    else archive.entry(header)
  }
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
    assert.deepEqual(dataset.leftOut, [
      { path: join(root, 'a', 'loop'), reason: 'a linked folder, which is not entered' },
      { path: join(root, 'a', 'notes.txt'), reason: '.txt is not a picture format that is read' },
    ])
  })

  it('is refused without classes or pictures', async () => {
    const empty = makeFolder('empty')
    await refused(empty, `${empty}: wanted one sub-folder per class, found none`)
    const flat = makeFolder('flat')
    folder.write('flat/1.png', png)
    await refused(flat, `${flat}: wanted one sub-folder per class, found 1 pictures without a class`)
    const bare = makeFolder('bare', 'class')
    await refused(join(folder.path, 'bare'), `${bare}: a class folder without pictures`)
    makeFolder('bare', 'raw')
    for (const name of ['1.heic', '2.heic', '3.heic', '4.heic', 'a.bmp']) folder.write(`bare/raw/${name}`, '')
    folder.write('bare/class/1.png', png)
    const raw = join(folder.path, 'bare', 'raw')
    const [one, two, three] = [1, 2, 3].map((i) => join(raw, `${i}.heic`))
    await refused(
      join(folder.path, 'bare'),
      `${raw}: a class folder without pictures, but 4 × .heic is not a picture format that is read ` +
        `(${one}, ${two}, ${three}, …); 1 × .bmp is not a picture format that is read (${join(raw, 'a.bmp')})`,
    )
    await refused('nowhere', 'nowhere: no such file or folder')
  })

  it('lists whatever it does not use', async () => {
    const root = makeFolder('mess')
    for (const name of ['cat', 'dog', '__MACOSX/cat', '.thumbnails']) makeFolder('mess', ...name.split('/'))
    for (const name of ['cat/1.png', 'dog/1.png', 'stray.png', '__MACOSX/cat/2.png', '.thumbnails/1.png'])
      folder.write(`mess/${name}`, png)
    for (const name of ['README', 'labels.csv', 'cat/x.SVG', 'cat/.DS_Store']) folder.write(`mess/${name}`, '')
    symlinkSync(join(root, 'gone.png'), join(root, 'dog', '2.png'))
    execFileSync('mkfifo', [join(root, 'dog', '3.png')])
    const dataset = await openDataset(root)
    assert.deepEqual(names(dataset), ['cat/1.png', 'dog/1.png'])
    assert.deepEqual(dataset.classNames, ['cat', 'dog'])
    assert.deepEqual(
      (dataset.leftOut ?? []).map(({ path, reason }) => [relative(root, path), reason]),
      [
        ['README', 'no picture’s file name'],
        ['__MACOSX', 'what macOS adds to archives'],
        ['labels.csv', '.csv is not a picture format that is read'],
        ['stray.png', 'a picture beside the class folders'],
        ['cat/x.SVG', '.svg is not a picture format that is read'],
        ['dog/2.png', 'a link that leads nowhere'],
        ['dog/3.png', 'not a regular file'],
      ],
    )
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

  it('lists comments and tells of repeated pictures', async () => {
    folder.write('list/#1.png', png)
    const lines = ['# path index', `${outside} 0`, '#1.png 1', '#', `${outside} 0`, `${outside} 2`, `${outside} 0`]
    const path = folder.write('list/comments.txt', lines.join('\n'))
    const dataset = await openDataset(path)
    assert.deepEqual(names(dataset), [outside, '#1.png', outside, outside, outside])
    assert.deepEqual(dataset.leftOut, [
      { path: `${path}:1`, reason: 'a comment' },
      { path: `${path}:4`, reason: 'a comment' },
    ])
    assert.deepEqual(dataset.warnings, [
      `${path}: 2 lines name a picture that stood there before; it counts every time (${outside}: lines 2 and 5)`,
      `${path}: 1 lines give a picture another index than an earlier line (${outside}: lines 2 and 6)`,
    ])
    await checkPictures(dataset)
  })

  const bad = (name: string, content: string | Uint8Array, message: string, options?: DatasetOptions) =>
    it(`is refused: ${name}`, () => {
      const path = folder.write('list/bad.txt', content)
      return refused(path, `${path}${message}`, options)
    })
  const good = `${outside} 1\n`
  bad('a comma for a blank', `${outside},3`, `:1: wanted a blank between path and index, found ',' in '${outside},3'`)
  bad('a comma and a blank', `${outside}; 3`, `:1: wanted a blank between path and index, found ';' in '${outside}; 3'`)
  bad('the other order', `3 ${outside}`, `:1: wanted 'path index' in this order, found '3 ${outside}'`)
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
    const nothing = `${path}: holds no pictures (key.jpg, key.png, key.webp with key.cls)`
    await refused(path, `${nothing}, but 1 × field .txt is not used (bad.tar/readme.txt)`)
    const link: [Entry, string] = [{ name: 'k.jpg', type: 'symlink', linkname: 'other.jpg' }, '']
    await bad([link, ['k.cls', '1']], ": 'k' has a label but no picture; k.jpg is a link, which is not followed")
    const field = '; k.v2.jpg is a further field of its sample (.v2.jpg)'
    await bad(
      [
        ['k.v2.jpg', png],
        ['k.cls', '1'],
      ],
      `: 'k' has a label but no picture${field}`,
    )
    const absent = join(folder.path, 'shard-7.tar')
    await refused(join(folder.path, 'shard-{7..8}.tar'), `${absent}: no such file or folder`)
  })

  it('list the entries that they do not use', async () => {
    const path = folder.write(
      'mess.tar',
      await tar([
        [{ name: 'set', type: 'directory' }, ''],
        ['set/a.png', png],
        ['set/a.cls', '1'],
        ['set/a.json', '{}'],
        ['set/a.mask.png', 'anything'],
        ['set/a.mask.cls', 'anything'],
        ['set/a.mask.webp', 'anything'],
        ['README', ''],
        ['._b.png', ''],
        ['__MACOSX/set/c.png', ''],
        ['.hidden.png', ''],
        [{ name: 'd.png', type: 'link', linkname: 'set/a.png' }, ''],
        [{ name: 'e.png', type: 'fifo' }, ''],
      ]),
    )
    const dataset = await openDataset(path)
    assert.deepEqual(names(dataset), ['mess.tar/set/a.png'])
    assert.deepEqual(
      (dataset.leftOut ?? []).map(({ path, reason }) => [path.replace('mess.tar/', ''), reason]),
      [
        ['set/a.json', 'field .json is not used'],
        ['set/a.mask.webp', 'a further field of its sample (.mask.webp)'],
        ['README', 'a name without a field'],
        ['._b.png', 'what macOS adds to archives'],
        ['__MACOSX/set/c.png', 'what macOS adds to archives'],
        ['.hidden.png', 'hidden: its name starts with a dot'],
        ['d.png', 'a link, which is not followed'],
        ['e.png', 'not a regular file'],
        ['set/a.mask.png', 'a further field of its sample (.mask.png)'],
        ['set/a.mask.cls', 'a further field of its sample (.mask.cls)'],
      ],
    )
    await checkPictures(dataset)
    await dataset.close()
  })

  it('pair a picture and a label whose names agree up to their last dot', async () => {
    const entries = ['img.v1', 'img.v2'].flatMap((stem, label): [string, Uint8Array | string][] => [
      [`${stem}.png`, png],
      [`${stem}.cls`, String(label + 5)],
    ])
    const path = folder.write('dots.tar', await tar([...entries, ['img.v3.png', png]]))
    const dataset = await openDataset(path)
    assert.deepEqual(names(dataset), ['dots.tar/img.v1.png', 'dots.tar/img.v2.png'])
    assert.deepEqual(labels(dataset), [5, 6])
    assert.deepEqual(dataset.leftOut, [
      { path: 'dots.tar/img.v3.png', reason: 'a further field of its sample (.v3.png)' },
    ])
    const note = `${path}: 2 pictures have names with further dots (dots.tar/img.v1.png): paired up to the last one`
    assert.deepEqual(dataset.warnings, [note])
    await checkPictures(dataset)
  })

  it('are refused when they end early between two entries', async () => {
    const whole = await tar(shards[1])
    const closed = whole.length - 1024
    const ends = (name: string, content: Uint8Array) =>
      refused(
        folder.write(name, content),
        `${join(folder.path, name)}: ends early, behind entry 5 (${long}.cls): ` +
          'the blocks of zeros that close a tar file are missing',
      )
    await ends('open.tar', whole.subarray(0, closed))
    await ends('open.tar.gz', gzipSync(whole.subarray(0, closed)))
    const one = await openDataset(folder.write('one-block.tar', whole.subarray(0, closed + 512)))
    assert.equal(one.samples.length, 2)
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
    const test = { path: join(folder.path, 'cifar/test_batch.bin'), reason: 'beside the training batches' }
    assert.deepEqual((await openDataset(join(folder.path, 'cifar'))).leftOut, [test])
  })

  it('are refused when of another kind', async () => {
    const hundred = folder.write('cifar100.bin', new Uint8Array(2 * 3074))
    const hint = '; CIFAR-100, of two labels a record, is not read'
    await refused(
      hundred,
      `${hundred}: not a CIFAR-10 binary batch (records of 3073 bytes, but the file has 6148${hint})`,
    )
    const cut = folder.write('cut.bin', batch([1, 2]).subarray(0, 5000))
    await refused(cut, `${cut}: not a CIFAR-10 binary batch (records of 3073 bytes, but the file has 5000)`)
    const high = folder.write('high.bin', batch([1, 10]))
    await refused(high, `${high}, picture 1: label 10 is out of range (0 to 9)`)
  })
})
