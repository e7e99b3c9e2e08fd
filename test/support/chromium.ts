/** Pages in a real Chromium: Debian's, without network. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import sharp from 'sharp'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

/** `skip` option of a test that needs the browser. */
export const needsChromium: { skip: string | false } = {
  skip: existsSync(executablePath) ? false : `no ${executablePath}: apt-get install chromium, or set CHROMIUM`,
}

const noGpu = ['--disable-gpu']
/** WebGPU on the processor: Chromium's own Vulkan driver. */
const softwareGpu = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan']

export const launchChromium = ({
  webgpu = false,
  args = [],
}: {
  readonly webgpu?: boolean
  readonly args?: readonly string[]
} = {}): Promise<Browser> =>
  chromium.launch({
    executablePath,
    args: [
      '--headless',
      '--no-sandbox',
      ...(webgpu ? softwareGpu : noGpu),
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...args,
    ],
  })

export interface View {
  readonly width: number
  readonly colorScheme: 'light' | 'dark'
}

/**
 * Opens an HTML file and checks what holds for every page of ours: nothing on the console, no request, no script, every
 * picture drawn and described, one h1, nothing wider than the screen.
 */
export async function openPage(browser: Browser, file: string, { width, colorScheme }: View): Promise<Page> {
  const view = `${width} px, ${colorScheme}`
  const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme })
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('requestfailed', (request) => complaints.push(`failed: ${request.url().slice(0, 100)}`))
  const asked: string[] = []
  page.on('request', (request) => asked.push(request.url()))
  await page.goto(pathToFileURL(file).href)
  const found = await page.evaluate(() => ({
    empty: [...document.images].filter((image) => !image.complete || image.naturalWidth === 0).map(({ alt }) => alt),
    nameless: [...document.images].filter((image) => image.alt.trim() === '').length,
    scroll: document.documentElement.scrollWidth,
    headings: document.querySelectorAll('h1').length,
    scripts: document.scripts.length,
    // Text that a phone's reader would have to enlarge.
    small: [...document.querySelectorAll('body *')].filter((element) => {
      const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent?.trim())
      return own && Number.parseFloat(getComputedStyle(element).fontSize) < 12
    }).length,
  }))
  assert.deepEqual(complaints, [], view)
  assert.deepEqual(
    asked.filter((url) => !url.startsWith('data:')),
    [pathToFileURL(file).href],
    view,
  )
  assert.deepEqual(found, { empty: [], nameless: 0, scroll: width, headings: 1, scripts: 0, small: 0 }, view)
  return page
}

/** Mean and extreme brightness, 0 to 1, of a screenshot of what a selector finds first. */
export async function brightness(page: Page, selector: string): Promise<{ mean: number; min: number; max: number }> {
  const png = await page.locator(selector).first().screenshot()
  const { channels } = await sharp(png).removeAlpha().greyscale().stats()
  const [grey] = channels
  assert.ok(grey)
  return { mean: grey.mean / 255, min: grey.min / 255, max: grey.max / 255 }
}
