/**
 * The package as its users get it: packed, installed in an empty project from the npm registry alone, and used by
 * TypeScript, Node, Vite, webpack and esbuild as docs/install.md and docs/browser.md say.
 */

import assert from 'node:assert/strict'
import { copyFileSync, cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it, type TestContext } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build as bundle } from 'esbuild'
import { sceneClasses } from '../src/data/scenes/scene.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { fencedBlocks, readDocument } from './support/documents.js'
import { temporaryFolder } from './support/folder.js'
import { emptyProject, type Packed, pack, runIn, unreachable } from './support/packed.js'
import { drawn, writePhoto } from './support/photo.js'
import { pageLogs, serveFolder } from './support/static.js'

const root = fileURLToPath(new URL('..', import.meta.url))
/** The last one that runs on Node 20. */
const VITE = 'vite@7.3.8'
const WEBPACK = 'webpack@5.112.2'
const REACT = ['react@19.2.0', 'react-dom@19.2.0']
const SKIP = { ONNXRUNTIME_NODE_INSTALL: 'skip' }

const folder = temporaryFolder()
const project = join(folder.path, 'project')
const label = sceneClasses[drawn.label]

let packed: Packed
/** Why nothing could be installed; undefined when it was. */
let offline: string | undefined

before(async () => {
  packed = await pack(folder.path)
  emptyProject(project)
  // Asked first and once: an installation goes on for minutes before it gives up.
  const asked = await runIn(project, 'npm', ['view', VITE, 'version', '--fetch-retries=0', '--fetch-timeout=20000'])
  const reason = unreachable(asked)
  if (reason !== undefined) offline = `the npm registry cannot be reached (${reason})`
  else {
    const installed = await runIn(project, 'npm', [
      'install',
      '--prefer-offline',
      packed.tarball,
      VITE,
      WEBPACK,
      ...REACT,
    ])
    assert.equal(installed.code, 0, installed.stderr)
  }
  await writePhoto(join(project, 'photo.jpg'))
})

/** A test that needs the installed package: skips, saying so, without the registry. */
const installedIt = (name: string, test: (t: TestContext) => Promise<void>, options: { skip?: string | false } = {}) =>
  it(name, options, (t) => (offline === undefined ? test(t) : t.skip(offline)))

const classify = () =>
  runIn(project, 'npx', ['--no-install', 'idlevit', 'classify', 'photo.jpg', '--model', 'demo', '--json'])

