/** A static host: the files of a folder under a path, with nothing set that a plain host does not set. */

import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'

/** What a plain host calls files, by the ends of their names. */
export const types: Readonly<Record<string, string>> = {
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
  /** When the last byte of a path was handed to the network, as `performance.now()` has it. */
  readonly sent: ReadonlyMap<string, number>
  /** What is answered otherwise, by its path below the folder's. */
  readonly others: Map<string, (request: IncomingMessage, response: ServerResponse) => void>
  /** Goes away: from now on nothing answers there. */
  close(): void
}

/** Serves `folder` under `path`, such as `/some/where/`. */
export async function hostFolder(folder: string, path: string): Promise<Host> {
  const asked: string[] = []
  const sent = new Map<string, number>()
  const others: Host['others'] = new Map()
  const fileOf = (pathname: string) => {
    if (!pathname.startsWith(path)) return undefined
    const file = join(folder, normalize(`/${decodeURIComponent(pathname.slice(path.length))}`))
    return existsSync(file) && statSync(file).isDirectory() ? join(file, 'index.html') : file
  }
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    asked.push(pathname)
    const other = pathname.startsWith(path) ? others.get(pathname.slice(path.length)) : undefined
    if (other) return other(request, response)
    response.on('finish', () => sent.set(pathname, performance.now()))
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
    sent,
    others,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
