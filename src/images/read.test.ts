import assert from 'node:assert/strict'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { temporaryFolder } from '../../test/support/folder.js'
import { encode, HEIGHT, rgb, WIDTH } from '../../test/support/pictures.js'
import { MAX_FILE_BYTES } from './fetch.js'
import type { PictureInput } from './input.js'
import { readImage } from './read.js'

const folder = temporaryFolder()
const png = await encode('png')
const path = folder.write('a picture #1.png', png)

const routes: Record<string, RequestListener> = {
  '/picture.png': (_, response) => response.end(png),
  '/moved': (_, response) => response.writeHead(302, { location: '/picture.png' }).end(),
  '/round': (_, response) => response.writeHead(302, { location: '/round' }).end(),
  '/gone': (_, response) => response.writeHead(404).end('no'),
  '/page': (_, response) => response.setHeader('content-type', 'text/html; charset=utf-8').end('<p>Log in'),
  '/text': (_, response) => response.setHeader('content-type', 'text/plain').end('not a picture'),
  '/empty': (_, response) => response.end(),
  '/huge': (_, response) => response.setHeader('content-length', MAX_FILE_BYTES + 1).flushHeaders(),
  '/silent': () => {},
  '/stalls': (_, response) => response.write(png.subarray(0, 100)),
  '/breaks': (_, response) => {
    response.setHeader('content-length', png.length).write(png.subarray(0, 100), () => response.destroy())
  },
  '/secret': ({ headers }, response) =>
    headers.authorization === `Basic ${btoa('me:pass word')}` ? response.end(png) : response.writeHead(401).end(),
}
const server: Server = createServer((request, response) => routes[request.url ?? '']?.(request, response))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
after(() => {
  server.closeAllConnections()
  server.close()
})
const { port } = server.address() as AddressInfo
const at = (name: string) => `http://127.0.0.1:${port}${name}`

const refused = (picture: unknown, message: string | RegExp, options = {}) =>
  assert.rejects(readImage(picture as PictureInput, options), { name: 'InputError', message })

describe('a picture', () => {
  const pixels = (channels: number) =>
    Uint8ClampedArray.from({ length: WIDTH * HEIGHT * channels }, (_, i) =>
      i % channels === 3 ? 7 : (rgb[Math.trunc(i / channels) * 3 + (i % channels)] as number),
    )
  const file = new Uint8Array(png)
  const inside = new Uint8Array([1, 2, ...png, 3]).subarray(2, 2 + png.length)
  const inputs: Record<string, () => PictureInput> = {
    path: () => path,
    'file: URL': () => pathToFileURL(path),
    'file: text': () => pathToFileURL(path).href,
    'http: URL': () => new URL(at('/picture.png')),
    'http: text': () => at('/picture.png'),
    redirect: () => at('/moved'),
    'http: with a login': () => at('/secret').replace('http://', 'http://me:pass%20word@'),
    'data: text': () => `data:image/png;base64,${Buffer.from(png).toString('base64')}`,
    'blob: URL': () => URL.createObjectURL(new Blob([file])),
    Uint8Array: () => inside,
    Buffer: () => Buffer.from(png),
    ArrayBuffer: () => file.buffer,
    Blob: () => new Blob([file]),
    File: () => new File([file], 'x.png'),
    'Node stream': () => Readable.from([png.subarray(0, 50), png.subarray(50)]),
    'web stream': () => new Blob([file]).stream(),
    'RGB pixels': () => ({ width: WIDTH, height: HEIGHT, data: rgb }),
    'a canvas’ ImageData': () => ({ width: WIDTH, height: HEIGHT, data: pixels(4), colorSpace: 'srgb' }),
  }
  for (const [name, make] of Object.entries(inputs)) {
    it(`is read from ${name}`, async () => {
      const { width, height, data } = await readImage(make())
      assert.deepEqual([width, height, Uint8Array.from(data)], [WIDTH, HEIGHT, rgb])
    })
  }

  it('of grey pixels is spread over three channels', async () => {
    const image = await readImage({ width: 2, height: 1, data: Uint8Array.of(5, 9) })
    assert.deepEqual([...image.data], [5, 5, 5, 9, 9, 9])
  })
})

