/** What a page keeps of a model, asks again, and says when a download fails: in a real Chromium, on loopback. */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { imagenetPreprocess } from '../src/images/preprocess.js'
import type { LoadWebClassifierOptions } from '../src/index.js'
import { modelConfigJson } from '../src/weights/config-file.js'
import { writeSafetensors } from '../src/weights/safetensors.js'
import type { StateDict } from '../src/weights/state.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { commit, gitOid, sha256 } from './support/hub.js'
import { randomWeights, tiny } from './support/models.js'
import { shareRepository } from './support/web-hub.js'
import { withPage } from './support/web-page.js'
import { type Content, type Site, shared, startSite } from './support/web-site.js'

const weights = Buffer.concat(writeSafetensors(randomWeights(tiny, 8) as StateDict))
const config = JSON.stringify(modelConfigJson({ config: tiny, preprocess: imagenetPreprocess(tiny.imageSize) }))

let browser: Browser
/** The page's own site, another that lets it read, and one that does not. */
let home: Site
let open: Site
let closed: Site

before(async () => {
  if (needsChromium.skip) return
  ;[home, open, closed] = await Promise.all([startSite(), startSite(shared), startSite()])
  for (const { files } of [home, open, closed]) {
    files.set('/model/config.json', config)
    files.set('/model/model.safetensors', weights)
  }
  browser = await launchChromium()
})

after(async () => {
  await browser?.close()
  for (const site of [home, open, closed]) site?.close()
})

/** Loads a model and tells what came of it: the warnings, or the error. */
const load = (page: Page, source: string, options: LoadWebClassifierOptions = {}) =>
  page.evaluate(
    async ({ source, options }) => {
      const last: Record<string, string> = {}
      const onProgress = ({
        file,
        bytes,
        total,
        cached,
      }: {
        file: string
        bytes: number
        total?: number
        cached: boolean
      }) => {
        last[file] = `${bytes} of ${total}${cached ? ', cached' : ''}`
      }
      try {
        const classifier = await idlevit.loadWebClassifier(source, { device: 'wasm', ...options, onProgress })
        const { logits } = await classifier.forward(new Float32Array(3 * 32 * 32))
        await classifier.close()
        return { logits: logits.length, warnings: [...classifier.warnings], progress: last }
      } catch (error) {
        return { error: `${(error as Error).name}: ${(error as Error).message}`, progress: last }
      }
    },
    { source, options },
  )

const good = (progress: Record<string, string>, warnings: readonly string[] = []) => ({ logits: 5, warnings, progress })

const fresh = {
  'config.json': `${config.length} of ${config.length}`,
  'model.safetensors': `${weights.length} of ${weights.length}`,
}
const cached = Object.fromEntries(Object.entries(fresh).map(([file, bytes]) => [file, `${bytes}, cached`]))

