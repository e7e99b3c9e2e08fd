/** The playground as its visitors have it: built, on a plain static host under a path of its own, in a real Chromium. */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { build } from 'vite'
import { launchChromium } from './chromium.js'
import { temporaryFolder } from './folder.js'
import { type Host, hostFolder } from './host.js'

export const playgroundConfig = fileURLToPath(new URL('../../web/vite.config.ts', import.meta.url))
/** Where the host has it. */
export const PLACE = '/some/where/'

/** How long a page may take where many tests share the processors, in milliseconds: nothing is measured by it. */
const PATIENCE = 120_000

export interface Playground {
  /** The folder that was built. */
  readonly dist: string
  readonly site: Host
  readonly browser: Browser
  /** A profile of its own. Motion is reduced, so that nothing plays by itself. */
  newContext(more?: Parameters<Browser['newContext']>[0]): Promise<BrowserContext>
  /** Opens the page and waits for its first answer. */
  open(context: BrowserContext, hash?: string): Promise<Opened>
  close(): Promise<void>
}

export interface Opened {
  readonly page: Page
  /** What was on the console, and what could not be loaded. */
  readonly complaints: string[]
}

/**
 * Builds and serves the playground; call where tests are declared, start before they run.
 *
 * @param options.minify - as it is published; else built in half the time
 * @param options.webgpu - a browser with a software GPU
 * @param options.args - further arguments of the browser
 */
export function playground(
  options: { readonly minify?: boolean; readonly webgpu?: boolean; readonly args?: readonly string[] } = {},
): () => Promise<Playground> {
  const folder = temporaryFolder()
  return async () => {
    const dist = join(folder.path, 'playground')
    await build({
      configFile: playgroundConfig,
      logLevel: 'warn',
      build: { outDir: dist, ...(options.minify !== true && { minify: false }) },
    })
    const site = await hostFolder(dist, PLACE)
    const browser = await launchChromium(options)
    return {
      dist,
      site,
      browser,
      newContext: (more = {}) =>
        browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...more }),
      open: (context, hash = '') => openAt(context, site.url + hash),
      async close() {
        await browser.close()
        site.close()
      },
    }
  }
}

/** What Chromium remarks by itself: there is no GPU, or only a new one. */
const remarks = [/^No available adapters\.$/, /WebGPU is experimental on this platform/]

async function openAt(context: BrowserContext, url: string): Promise<Opened> {
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  const complaints: string[] = []
  page.on('console', (message) => {
    if (!remarks.some((remark) => remark.test(message.text()))) complaints.push(message.text())
  })
  page.on('pageerror', ({ message }) => complaints.push(message))
  page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`))
  await page.goto(url)
  await ready(page)
  return { page, complaints }
}

/** Waits for the first answer. */
export const ready = (page: Page) =>
  page.waitForSelector('html[data-state=ready]', { timeout: PATIENCE, state: 'attached' })

export const text = async (page: Page, selector: string) => ((await page.textContent(selector)) ?? '').trim()

/** Waits until an element says something. */
export const says = (page: Page, selector: string, wanted: RegExp, timeout = PATIENCE) =>
  page.waitForFunction(
    ([selector, source]) => new RegExp(source).test(document.querySelector(selector)?.textContent ?? ''),
    [selector, wanted.source] as const,
    { timeout },
  )

/** Moves the slider as a hand does. */
export const slide = (page: Page, keep: number) =>
  page.$eval(
    '#keep',
    (slider, value) => {
      ;(slider as HTMLInputElement).value = String(value)
      slider.dispatchEvent(new Event('input', { bubbles: true }))
    },
    keep,
  )

/** Moves the slider and waits for the answer, to see that the page goes on. */
export async function goesOn(page: Page, keep: number): Promise<void> {
  await slide(page, keep)
  await says(page, '#k', new RegExp(keep.toFixed(2).replace('.', '\\.')))
}