describe('a picture is refused', () => {
  it('when it is none of these', async () => {
    const wanted = 'picture: wanted a path, a URL, bytes, a Blob, a stream or pixels, found'
    await refused(7, `${wanted} Number`)
    await refused(null, `${wanted} Null`)
    await refused({ width: 2 }, `${wanted} Object`)
    await refused(new Float32Array(3), `${wanted} Float32Array without width and height`)
    await refused(new Blob([]), 'picture: the file is empty')
    await refused(new File(['text'], 'x.png'), 'x.png: not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)')
    await refused(Readable.from(['text']), 'picture: wanted a stream of bytes, found one of string')
  })

  it('when its pixels do not fit', async () => {
    const data = new Uint8Array(12)
    await refused(
      { width: 5, height: 1, data },
      'picture: wanted 5, 15, 20 values for 5×1 pixels (grey, RGB, RGBA), found 12',
    )
    await refused({ width: 1.5, height: 8, data }, 'picture: wanted width and height in whole pixels, found 1.5 × 8')
    await refused({ width: 0, height: 8, data }, 'picture: wanted width and height in whole pixels, found 0 × 8')
    const floats = new Float32Array(12)
    await refused(
      { width: 2, height: 2, data: floats },
      'picture: wanted 8-bit pixels (Uint8Array, Uint8ClampedArray), found Float32Array',
    )
  })

  it('when its URL leads nowhere', async () => {
    await refused('ftp://x/y.png', 'ftp://x/y.png: wanted a URL of http:, https:, file:, data:, blob: and not ftp:')
    await refused('http://', 'http://: not a URL')
    await refused('data:image/png', /^data:image\/png: /)
    await refused('file://elsewhere/a.png', /^file:\/\/elsewhere\/a\.png: not the URL of a file here \(.+\)$/)
    const gone = pathToFileURL(join(folder.path, 'gone.png'))
    await refused(gone, `${gone.href}: no such file`)
    await refused(at('/gone'), `${at('/gone')}: the server answered 404 Not Found`)
    await refused(at('/page'), `${at('/page')}: the server sent a web page (text/html), not a picture`)
    await refused(at('/text'), `${at('/text')}: not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)`)
    await refused(at('/empty'), `${at('/empty')}: the file is empty`)
    await refused(at('/round'), `${at('/round')}: redirect count exceeded`)
    await refused(at('/breaks'), `${at('/breaks')}: the connection broke off after 100 bytes`)
    const closed = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => closed.once('listening', resolve))
    const nobody = `http://127.0.0.1:${(closed.address() as AddressInfo).port}/`
    await new Promise((resolve) => closed.close(resolve))
    await refused(nobody, `${nobody}: the host refuses the connection`)
    const login = at('/gone').replace('http://', 'http://me:secret@')
    await refused(login, `${at('/gone')}: the server answered 404 Not Found`)
  })

  it('when a server announces too much, before anything is read', () =>
    refused(at('/huge'), `${at('/huge')}: 536870913 bytes or more, and a picture may have 536870912`))

  it('when a stream holds too much', async () => {
    const chunk = new Uint8Array(2 ** 27)
    const endless = async function* () {
      for (;;) yield chunk
    }
    await refused(endless(), 'picture: 671088640 bytes or more, and a picture may have 536870912')
  })

  it('when nothing comes for a while', async () => {
    await refused(at('/silent'), `${at('/silent')}: nothing came for 0.05 s`, { timeout: 50 })
    await refused(at('/stalls'), `${at('/stalls')}: nothing came for 0.05 s`, { timeout: 50 })
    const stalled = new Readable({ read() {} })
    await refused(stalled, 'picture: nothing came for 0.05 s', { timeout: 50 })
    assert.ok(stalled.destroyed)
  })

  it('with the signal’s reason when that gives up', async () => {
    for (const picture of [at('/silent'), at('/stalls'), new Readable({ read() {} })]) {
      const reason = new Error('enough')
      const controller = new AbortController()
      setTimeout(() => controller.abort(reason), 50)
      await assert.rejects(readImage(picture, { signal: controller.signal }), (error) => error === reason)
    }
    const { signal } = new AbortController()
    await readImage(at('/picture.png'), { signal })
    await assert.rejects(readImage(path, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })
})
