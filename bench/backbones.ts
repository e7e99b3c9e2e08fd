/**
 * The table of docs/performance.md on image encoders, as Markdown on stdout: `node --import tsx bench/backbones.ts [ROUNDS [MODEL…]]`.
 *
 * One picture at a time, each model against its own plain dense export in alternating blocks of one run. The models follow
 * one another, so that memory is that of the largest. Takes about ten minutes on two cores; nothing else should run meanwhile.
 */

import { loadavg } from 'node:os'
import { type BenchmarkRow, benchmark } from '../src/bench/models.js'
import { loadModel } from '../src/weights/load.js'

const [given, ...named] = process.argv.slice(2)
const rounds = Number(given ?? 9)
const models = ['dinov2-small', 'clip-base-16', 'siglip-base'].filter(
  (name) => named.length === 0 || named.includes(name),
)

const columns = ['model', 'tokens', 'precision', 'k', 'ms (min–max)', 'speedup', 'MAC ratio', 'of it', 'of rate']
console.log(
  `load ${loadavg()
    .map((load) => load.toFixed(1))
    .join(', ')} at the start, ${rounds} rounds\n`,
)
for (const line of [columns, columns.map(() => '---')]) console.log(`| ${line.join(' | ')} |`)

for (const name of models) {
  const model = await loadModel(name, { init: 'random:0' })
  const { imageSize, patchSize } = model.config
  const tokens = (imageSize / patchSize) ** 2
  const { rows } = await benchmark(model, {
    keepRatios: [0.7, 0.5],
    precisions: ['fp32', 'int8'],
    batches: [1],
    rounds,
    onProgress: (done, total, what) => process.stderr.write(`\r${name}: ${what} ${done} of ${total}  `),
  })
  process.stderr.write('\n')
  for (const row of rows) console.log(`| ${[`${name}, ${row.model}`, tokens, ...cells(row)].join(' | ')} |`)
}
console.log(
  `\nload ${loadavg()
    .map((load) => load.toFixed(1))
    .join(', ')} at the end`,
)

function cells({ precision, keepRatio, msPerBatch, speedup, macRatio, macShare, rateShare }: BenchmarkRow) {
  const { min, median, max } = msPerBatch
  const percent = (share: number | undefined) => (share === undefined ? '' : `${(100 * share).toFixed(0)} %`)
  return [
    precision ?? '',
    keepRatio ?? '',
    `${median.toFixed(0)} (${min.toFixed(0)}–${max.toFixed(0)})`,
    `${speedup.toFixed(2)}×`,
    `${macRatio?.toFixed(2) ?? ''}×`,
    percent(macShare),
    percent(rateShare),
  ]
}