describe('the packed package', { timeout: 300_000 }, () => {
  it('holds what it needs, and nothing else', () => {
    const superfluous = packed.files.filter(
      (path) =>
        !/^(dist\/.+\.(js|d\.ts)|models\/[^/]+\/(config\.json|model\.safetensors)|docs\/[^/]+\.md|docs\/images\/[^/]+)$/.test(
          path,
        ) && !/^(README|CHANGELOG|CONTRIBUTING|models\/README)\.md$|^LICENSE$|^package\.json$/.test(path),
    )
    assert.deepEqual(superfluous, [])
    assert.deepEqual(
      packed.files.filter((path) => /\.test\.|^dist\/(cli|demo)\//.test(path)),
      [],
    )
    // Links of the README, among them its picture, lead into the package.
    const linked = [...readDocument('README.md').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path = '']) => path)
    assert.ok(linked.length > 3)
    assert.deepEqual(
      linked.filter((path) => !packed.files.includes(path)),
      [],
    )
  })

  installedIt('runs from the command line, or says what is missing and how to get it', async () => {
    const first = await classify()
    if (first.code !== 0) {
      // What npm does from 12 on, and every npm on other systems: it has no script to fail.
      assert.equal(first.code, 1, first.stderr)
      assert.match(
        first.stderr,
        /^error: onnxruntime-node is not installed, [^\n]*: (ONNXRUNTIME_NODE_INSTALL=skip npm install) \([^\n]*\)\n$/,
      )
      const again = await runIn(project, 'npm', ['install', '--prefer-offline'], SKIP)
      assert.equal(again.code, 0, again.stderr)
    }
    const { code, stdout, stderr } = first.code === 0 ? first : await classify()
    assert.equal(code, 0, stderr)
    assert.equal(JSON.parse(stdout)[0].predictions[0].label, label)
  })

  installedIt('is imported and required', async () => {
    const check =
      "if (a.sceneClasses.length !== 16 || typeof b.loadClassifier !== 'function') throw new Error('exports')"
    writeFileSync(join(project, 'a.mjs'), `import * as a from 'idlevit'\nimport * as b from 'idlevit/node'\n${check}`)
    writeFileSync(join(project, 'b.cjs'), `const a = require('idlevit'), b = require('idlevit/node')\n${check}`)
    for (const file of ['a.mjs', 'b.cjs'])
      assert.deepEqual(await runIn(project, process.execPath, [file]), { code: 0, stdout: '', stderr: '' }, file)
  })

  installedIt('has types under nodenext and bundler, without skipLibCheck', async () => {
    const uses = `import { openWebClassifier, type Preprocess } from 'idlevit'
      import { loadClassifier, type PictureClassifier } from 'idlevit/node'
      export const open: (name: string) => Promise<PictureClassifier> = loadClassifier
      export const crop = ({ crop }: Preprocess): number => crop
      // @ts-expect-error: a name is no model
      openWebClassifier('demo')\n`
    for (const extension of ['mts', 'cts']) writeFileSync(join(project, `types.${extension}`), uses)
    const common = ['--noEmit', '--strict', '--target', 'es2022', '--types', '']
    const flags = {
      nodenext: ['--module', 'nodenext', 'types.mts', 'types.cts'],
      bundler: ['--module', 'esnext', '--moduleResolution', 'bundler', 'types.mts'],
    }
    for (const [name, more] of Object.entries(flags)) {
      const args = [join(root, 'node_modules/typescript/bin/tsc'), ...common, ...more]
      const { code, stdout } = await runIn(project, process.execPath, args)
      assert.equal(code, 0, `${name}: ${stdout}`)
    }
  })

  /** The page of docs/browser.md, a worker of the same text, and the files that they fetch, in a folder of its own. */
  async function site(name: string, files: string): Promise<string> {
    const [program] = fencedBlocks('docs/browser.md').filter(({ language }) => language === 'ts')
    assert.ok(program)
    const path = join(project, name)
    mkdirSync(join(path, files), { recursive: true })
    const worker = "new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })\n"
    writeFileSync(join(path, 'page.ts'), `${program.text}\n${worker}`)
    writeFileSync(join(path, 'worker.ts'), program.text)
    writeFileSync(join(path, 'index.html'), '<!doctype html><script type="module" src="/page.ts"></script>')
    await writePhoto(join(path, files, 'photo.jpg'))
    cpSync(join(project, 'node_modules/idlevit/models/scenes-idle'), join(path, files, 'scenes-idle'), {
      recursive: true,
    })
    return path
  }

  /** What a page and its worker say about the picture: the same, and right. */
  async function answers(url: string): Promise<void> {
    const browser = await launchChromium()
    try {
      const logs = (await pageLogs(browser, url, 2)) as { label: string; score: number }[]
      assert.deepEqual(
        logs.map((best) => best.label),
        [label, label],
      )
      assert.equal(logs[0]?.score, logs[1]?.score)
    } finally {
      await browser.close()
    }
  }

  installedIt(
    'is bundled by esbuild, for a page and a worker',
    async () => {
      const path = await site('esbuild', 'public')
      const outdir = join(path, 'public')
      const entryPoints = ['page.ts', 'worker.ts'].map((name) => join(path, name))
      await bundle({ entryPoints, bundle: true, splitting: true, format: 'esm', outdir })
      const runtime = 'ort-wasm-simd-threaded.wasm'
      copyFileSync(join(project, 'node_modules/onnxruntime-web/dist', runtime), join(outdir, runtime))
      writeFileSync(join(outdir, 'index.html'), '<!doctype html><script type="module" src="/page.js"></script>')
      const server = await serveFolder(outdir)
      await answers(server.url).finally(server.close)
    },
    needsChromium,
  )

  installedIt(
    'is served, built and previewed by Vite, for a page and a worker',
    async (t) => {
      const path = await site('vite', 'public')
      const config = fencedBlocks('docs/browser.md').find(({ text }) => text.startsWith('// vite.config.js'))
      assert.ok(config)
      writeFileSync(join(path, 'vite.config.js'), config.text)
      const vite = (await import(pathToFileURL(join(project, 'node_modules/vite/dist/node/index.js')).href)) as Vite
      const options = {
        root: path,
        logLevel: 'error',
        server: { host: '127.0.0.1' },
        preview: { host: '127.0.0.1' },
        build: { reportCompressedSize: false },
      }
      await t.test('dev', async () => {
        const server = await vite.createServer(options)
        await server.listen()
        await answers(server.resolvedUrls.local[0] ?? '').finally(() => server.close())
      })
      await t.test('build and preview', async () => {
        await vite.build(options)
        const server = await vite.preview(options)
        await answers(server.resolvedUrls.local[0] ?? '').finally(() => server.close())
      })
    },
    needsChromium,
  )

  installedIt(
    'is bundled by webpack without configuration, for a page and a worker',
    async () => {
      const path = await site('webpack', 'public')
      const outdir = join(path, 'public')
      for (const name of ['page', 'worker']) renameSync(join(path, `${name}.ts`), join(path, `${name}.js`))
      const { default: webpack } = (await import(
        pathToFileURL(join(project, 'node_modules/webpack/lib/index.js')).href
      )) as { default: Webpack }
      const faults = await new Promise<string>((resolve, reject) =>
        webpack({ context: path, entry: './page.js', mode: 'development', output: { path: outdir } }, (error, stats) =>
          error ? reject(error) : resolve(stats.toString({ preset: 'errors-only' })),
        ),
      )
      assert.equal(faults, '')
      writeFileSync(join(outdir, 'index.html'), '<!doctype html><script src="/main.js" defer></script>')
      const server = await serveFolder(outdir)
      await answers(server.url).finally(server.close)
    },
    needsChromium,
  )

  installedIt(
    'answers in a React component, which loads it in a worker and frees it',
    async () => {
      const path = await site('react', 'public')
      const [component] = fencedBlocks('docs/browser.md').filter(({ language }) => language === 'tsx')
      const config = fencedBlocks('docs/browser.md').find(({ text }) => text.startsWith('// vite.config.js'))
      assert.ok(component && config)
      writeFileSync(join(path, 'label.tsx'), component.text)
      writeFileSync(join(path, 'vite.config.js'), config.text)
      writeFileSync(
        join(path, 'page.ts'),
        `import { createElement, StrictMode } from 'react'
        import { createRoot } from 'react-dom/client'
        import { Label } from './label'
        const root = createRoot(document.body.appendChild(document.createElement('main')))
        root.render(createElement(StrictMode, null, createElement(Label, { picture: '/photo.jpg' })))
        const seen = new MutationObserver(() => {
          const text = document.querySelector('output')?.textContent
          if (!text || text === 'loading …') return
          seen.disconnect()
          root.unmount()
          console.log(text)
        })
        seen.observe(document.body, { subtree: true, childList: true, characterData: true })`,
      )
      const vite = (await import(pathToFileURL(join(project, 'node_modules/vite/dist/node/index.js')).href)) as Vite
      const build = { reportCompressedSize: false, minify: false }
      await vite.build({ root: path, logLevel: 'error', build, esbuild: { jsx: 'automatic' } })
      const server = await serveFolder(join(path, 'dist'))
      const browser = await launchChromium()
      try {
        assert.deepEqual(await pageLogs(browser, server.url, 1), [label])
      } finally {
        await browser.close()
        server.close()
      }
    },
    needsChromium,
  )
})

/** What is used of webpack, which is no dependency here. */
type Webpack = (
  options: object,
  done: (error: Error | null, stats: { toString(options: object): string }) => void,
) => void

/** What is used of Vite, which is no dependency here. */
interface Vite {
  createServer(options: object): Promise<ViteServer & { listen(): Promise<unknown> }>
  build(options: object): Promise<unknown>
  preview(options: object): Promise<ViteServer>
}

interface ViteServer {
  readonly resolvedUrls: { readonly local: readonly string[] }
  close(): Promise<void>
}
