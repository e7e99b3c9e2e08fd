/** How the playground is built: a static folder that works from any path, with the embedded model inside. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin } from 'vite'
import { inks, meanings, overlay, surfaces } from '../src/page/palette.js'
import { rampColours } from '../src/page/ramp.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Colours by meaning as custom properties, so that the first paint has them. */
function colours(): Plugin {
  const of = (scheme: 'light' | 'dark') =>
    Object.entries({ ...surfaces, ...inks, ...meanings })
      .map(([name, tone]) => `--${name}:${tone[scheme]}`)
      .join(';')
  const css = `:root{${of('light')};--frame:${overlay.frame};--casing:${overlay.casing}}@media(prefers-color-scheme:dark){:root{${of('dark')}}}`
  return {
    name: 'idlevit:colours',
    transformIndexHtml: () => [{ tag: 'style', children: css, injectTo: 'head-prepend' }],
  }
}

/** `virtual:ramp`: the colours of attention maps, worked out when the page is built. */
function ramp(): Plugin {
  return {
    name: 'idlevit:ramp',
    resolveId: (id) => (id === 'virtual:ramp' ? '\0ramp' : undefined),
    load: async (id) =>
      id === '\0ramp' ? `export const ramp = ${JSON.stringify((await rampColours(64)).flat())}` : undefined,
  }
}

/** The embedded model beside the page, under the name that it has for `--model`. */
function embedded(): Plugin {
  const files = ['config.json', 'model.safetensors'].map((name) => ({
    fileName: `models/demo/${name}`,
    source: readFileSync(here(`../models/scenes-idle/${name}`)),
  }))
  return {
    name: 'idlevit:embedded',
    configureServer({ middlewares }) {
      middlewares.use((request, response, next) => {
        const file = files.find(({ fileName }) => request.url === `/${fileName}`)
        if (file) response.end(file.source)
        else next()
      })
    },
    generateBundle() {
      for (const file of files) this.emitFile({ type: 'asset', ...file })
    },
  }
}

/**
 * What is fetched when it is asked for, not before: the runtime's build for WebGPU, which is twice as large, and the
 * library's own worker, which the playground does without.
 */
const onDemand = /jsep|ort\.bundle|assets\/worker-/

/** Tells the service worker which files make the playground, once they are known. */
function precache(): Plugin {
  return {
    name: 'idlevit:precache',
    apply: 'build',
    enforce: 'post',
    generateBundle(_options, bundle) {
      const worker = bundle['service-worker.js']
      if (worker?.type !== 'chunk') throw new Error('no service-worker.js was built')
      const files = Object.keys(bundle).filter((name) => name !== 'service-worker.js' && !name.endsWith('.map'))
      const list = ['./', ...files.filter((name) => !onDemand.test(name))]
      const version = hash(files.map((name) => contentOf(bundle[name] as never)).join('\0'))
      worker.code = worker.code
        .replace(/(["'`])PRECACHE\1/, JSON.stringify(JSON.stringify(list)))
        .replace('VERSION', version)
    },
  }
}

const contentOf = (file: { code?: string; source?: string | Uint8Array; fileName: string }): string =>
  file.code ?? (typeof file.source === 'string' ? file.source : file.fileName)

/** FNV-1a: tells one build from another. */
function hash(text: string): string {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return (value >>> 0).toString(16)
}

/** Without these a browser has no threads; where a host does not send them, the service worker does. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

export default defineConfig({
  root: here('.'),
  base: './',
  publicDir: false,
  plugins: [colours(), ramp(), embedded(), precache()],
  resolve: {
    alias: { idlevit: here('../src/index.ts') },
  },
  optimizeDeps: { exclude: ['onnxruntime-web'] }, // or its binary would not lie beside it
  worker: { format: 'es', plugins: () => [ramp()] },
  server: { headers: isolation, fs: { allow: [here('..')] } },
  preview: { headers: isolation },
  build: {
    outDir: here('dist'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: here('index.html'), 'service-worker': here('src/service-worker.ts') },
      output: {
        entryFileNames: ({ name }) => (name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js'),
      },
    },
  },
})
