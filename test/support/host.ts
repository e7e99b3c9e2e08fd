/** A static host: the files of a folder under a path, with nothing set that a plain host does not set. */

import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

export interface Host {
  /** Ends with the path and a slash. */
  readonly url: string
  /** Paths that were asked for, in their order. */
  readonly asked: string[]
  /** Goes away: from now on nothing answers there. */
  close(): void
}

/** Serves `folder` under `path`, such as `/some/where/`. */
export async function hostFolder(folder: string, path: string): Promise<Host> {
  const asked: string[] = []
  const fileOf = (pathname: string) => {
    if (!pathname.startsWith(path)) return undefined
    const file = join(folder, normalize(`/${decodeURIComponent(pathname.slice(path.length))}`))
    return existsSync(file) && statSync(file).isDirectory() ? join(file, 'index.html') : file
  }
  const server = createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    asked.push(pathname)
    const file = fileOf(pathname)
    if (!file || !existsSync(file)) {
      response.writeHead(404).end()
      return
    }
    response.setHeader('Content-Type', types[extname(file)] ?? 'application/octet-stream')
    response.setHeader('Content-Length', statSync(file).size)
    response.setHeader('Cache-Control', 'max-age=600')
    createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    asked,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
