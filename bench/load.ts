/**
 * How long a model takes from its weights file to a running session, beside reading the file: reading and checking the
 * weights, building and encoding the graph, and opening it, in one process, in turn.
 *
 *   npx tsx bench/load.ts --model deit-small.safetensors [--keep-ratio 0.7] [--precision fp32] [--rounds 7]
 *
 * Without `--model`, DeiT-S with random weights is written to a temporary file first.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { lower, type Precision } from '../src/graph/passes/precision.js'
import { buildGraph } from '../src/models/build.js'
import { imageTokens, type VitConfig } from '../src/models/config.js'
import { presets } from '../src/models/presets.js'
import { planKeep } from '../src/reduction/schedule.js'
import { needsRewriting } from '../src/runtime/classifier.js'
import { createSession } from '../src/runtime/node.js'
import { saveSafetensors } from '../src/weights/files.js'
import { randomVit } from '../src/weights/init.js'
import { loadModel } from '../src/weights/load.js'
import { spread } from './statistics.js'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    'keep-ratio': { type: 'string', default: '0.7' },
    precision: { type: 'string', default: 'fp32' },
    rounds: { type: 'string', default: '7' },
  },
})
const precision = values.precision as Precision
const folder = mkdtempSync(join(tmpdir(), 'idlevit-load-'))
const file = values.model ?? join(folder, 'deit-small.safetensors')
if (!values.model) await saveSafetensors(file, randomVit(presets['deit-small']?.config as VitConfig, 0))

const stages = { bytes: [], read: [], build: [], open: [] } as Record<string, number[]>
for (let round = 0; round <= Number(values.rounds); round++) {
  let start = performance.now()
  const lap = (stage: string) => {
    const now = performance.now()
    if (round > 0) stages[stage]?.push(now - start) // the first round warms up
    start = performance.now()
  }
  readFileSync(file)
  lap('bytes')
  const { config, state } = await loadModel(file)
  lap('read')
  const { keep } = planKeep({ keepRatio: Number(values['keep-ratio']) }, config.depth, imageTokens(config))
  const graph = lower(buildGraph(config, state, { keep }), { precision })
  lap('build')
  const session = await createSession(graph, { rewrite: needsRewriting({ precision }) })
  lap('open')
  await session.close()
}
rmSync(folder, { recursive: true })

const { bytes = [], read = [], build = [], open = [] } = stages
const text = (times: readonly number[], digits = 1) => spread(times, digits).text
const ratios = read.map((time, i) => ((build[i] as number) + (open[i] as number)) / time)
console.log(`bytes of the file        ${text(bytes)} ms`)
console.log(`weights read and checked ${text(read)} ms`)
console.log(`graph built              ${text(build)} ms`)
console.log(`encoded and opened       ${text(open)} ms`)
console.log(`build and open / read    ${text(ratios, 2)}`)