/** Requests for a model's files since the last time. */
const requestsOf = ({ requests }: Site) => requests.splice(0).filter((line) => /\/(model|api|resolve)\//.test(line))

describe('the cache', { ...needsChromium, timeout: 300_000 }, () => {
  it('asks the page’s own site whether a copy is still right', () =>
    withPage(browser, home, async (page) => {
      const changed = Buffer.from(config.replace('"LABEL_0"', '"a new name"'))
      requestsOf(home)
      assert.deepEqual(await load(page, '/model/'), good(fresh))
      assert.deepEqual(requestsOf(home), ['GET /model/config.json 200', 'GET /model/model.safetensors 200'])
      assert.deepEqual(await load(page, '/model/'), good(cached))
      assert.deepEqual(requestsOf(home), ['GET /model/config.json 304', 'GET /model/model.safetensors 304'])
      home.files.set('/model/config.json', changed)
      const found = await load(page, '/model/')
      assert.equal(found.progress['config.json'], `${changed.length} of ${changed.length}`)
      assert.equal(found.progress['model.safetensors'], cached['model.safetensors'])
      home.files.set('/model/config.json', config)
    }))

  it('asks another site by a HEAD, which needs no preflight', () =>
    withPage(
      browser,
      home,
      async (page) => {
        const source = `${open.url}model/model.safetensors`
        requestsOf(open)
        assert.deepEqual(await load(page, source), good(fresh))
        assert.deepEqual(await load(page, source), good(cached))
        assert.deepEqual(requestsOf(open), [
          'GET /model/config.json 200',
          'GET /model/model.safetensors 200',
          'HEAD /model/config.json 200',
          'HEAD /model/model.safetensors 200',
        ])
        // Not every server answers it.
        open.files.set('/headless/config.json', config)
        open.files.set('/headless/model.safetensors', (request, response) => {
          response.writeHead(request.method === 'HEAD' ? 405 : 200)
          response.end(request.method === 'HEAD' ? undefined : weights)
        })
        for (const _ of ['first', 'again']) assert.equal((await load(page, `${open.url}headless/`)).logits, 5)
      },
      true,
    ))

  it('is not needed', () =>
    withPage(browser, home, async (page) => {
      requestsOf(home)
      assert.deepEqual(await load(page, '/model/', { cache: false }), good(fresh))
      await page.evaluate(() => Object.defineProperty(globalThis, 'caches', { value: undefined })) // as without https
      assert.deepEqual(await load(page, '/model/'), good(fresh))
      // The browser's own cache asks.
      assert.deepEqual(requestsOf(home).length, 4)
    }))

  it('serves where there is no network, and says so', () =>
    withPage(
      browser,
      home,
      async (page) => {
        await load(page, '/model/')
        await page.context().setOffline(true)
        const files = ['config.json', 'model.safetensors']
        const warnings = files.map(
          (file) => `${home.url}model/${file}: there is no network; the copy in this browser's cache is used`,
        )
        assert.deepEqual(await load(page, '/model/'), good(cached, warnings))
        assert.deepEqual(await load(page, '/other/'), {
          error: `InputError: ${home.url}other/config.json: there is no network`,
          progress: {},
        })
      },
      true,
    ))

  it('may be full: the model is there all the same', () =>
    withPage(browser, home, async (page) => {
      const session = await page.context().newCDPSession(page)
      await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(home.url).origin, quotaSize: 20_000 })
      const found = await load(page, '/model/')
      assert.deepEqual(
        found,
        good(fresh, [
          `${home.url}model/model.safetensors is not kept for the next visit: this browser's storage for the page is full`,
        ]),
      )
      await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(home.url).origin })
    }))
})

