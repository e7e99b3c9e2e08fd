/** A site on loopback with the library and its worker, models and pictures; with or without cross-origin isolation. */

import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { sha256 } from './hub.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const runtimes = {
  'onnxruntime-web': '/ort/ort.bundle.min.mjs',
  'onnxruntime-web/wasm': '/ort/ort.wasm.bundle.min.mjs',
}

/** A page that says where the runtime is, and has the library as `idlevit`. */
const emptyPage = `<!doctype html><link rel="icon" href="data:,">
<script type="importmap">{"imports":${JSON.stringify(runtimes)}}</script>
<script type="module">import * as idlevit from '/idlevit.js'; globalThis.idlevit = idlevit</script>`

export type Content = string | Uint8Array | ((request: IncomingMessage, response: ServerResponse) => void)

export interface Site {
  readonly url: string
  /** What lies there, by path. */
  readonly files: Map<string, Content>
  /** Every request: method, path, and the status of the answer. */
  readonly requests: string[]
  close(): void
}

let built: Promise<ReadonlyMap<string, Uint8Array>> | undefined

/** The library as `/idlevit.js`, and the worker beside it. */
async function library(): Promise<ReadonlyMap<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: { idlevit: join(root, 'src/index.ts'), worker: join(root, 'src/web/worker.ts') },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    external: ['onnxruntime-web'],
    outdir: '/',
    write: false,
  })
  return new Map(outputFiles.map(({ path, contents }) => [`/${basename(path)}`, contents]))
}

const types: readonly (readonly [RegExp, string])[] = [
  [/\.m?js$/, 'text/javascript'],
  [/\.wasm$/, 'application/wasm'],
  [/\.json$/, 'application/json'],
  [/\.(safetensors|onnx)$/, 'application/octet-stream'],
  [/\.png$/, 'image/png'],
  [/\.jpg$/, 'image/jpeg'],
]

/**
 * Starts a site. Files are sent with their SHA-256 as ETag, and not again to who has them.
 *
 * @param headers - sent with everything
 */
export async function startSite(headers: Readonly<Record<string, string>> = {}): Promise<Site> {
  built ??= library()
  const files = new Map<string, Content>([['/', emptyPage], ...(await built)])
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '/').replace(/\?.*/, ''))
    response.on('close', () => requests.push(`${request.method} ${path} ${response.statusCode}`))
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    const content = path.startsWith('/ort/')
      ? readFileSync(join(root, 'node_modules/onnxruntime-web/dist', basename(path)))
      : files.get(path)
    if (content === undefined) return void response.writeHead(404).end('no such file')
    if (typeof content === 'function') return content(request, response)
    send(request, response, path, content)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    files,
    requests,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

function send(request: IncomingMessage, response: ServerResponse, path: string, content: string | Uint8Array): void {
  const bytes = Buffer.from(content as Uint8Array)
  const etag = `"${sha256(bytes)}"`
  response.setHeader('Content-Type', types.find(([ending]) => ending.test(path))?.[1] ?? 'text/html')
  response.setHeader('ETag', etag)
  if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end()
  response.setHeader('Content-Length', bytes.byteLength)
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

/** Headers that make a page cross-origin isolated, without which a browser has no threads. */
export const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
} as const

/** Headers with which another site's pages may read what is sent. */
export const shared = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'ETag',
  'Cross-Origin-Resource-Policy': 'cross-origin',
} as const
