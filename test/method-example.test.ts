import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { createGraph, input, output } from '../src/graph/graph.js'
import { forward, shapeOf } from '../src/models/backbone.js'
import { constantWeights, methodBuild } from '../src/models/build.js'
import { homeOf } from '../src/reduction/rows.js'
import { random } from './examples/random.js'
import { evaluate, floats, maxAbsDiff, randomPixels, randomWeights, tiny } from './support/models.js'

const weights = randomWeights(tiny, 1)
const pixels = randomPixels(tiny, 2, 2)
const noise = { data: Float32Array.from({ length: 32 }, (_, i) => (i * 7) % 16), shape: [2, 16] }

/** Logits, and where every token is at the end. */
async function run(keepTokens: readonly number[]) {
  const graph = createGraph()
  const weight = constantWeights(graph, weights)
  const plan = random.plan({ keepTokens }, shapeOf(tiny))
  const form = random.open(methodBuild(graph, weight, tiny), plan)
  const model = forward(weight, input(graph, 'pixel_values', ['batch', 3, 32, 32]), tiny, { form, allTokens: true })
  output('logits', model.logits)
  output('home', homeOf(model.rows))
  return evaluate(graph, { pixel_values: pixels, noise })
}

describe('the worked example', () => {
  it('stands in CONTRIBUTING.md as it runs', async () => {
    const [text, example] = await Promise.all([
      readFile(new URL('../CONTRIBUTING.md', import.meta.url), 'utf8'),
      readFile(new URL('examples/random.ts', import.meta.url), 'utf8'),
    ])
    const inSource = example.replaceAll("'../../src/reduction/", "'./").replaceAll("'../../src/", "'../")
    assert.ok(text.includes(`\`\`\`ts\n${inSource}\`\`\``), 'the example and its copy differ')
  })

  it('keeps the tokens that the noise puts first, and the numbers of those that it keeps', async () => {
    const { home } = await run([16, 5, 5, 2])
    const alive = Array.from(home?.data ?? [], Number).map((row) => row >= 0)
    for (const b of [0, 1])
      for (let j = 0; j < 16; j++) assert.equal(alive[16 * b + j], Number(noise.data[16 * b + j]) >= 14, `token ${j}`)
  })

  it('is the dense model where it keeps everything', async () => {
    const [all, some] = [await run([16, 16, 16, 16]), await run([16, 5, 5, 2])]
    const graph = createGraph()
    output(
      'logits',
      forward(constantWeights(graph, weights), input(graph, 'pixel_values', ['batch', 3, 32, 32]), tiny).logits,
    )
    const dense = await evaluate(graph, { pixel_values: pixels })
    assert.ok(maxAbsDiff(floats(all.logits), floats(dense.logits)) < 1e-5)
    assert.ok(maxAbsDiff(floats(some.logits), floats(dense.logits)) > 1e-3)
  })
})
