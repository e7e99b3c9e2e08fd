/** Dependencies point one way: no file of `src/` waits for itself, and no two rooms wait for each other. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const src = fileURLToPath(new URL('../src/', import.meta.url))

/** Every source file, from `src/`, with those that it imports. */
const imports = new Map(
  readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => {
      const text = readFileSync(join(src, name), 'utf8')
      const paths = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)\.js'/g)].map(([, path]) => path as string)
      return [name, [...new Set(paths.map((path) => `${normalize(join(dirname(name), path))}.ts`))]] as const
    }),
)

/** The first way from a node back to itself, or undefined. */
function firstCircle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>()
  const way: string[] = []
  const visit = (node: string): string[] | undefined => {
    const at = way.indexOf(node)
    if (at >= 0) return [...way.slice(at), node]
    if (done.has(node)) return undefined
    way.push(node)
    for (const next of graph.get(node) ?? []) {
      const circle = visit(next)
      if (circle) return circle
    }
    way.pop()
    done.add(node)
    return undefined
  }
  for (const node of graph.keys()) {
    const circle = visit(node)
    if (circle) return circle
  }
  return undefined
}

test('a circle is found', () => {
  const graph = { a: ['b'], b: ['c', 'd'], c: [], d: ['b'] }
  assert.deepEqual(firstCircle(new Map(Object.entries(graph))), ['b', 'd', 'b'])
  assert.equal(firstCircle(new Map([['a', ['b']]])), undefined)
})

test('no file waits for itself', () => {
  assert.ok(imports.size > 200)
  assert.equal(firstCircle(imports)?.join(' → '), undefined)
})

test('no two rooms wait for each other', () => {
  const room = (file: string) => file.split('/')[0] as string
  const ways = new Map<string, string>()
  for (const [file, others] of imports)
    for (const other of others)
      if (room(file) !== room(other)) ways.set(`${room(file)} ${room(other)}`, `${file} → ${other}`)
  const both = [...ways.keys()].filter((way) => ways.has(way.split(' ').reverse().join(' ')))
  assert.deepEqual(
    both.map((way) => ways.get(way)),
    [],
  )
})
