/** What the built command takes for pictures, and what it says about the rest. */

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { runCommand } from './support/command.js'
import { temporaryFolder } from './support/folder.js'
import { golden } from './support/shared.js'

const folder = temporaryFolder()
const waves = golden('images/3-waves.jpg')
const bytes = readFileSync(waves)
const classify = (images: readonly string[], input?: Uint8Array) =>
  runCommand(['classify', ...images, '--model', 'demo', '--json'], process.env, process.cwd(), input)

const server = createServer(({ url }, response) => {
  if (url === '/waves.jpg') response.end(bytes)
  else response.writeHead(403).end()
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
after(() => server.close())
const host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const best = (stdout: string): [string, number][] =>
  JSON.parse(stdout).map(({ image, predictions }: { image: string; predictions: { score: number }[] }) => [
    image,
    predictions[0]?.score.toFixed(4),
  ])

describe('classify', () => {
  it('takes files, URLs and standard input', async () => {
    const images = [waves, '-', pathToFileURL(waves).href, `${host}/waves.jpg`]
    const { code, stdout, stderr } = await classify(images, bytes)
    assert.equal(stderr, '')
    assert.equal(code, 0)
    const [[, score] = []] = best(stdout)
    assert.deepEqual(
      best(stdout),
      images.map((image) => [image, score]),
    )
  })

  const refused: [string[], string, Uint8Array | undefined][] = [
    [[`${host}/secret.jpg`], `${host}/secret.jpg: the server answered 403 Forbidden`, undefined],
    [['-'], '-: the file is empty', undefined],
    [['-'], '-: not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)', Buffer.from('text')],
    [['-', '-'], '-: standard input can be read only once', undefined],
    [
      ['s3://bucket/a.jpg'],
      's3://bucket/a.jpg: wanted a URL of http:, https:, file:, data:, blob: and not s3:',
      undefined,
    ],
  ]
  for (const [images, message, input] of refused) {
    it(`refuses with one line: ${message.replace(host, '')}`, async () => {
      const { code, stdout, stderr } = await classify(images, input)
      assert.deepEqual([code, stdout, stderr], [1, '', `error: ${message}\n`])
    })
  }

  it('tells what it leaves out of a folder', async () => {
    mkdirSync(join(folder.path, 'photos'))
    const photo = folder.write('photos/1.jpg', bytes)
    for (let i = 0; i < 2000; i++) folder.write(`photos/${i}.heic`, '')
    const { code, stdout, stderr } = await classify([join(folder.path, 'photos')])
    assert.equal(code, 0)
    assert.deepEqual(
      best(stdout).map(([image]) => image),
      [photo],
    )
    assert.match(
      stderr,
      /^warning: left out: 2000 × \.heic is not a picture format that is read \(\S+, \S+, \S+, …\)\n$/,
    )
  })
})

describe('eval', () => {
  it('counts and names what it leaves out and what it cannot read', async () => {
    const data = join(folder.path, 'data')
    for (const name of ['boat', 'car']) {
      mkdirSync(join(data, name), { recursive: true })
      folder.write(`data/${name}/1.jpg`, bytes)
    }
    for (let i = 0; i < 12; i++) folder.write(`data/car/broken-${i}.jpg`, 'not a picture')
    folder.write('data/car/notes.txt', '')
    const args = ['eval', '--data', data, '--model', 'demo']
    const { code, stdout, stderr } = await runCommand([...args, '--json'])
    assert.equal(code, 0)
    const report = JSON.parse(stdout)
    assert.deepEqual([report.images, report.skipped.length, report.available], [2, 12, 14])
    assert.deepEqual(report.skipped[0], {
      name: 'car/broken-0.jpg',
      path: join(data, 'car', 'broken-0.jpg'),
      reason: 'not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)',
    })
    const notes = join(data, 'car', 'notes.txt')
    assert.deepEqual(report.leftOut, [{ path: notes, reason: '.txt is not a picture format that is read' }])
    assert.match(stderr, /^warning: \S+: left out: 1 × \.txt is not a picture format that is read \(\S+notes\.txt\)$/m)
    assert.equal(stderr.match(/broken-\d+\.jpg skipped/g)?.length, 10)

    const limited = await runCommand([...args, '--limit', '5'])
    assert.match(limited.stdout, /^only the first 5 of 14 pictures$/m)
    assert.match(limited.stdout, /^3 pictures skipped\n {2}3 × not a picture \(\S+, \S+, \S+\)$/m)
  })
})