describe('a model of the hub', { ...needsChromium, timeout: 300_000 }, () => {
  const files: Readonly<Record<string, Uint8Array>> = {
    'config.json': Buffer.from(config),
    'model.safetensors': weights,
  }
  const list = (sha: string, more: object = {}): string =>
    JSON.stringify({
      sha,
      siblings: Object.entries(files).map(([rfilename, bytes]) => ({
        rfilename,
        size: bytes.byteLength,
        blobId: gitOid(bytes),
        ...(rfilename.endsWith('.safetensors') && { lfs: { sha256: sha256(bytes), size: bytes.byteLength } }),
        ...more,
      })),
    })
  const status =
    (code: number): Content =>
    (_, response) =>
      void response.writeHead(code).end()

  before(() => {
    if (needsChromium.skip) return
    const set = (path: string, content: Content) => open.files.set(path, content)
    set('/api/models/owner/model/revision/main', list(commit))
    set(`/api/models/owner/model/revision/${commit}`, list(commit))
    set('/api/models/facebook/deit-tiny-patch16-224/revision/main', list(commit))
    set('/api/models/owner/damaged/revision/main', list(commit, { lfs: { sha256: '0'.repeat(64) } }))
    set(
      '/api/models/owner/torch/revision/main',
      JSON.stringify({ sha: commit, siblings: [{ rfilename: 'pytorch_model.bin' }] }),
    )
    set('/api/models/owner/strange/revision/main', '<html>')
    set('/api/models/owner/private/revision/main', status(401))
    set('/api/models/owner/gated/revision/main', status(403))
    set('/api/models/owner/busy/revision/main', status(503))
    for (const name of ['owner/model', 'owner/damaged', 'facebook/deit-tiny-patch16-224'])
      for (const [file, bytes] of Object.entries(files)) set(`/${name}/resolve/${commit}/${file}`, bytes)
  })

  it('is kept by its commit: a second visit asks once, one without a network not at all', () =>
    withPage(
      browser,
      home,
      async (page) => {
        const endpoint = open.url
        requestsOf(open)
        assert.deepEqual(await load(page, 'owner/model', { endpoint }), good(fresh))
        assert.deepEqual(requestsOf(open), [
          'GET /api/models/owner/model/revision/main 200',
          `GET /owner/model/resolve/${commit}/config.json 200`,
          `GET /owner/model/resolve/${commit}/model.safetensors 200`,
        ])
        assert.deepEqual(await load(page, 'owner/model@main', { endpoint, worker: true }), good(cached))
        assert.deepEqual(requestsOf(open), ['GET /api/models/owner/model/revision/main 200'])
        assert.deepEqual(await load(page, `owner/model@${commit}`, { endpoint }), good(cached))
        assert.deepEqual(await load(page, 'deit-tiny', { endpoint }), good(fresh))
        await page.context().setOffline(true)
        const found = await load(page, 'owner/model', { endpoint })
        assert.equal(found.logits, 5)
        assert.match(String(found.warnings), /there is no network; owner\/model is as this browser's cache has it$/)
      },
      true,
    ))

  it('comes by a redirect to another server, with a token where one is wanted', () =>
    withPage(
      browser,
      home,
      async (page) => {
        const content = await startSite({ 'Access-Control-Allow-Origin': '*' })
        try {
          shareRepository(open, content, 'owner/redirected', files)
          shareRepository(open, content, 'owner/guarded', files, 'hf_right')
          const endpoint = open.url
          for (const worker of [false, true]) {
            requestsOf(open)
            content.requests.length = 0
            const cache = `redirected ${worker}`
            assert.deepEqual(await load(page, 'owner/redirected', { endpoint, worker, cache }), good(fresh))
            assert.deepEqual(requestsOf(open), [
              'GET /api/models/owner/redirected/revision/main 200',
              `GET /owner/redirected/resolve/${commit}/config.json 302`,
              `GET /owner/redirected/resolve/${commit}/model.safetensors 302`,
            ])
            assert.deepEqual(content.requests, [
              `GET /content/${sha256(Buffer.from(config))} 200`,
              `GET /content/${sha256(weights)} 200`,
            ])
            assert.deepEqual(await load(page, 'owner/redirected', { endpoint, worker, cache }), good(cached))
          }
          const token = 'hf_right'
          assert.deepEqual(await load(page, 'owner/guarded', { endpoint, token, cache: 'guarded' }), good(fresh))
          assert.match((await load(page, 'owner/guarded', { endpoint })).error ?? '', /or it needs a token \(401\)$/)
          const wrong = await load(page, 'owner/guarded', { endpoint, token: 'hf_wrong' })
          assert.match(wrong.error ?? '', /refuses the token for owner\/guarded/)
        } finally {
          content.close()
        }
      },
      true,
    ))

  it('is refused in words', () =>
    withPage(
      browser,
      home,
      async (page) => {
        const endpoint = open.url.replace(/\/$/, '')
        const cases: readonly (readonly [string, string])[] = [
          ['owner/none', `no model named owner/none on ${endpoint} (404)`],
          ['owner/model@v2', `no model named owner/model on ${endpoint}, or no revision v2 of it (404)`],
          ['owner/private', `no model named owner/private on ${endpoint}, or it needs a token (401)`],
          ['owner/gated', `access to owner/gated is restricted: ask for it at ${endpoint}/owner/gated (403)`],
          ['owner/busy', `${endpoint}: the server is in trouble, try again later (503)`],
          ['owner/strange', `${endpoint} does not answer like a hub: no commit for owner/strange`],
          [
            'owner/damaged',
            `${endpoint}/owner/damaged/resolve/${commit}/config.json: damaged on the way: its SHA-256 is ${sha256(Buffer.from(config)).slice(0, 16)}…, wanted 0000000000000000…`,
          ],
          [
            'owner/torch',
            `${endpoint}/owner/torch/resolve/${commit}/: weights in torch's format or in several files, which only Node reads: idlevit export writes what a page can load`,
          ],
          ['owner/model@a..b', 'owner/model@a..b: wanted a branch, a tag or a commit behind the @, found "a..b"'],
        ]
        for (const [source, message] of cases)
          assert.equal((await load(page, source, { endpoint })).error, `InputError: ${message}`)
        const unknown = await load(page, 'resnet', { endpoint })
        assert.match(
          unknown.error ?? '',
          /^InputError: unknown model resnet: neither an address \(http:.*deit-base-distilled/,
        )
      },
      true,
    ))
})

describe('a download that fails', { ...needsChromium, timeout: 300_000 }, () => {
  it('says in one line how', () =>
    withPage(
      browser,
      home,
      async (page) => {
        const status =
          (code: number): Content =>
          (_, response) =>
            void response.writeHead(code).end()
        const set = (path: string, content: Content) => home.files.set(path, content)
        const zip = Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(100)])
        set('/401/model.safetensors', status(401))
        set('/403/model.safetensors', status(403))
        set('/429/model.safetensors', status(429))
        set('/500/model.safetensors', status(500))
        set('/page/model.safetensors', '<!doctype html><title>not found</title>')
        set('/page/config.json', '<!doctype html><title>not found</title>')
        set('/torch/model.safetensors', zip)
        set('/lfs/model.safetensors', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')
        set('/text/model.safetensors', 'these are no weights at all')
        set('/empty/model.safetensors', '')
        set('/cut/model.safetensors', weights.subarray(0, 9000))
        set(
          '/other/model.safetensors',
          Buffer.concat(writeSafetensors(new Map([['a', { dtype: 'F32', shape: [1], data: new Float32Array(1) }]]))),
        )
        set('/json/config.json', '{"model_type": ')
        set('/broken/model.safetensors', (_, response) => {
          response.writeHead(200, { 'content-length': weights.length })
          response.write(weights.subarray(0, 10_000), () => setTimeout(() => response.destroy(), 100))
        })
        const at = (path: string) => `${home.url}${path}/model.safetensors`
        const cases: readonly (readonly [string, string | RegExp])[] = [
          ['/none/', `${home.url}none/ holds no model: wanted model.safetensors or onnx/model.onnx`],
          ['/none/model.safetensors', `${at('none')}: there is no such file (404)`],
          ['/401/', `${at('401')}: the server wants to know who asks (401)`],
          ['/403/', `${at('403')}: the server refuses access (403)`],
          ['/429/', `${at('429')}: the server has had too many requests, try again later (429)`],
          ['/500/', `${at('500')}: the server is in trouble, try again later (500)`],
          ['/page/', `${at('page')}: a web page, not a model: the server has no such file`],
          ['/torch/', /: a torch checkpoint, which only Node reads: idlevit export --model FILE --out FOLDER writes/],
          ['/lfs/', `${at('lfs')}: a Git LFS pointer, not the weights themselves`],
          ['/text/', `${at('text')}: not a model: wanted a safetensors file`],
          ['/empty/', `${at('empty')}: the file is empty`],
          [
            '/cut/',
            /cut\/model\.safetensors: not a valid safetensors file: the tensors need \d+ bytes but .* truncated\?$/,
          ],
          ['/other/', /cls_token|not a ViT|vision transformer/],
          ['/json/', `${home.url}json/config.json: not valid JSON`],
          ['/broken/', new RegExp(`${at('broken')}: the connection broke off after \\d+ of ${weights.length} bytes$`)],
          [
            `${closed.url}model/`,
            /model\/config\.json: the server does not let this page read it \(CORS\): it would have to/,
          ],
          [
            'http://127.0.0.1:9/model/',
            'http://127.0.0.1:9/model/config.json: the server cannot be reached, or there is none',
          ],
        ]
        for (const worker of [false, true])
          for (const [source, message] of cases) {
            const { error = 'no error' } = await load(page, source, { worker })
            if (typeof message === 'string') assert.equal(error, `InputError: ${message}`)
            else assert.match(error, message, source)
            assert.match(error, /^InputError: [^\n]*$/, source)
          }
        assert.deepEqual(await load(page, '/model/'), good(fresh)) // the page goes on
      },
      true,
    ))

  it('is given up when the signal says so', () =>
    withPage(browser, home, async (page) => {
      home.files.set('/slow/config.json', config)
      home.files.set('/slow/model.safetensors', (_, response) => {
        response.writeHead(200, { 'content-length': weights.length })
        response.write(weights.subarray(0, 10_000))
      })
      for (const worker of [false, true]) {
        const found = await page.evaluate(async (worker) => {
          const controller = new AbortController()
          const onProgress = ({ bytes }: { bytes: number }) => bytes >= 10_000 && controller.abort(new Error('enough'))
          const loading = idlevit.loadWebClassifier('/slow/', { worker, signal: controller.signal, onProgress })
          return loading.then(String, (error: Error) => error.message)
        }, worker)
        assert.equal(found, 'enough')
        while (page.workers().length > 0) await page.workers()[0]?.waitForEvent('close')
      }
    }))
})

describe('a picture that is none', { ...needsChromium, timeout: 300_000 }, () => {
  it('is called by what it is, and the page goes on', () =>
    withPage(
      browser,
      home,
      async (page) => {
        home.files.set('/text.png', 'this is no picture')
        home.files.set('/page.png', (_, response) => void response.setHeader('content-type', 'text/html').end('<html>'))
        for (const worker of [false, true]) {
          const found = await page.evaluate(async (worker) => {
            const classifier = await idlevit.loadWebClassifier('/model/', { worker })
            const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0])
            const cases: unknown[] = [
              '/text.png',
              '/page.png',
              '/none.png',
              new Blob(['%PDF-1.4']),
              new File([png], 'cut.png'),
              new Blob([]),
              Object.assign(new Image(), { src: '/text.png' }),
              { width: 2, height: 2, data: new Uint8Array(3) },
              { width: 2, height: 2, data: [0] },
              42,
              null,
              Object.assign(document.createElement('canvas'), { width: 0 }),
            ]
            const messages = []
            for (const picture of cases)
              messages.push(
                await classifier
                  .classify(picture as Blob)
                  .then(String, (error: Error) => `${error.name}: ${error.message}`),
              )
            const data = new ImageData(40, 40)
            const given = new AbortController()
            given.abort(new Error('enough'))
            messages.push(
              await classifier
                .classify(data, 1, { signal: given.signal })
                .then(String, (error: Error) => error.message),
            )
            messages.push((await classifier.classify(data, 1)).length)
            await classifier.close()
            return messages
          }, worker)
          assert.deepEqual(found, [
            `InputError: ${home.url}text.png: not a picture that this browser reads`,
            `InputError: ${home.url}page.png: the server sent a web page (text/html), not a picture`,
            `InputError: ${home.url}none.png: there is no such file (404)`,
            'InputError: picture: not a picture that this browser reads, but a PDF document',
            'InputError: cut.png: damaged, or a PNG that this browser does not read',
            'InputError: picture: the file is empty',
            `InputError: ${home.url}text.png: not a picture that this browser reads`,
            'InputError: picture: wanted 4, 12, 16 values for 2×2 pixels (grey, RGB, RGBA), found 3',
            'InputError: picture: wanted 8-bit pixels (Uint8Array, Uint8ClampedArray), found Array',
            'InputError: picture: wanted an address, a Blob, ImageData, an element or a frame that can be drawn, found Number',
            'InputError: picture: wanted an address, a Blob, ImageData, an element or a frame that can be drawn, found Null',
            "InputError: picture: cannot be drawn (The image source's width is 0.)",
            'enough',
            1,
          ])
        }
      },
      true,
    ))
})
