/** A folder of files as a web site on loopback, and what its pages say on the console. */

import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import type { Browser } from 'playwright-core'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.jpg': 'image/jpeg',
}

export interface Site {
  readonly url: string
  close(): void
}

export async function serveFolder(folder: string): Promise<Site> {
  const server = createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    const file = join(folder, pathname === '/' ? 'index.html' : pathname)
    if (!existsSync(file) || !statSync(file).isFile()) return void response.writeHead(404).end()
    response.setHeader('Content-Type', types[extname(file)] ?? 'application/octet-stream')
    createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() }
}

/**
 * The first `count` things that a page and its workers log.
 *
 * @throws Error with what else was on the console when the page fails, or says less within a minute
 */
export async function pageLogs(browser: Browser, url: string, count: number): Promise<unknown[]> {
  const page = await browser.newPage()
  const logs: Promise<unknown>[] = []
  const complaints: string[] = []
  try {
    await new Promise<void>((resolve, reject) => {
      const stop = (reason: string) => reject(new Error([`${url}: ${reason}`, ...complaints].join('\n')))
      const timer = setTimeout(stop, 60_000, `${logs.length} of ${count} logs within a minute`)
      page.on('pageerror', ({ message }) => stop(message))
      page.on('console', (message) => {
        if (message.type() !== 'log') return void complaints.push(message.text())
        if (logs.length === count) return // what is said later dies with the page
        const value = message.args()[0]?.jsonValue() ?? Promise.resolve()
        value.catch(() => {}) // met where all are waited for
        if (logs.push(value) < count) return
        clearTimeout(timer)
        resolve()
      })
      page.goto(url).catch((error: Error) => stop(error.message))
    })
    return await Promise.all(logs)
  } finally {
    await page.close()
  }
}
