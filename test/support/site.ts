/** A site on loopback with the library as a browser loads it: bundled, onnxruntime-web beside it. */

import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = `<!doctype html><script type="importmap">{"imports":{"onnxruntime-web":"/ort/ort.bundle.min.mjs","onnxruntime-web/wasm":"/ort/ort.wasm.bundle.min.mjs"}}</script>`

/**
 * Serves an empty page, `/idlevit.js`, onnxruntime-web's files under `/ort/`, `/model.safetensors`, and other files by
 * their name.
 */
export async function serveLibrary(
  weights: Uint8Array,
  files: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<{ url: string; close(): void }> {
  const bundle = await build({
    entryPoints: [join(root, 'src/index.ts')],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    external: ['onnxruntime-web'],
    write: false,
  })
  const library = bundle.outputFiles[0]?.contents ?? new Uint8Array()
  const server = createServer(({ url = '/' }, response) => {
    // Cross-origin isolation, without which a browser has no threads.
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
    const type = /\.m?js$/.test(url) ? 'text/javascript' : url.endsWith('.wasm') ? 'application/wasm' : 'text/html'
    response.setHeader('Content-Type', type)
    if (url === '/') response.end(page)
    else if (url === '/idlevit.js') response.end(library)
    else if (url === '/model.safetensors') response.end(weights)
    else if (files[url.slice(1)] !== undefined) response.end(files[url.slice(1)])
    else if (url.startsWith('/ort/'))
      createReadStream(join(root, 'node_modules/onnxruntime-web/dist', basename(url))).pipe(response)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() }
}
