/** What the documentation points at is there, and the commands that it prints are understood. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { understand } from './support/shell.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const inDocs = await readdir(join(root, 'docs'), { recursive: true })
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'models/README.md',
  ...inDocs.filter((name) => name.endsWith('.md')).map((name) => join('docs', name)),
]

const textOf = (page: string) => readFile(join(root, page), 'utf8')

/** A page without what stands in fences or between backticks. */
const prose = (text: string) => text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '')

/** Targets of links and pictures, in Markdown and HTML. */
const targets = (text: string): string[] =>
  [...prose(text).matchAll(/\]\(([^)\s]+)(?:\s"[^"]*")?\)|<(?:img|a|source)\s[^>]*(?:src|href|srcset)="([^"]+)"/g)].map(
    ([, markdown, html]) => markdown ?? html ?? '',
  )

/** The anchors of a page, as GitHub makes them of headings. */
function anchors(text: string): Set<string> {
  const found = new Map<string, number>()
  const headings = text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#{1,6} +(.+?) *$/gm)
  return new Set(
    [...headings].map(([, heading = '']) => {
      const slug = heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
        .replaceAll(' ', '-')
      const before = found.get(slug) ?? 0
      found.set(slug, before + 1)
      return before === 0 ? slug : `${slug}-${before}`
    }),
  )
}

/** The file and anchor that a target of a page means in this repository; undefined for other places. */
async function located(page: string, target: string): Promise<{ path: string; anchor: string } | undefined> {
  const { repository } = JSON.parse(await textOf('package.json')) as { repository?: string | { url?: string } }
  const home = (typeof repository === 'string' ? repository : repository?.url)?.replace(/^git\+|\.git$/g, '')
  const [address = '', anchor = ''] = target.split('#')
  if (/^[a-z]+:/i.test(address)) {
    const inside = home && address.startsWith(`${home}/`) ? address.slice(home.length + 1) : ''
    const [, path] = /^(?:blob|raw|tree)\/[^/]+\/(.+)$/.exec(inside) ?? []
    return path === undefined ? undefined : { path, anchor }
  }
  const path = address === '' ? page : relative(root, resolve(root, dirname(page), decodeURIComponent(address)))
  return { path, anchor }
}

describe('links', () => {
  for (const page of pages)
    it(page, async () => {
      const wrong: string[] = []
      for (const target of targets(await textOf(page))) {
        const place = await located(page, target)
        if (place === undefined) continue
        const { path, anchor } = place
        if (path.startsWith('..') || !existsSync(join(root, path))) wrong.push(`${target}: no such file`)
        else if (anchor !== '' && !anchors(await textOf(path)).has(anchor)) wrong.push(`${target}: no such heading`)
      }
      assert.deepEqual(wrong, [])
    })
})

it('a notebook page is reached from the page it belongs to', async () => {
  for (const page of pages.filter((name) => name.startsWith(join('docs', 'notebook')))) {
    const reader = join('docs', relative(join('docs', 'notebook'), page))
    assert.ok(
      targets(await textOf(reader)).some(
        (target) => resolve(root, 'docs', target.split('#')[0] ?? '') === join(root, page),
      ),
      page,
    )
  }
})

describe('commands', () => {
  for (const page of pages)
    it(page, async () => {
      for (const line of commandLines(await textOf(page))) await understand(line)
    })
})

/** The lines that run `idlevit` in a page's shell blocks, with those that go on behind a backslash. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|console|bash)\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block)
  const joined = blocks.join('\n').replace(/\\\n\s*/g, ' ')
  return joined.split('\n').flatMap((line) => {
    const [, command] = /^(?:\$ )?(?:[A-Z_]+=\S+ +)*(?:npx +)?(idlevit .*?)(?: +#.*)?$/.exec(line) ?? []
    return command === undefined ? [] : [command]
  })
}
