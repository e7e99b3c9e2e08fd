/** A page of a test's site in Chromium, on whose console nothing may appear. */

import assert from 'node:assert/strict'
import type { Browser, Page } from 'playwright-core'
import type * as Library from '../../src/index.js'
import type { Site } from './web-site.js'

declare global {
  /** The library, in the functions that run in a page. */
  var idlevit: typeof Library
}

/** What Chromium remarks without a GPU. */
const remarks = [/^No available adapters\.$/, /GPU stall due to ReadPixels$/, /WebGPU is experimental on this platform/]

/**
 * Opens a page in a profile of its own.
 *
 * @param noisy - requests fail on purpose: the browser says so on the console
 */
export async function withPage<T>(
  browser: Browser,
  { url }: Pick<Site, 'url'>,
  use: (page: Page) => Promise<T>,
  noisy = false,
): Promise<T> {
  const context = await browser.newContext()
  await context.addInitScript('globalThis.__name = (named) => named') // what tsx puts around functions
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  try {
    await page.goto(url)
    const result = await use(page)
    const unexpected = complaints.filter((text) => !remarks.some((remark) => remark.test(text)))
    if (!noisy) assert.deepEqual(unexpected, [])
    return result
  } finally {
    await context.close()
  }
}
