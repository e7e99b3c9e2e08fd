/**
 * How long a cold `idlevit classify` of one picture takes beside a bare script that loads the same ONNX bytes and runs
 * once on ready tensors. Whole processes, in turn.
 *
 *   npm run build && npx tsx bench/cold.ts --model deit_tiny.safetensors --picture photo.jpg [--keep-ratio 0.7] [--runs 15]
 */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { encodeOnnx } from '../src/graph/onnx.js'
import { buildGraph } from '../src/models/build.js'
import { imageTokens } from '../src/models/config.js'
import { planKeep } from '../src/reduction/schedule.js'
import { loadModel } from '../src/weights/load.js'
import { spread } from './statistics.js'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    picture: { type: 'string' },
    'keep-ratio': { type: 'string', default: '0.7' },
    runs: { type: 'string', default: '15' },
  },
})
const { model: spec, picture } = values
if (!spec || !picture) throw new Error('wanted --model and --picture')

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'idlevit-cold-'))
try {
  const model = await loadModel(spec)
  const { keep } = planKeep({ keepRatio: Number(values['keep-ratio']) }, model.config.depth, imageTokens(model.config))
  writeFileSync(join(folder, 'model.onnx'), encodeOnnx(buildGraph(model.config, model.state, { keep })).bytes)
  const side = model.config.imageSize
  const bare = join(root, 'bench', 'bare.mjs')
  const commands = {
    bare: [bare, join(folder, 'model.onnx'), String(side)],
    classify: [
      join(root, 'dist/bin/main.js'),
      ...['classify', picture, '--model', spec, '--keep-ratio', values['keep-ratio'], '--json'],
    ],
  }
  const seconds: Record<keyof typeof commands, number[]> = { bare: [], classify: [] }
  for (let run = 0; run <= Number(values.runs); run++) {
    for (const name of ['bare', 'classify'] as const) {
      const start = performance.now()
      execFileSync(process.execPath, commands[name], { stdio: 'pipe' })
      if (run > 0) seconds[name].push((performance.now() - start) / 1000) // the first fills the file cache
    }
  }
  const [ours, theirs] = [spread(seconds.classify), spread(seconds.bare)]
  console.log(`bare script  ${theirs.text} s`)
  console.log(`classify     ${ours.text} s`)
  const ratios = seconds.classify.map((time, run) => time / (seconds.bare[run] ?? Number.NaN))
  console.log(`ratio        ${spread(ratios, 2).text} (wanted: at most 1.5)`)
} finally {
  rmSync(folder, { recursive: true })
}
