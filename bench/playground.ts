/**
 * How fast the playground is there, as Lighthouse counts it: first and largest paint, blocking time, layout shift and bytes
 * of a first visit in a fresh profile, and when the first answer is there, on loopback and on a line of 10 Mbit/s.
 *
 *   npx tsx bench/playground.ts [--visits 7]
 *
 * Medians, and what they are between. The machine should do nothing else. Needs chromium, as the tests do.
 */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { loadavg, tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { launchChromium } from '../test/support/chromium.js'
import { types } from '../test/support/host.js'
import { ready } from '../test/support/playground.js'
import { spread } from './statistics.js'

const { values } = parseArgs({ options: { visits: { type: 'string', default: '7' } } })

/** A host that compresses what it sends, over a line of so many bytes a second that all requests share. */
async function host(folder: string, rate: number) {
  const files = new Map(
    readdirSync(folder, { recursive: true })
      .map(String)
      .filter((name) => statSync(join(folder, name)).isFile())
      .map((name) => [`/${name}`, gzipSync(readFileSync(join(folder, name)), { level: 6 })]),
  )
  let free = 0
  let bytes = 0
  let runtime = Number.NaN
  const server = createServer(async ({ url = '/' }, response) => {
    const path = url === '/' ? '/index.html' : url
    const content = files.get(path)
    if (!content) return void response.writeHead(404).end()
    response.writeHead(200, {
      'Content-Type': types[extname(path)] ?? 'application/octet-stream',
      'Content-Encoding': 'gzip',
      'Content-Length': content.length,
      'Cache-Control': 'max-age=600',
    })
    for (let at = 0; at < content.length; at += 16384) {
      const part = content.subarray(at, at + 16384)
      free = Math.max(free, performance.now()) + (part.length / rate) * 1000
      if (free - performance.now() > 1) await wait(free - performance.now())
      response.write(part)
      bytes += part.length
    }
    response.end()
    if (path.endsWith('.wasm')) runtime = performance.now()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    told: () => ({ bytes, runtime }),
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

interface Seen {
  largest: number
  blocked: number
  shift: number
}

/** Writes down what the browser says of paints, long tasks and shifts. Runs in the page. */
function observe(): void {
  const seen: Seen = { largest: Number.NaN, blocked: 0, shift: 0 }
  const on = (type: string, take: (entry: PerformanceEntry & { value: number }) => void) =>
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) take(entry as PerformanceEntry & { value: number })
    }).observe({ type, buffered: true })
  on('largest-contentful-paint', ({ startTime }) => {
    seen.largest = startTime
  })
  on('longtask', ({ duration }) => {
    seen.blocked += duration - 50
  })
  on('layout-shift', ({ value }) => {
    seen.shift += value
  })
  Object.assign(window, { seen })
}

const names = {
  paint: 'first paint, ms',
  largest: 'largest paint, ms',
  blocked: 'blocking time before the first answer, ms',
  shift: 'layout shift',
  answer: 'first answer, ms',
  behind: 'first answer behind the last byte of the runtime, ms',
  bytes: 'bytes of all before the first answer',
} as const

const folder = await mkdtemp(join(tmpdir(), 'idlevit-playground-'))
const configFile = fileURLToPath(new URL('../web/vite.config.ts', import.meta.url))
await build({ configFile, logLevel: 'warn', build: { outDir: folder } })
const browser = await launchChromium()
console.log('| | loopback | 10 Mbit/s |\n|---|---|---|')
const found: Record<keyof typeof names, number[]>[] = []
for (const rate of [Number.POSITIVE_INFINITY, 1.25e6]) {
  const all = Object.fromEntries(Object.keys(names).map((name) => [name, [] as number[]])) as (typeof found)[number]
  for (let visit = 0; visit < Number(values.visits); visit++) {
    const site = await host(folder, rate)
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' })
    await context.addInitScript('globalThis.__name = (named) => named') // what tsx puts around functions
    await context.addInitScript(observe)
    const page = await context.newPage()
    const start = performance.now()
    await page.goto(site.url, { waitUntil: 'commit' })
    await ready(page)
    const now = performance.now()
    const { bytes, runtime } = site.told()
    const said = await page.evaluate(() => ({
      ...(window as unknown as { seen: Seen }).seen,
      paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
    }))
    const took = { ...said, bytes, answer: now - start, behind: now - runtime }
    for (const name of Object.keys(names) as (keyof typeof names)[]) all[name].push(took[name])
    await context.close()
    site.close()
  }
  found.push(all)
}
for (const [name, title] of Object.entries(names)) {
  const cells = found.map((all) => spread(all[name as keyof typeof names], name === 'shift' ? 3 : 0).text)
  console.log(`| ${[title, ...cells].join(' | ')} |`)
}
console.log(`\n${values.visits} visits each; load of the machine ${loadavg()[0]?.toFixed(1)}`)
await browser.close()
await rm(folder, { recursive: true })
