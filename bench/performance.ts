/**
 * The tables of docs/performance.md and docs/notebook/performance.md, as Markdown on stdout: `node --import tsx bench/performance.ts [ROUNDS]`.
 *
 * Takes about ten minutes on two cores; nothing else should run meanwhile.
 */

import type { BenchmarkRequest } from '../src/bench/entries.js'
import { type BenchmarkRow, benchmark } from '../src/bench/models.js'
import { loadModel } from '../src/weights/load.js'

const rounds = Number(process.argv[2] ?? 15)
const both = { keepRatios: [1, 0.7, 0.5], precisions: ['fp32', 'int8'], rounds, memory: true } as const

/** Title, preset, picture side, request. */
const tables: readonly (readonly [string, string, number, BenchmarkRequest])[] = [
  ['DeiT-S, batch 16', 'deit-small', 224, { ...both, batches: [16] }],
  ['DeiT-S, batch 16, one session at a time', 'deit-small', 224, { ...both, batches: [16], lanes: 1 }],
  ['DeiT-S, batch 1, and the elastic graph', 'deit-small', 224, { ...both, batches: [1], elastic: true }],
  ['DeiT-Tiny, batch 16', 'deit-tiny', 224, { ...both, batches: [16] }],
  ['DeiT-B, batch 8', 'deit-base', 224, { ...both, batches: [8] }],
  ['DeiT-S at 384 × 384 (577 tokens), batch 4', 'deit-small', 384, { ...both, batches: [4] }],
]

const columns = [
  'model',
  'precision',
  'k',
  'pieces',
  'ms (min–max)',
  'images/s',
  'speedup',
  'MAC ratio',
  'of rate',
  'peak MB',
]

for (const [i, [title, preset, imageSize, request]] of tables.entries()) {
  const model = await loadModel(preset, { init: 'random:0', imageSize })
  const { machine, rows } = await benchmark(model, request)
  const { cpu, processors, onnxruntime, node, matrixGmacsPerSecond: rate } = machine
  if (i === 0) console.log(`${cpu}, ${processors} processors, ONNX Runtime ${onnxruntime}, Node ${node}.\n`)
  console.log(`### ${title}\n`)
  console.log(`Large matrix product: fp32 ${rate.fp32?.toFixed(0)}, int8 ${rate.int8?.toFixed(0)} GMAC/s.\n`)
  for (const line of [columns, columns.map(() => '---'), ...rows.map(cells)]) console.log(`| ${line.join(' | ')} |`)
  console.log()
}

function cells(row: BenchmarkRow): (string | number)[] {
  const { min, median, max } = row.msPerBatch
  return [
    row.model,
    row.precision ?? '',
    row.keepRatio ?? '',
    `${row.lanes} × ${row.microBatch}`,
    `${median.toFixed(1)} (${min.toFixed(1)}–${max.toFixed(1)})`,
    row.imagesPerSecond.toFixed(1),
    `${row.speedup.toFixed(2)}×`,
    row.macRatio === undefined ? '' : `${row.macRatio.toFixed(2)}×`,
    row.rateShare === undefined ? '' : `${(100 * row.rateShare).toFixed(0)} %`,
    row.peakMemoryBytes === undefined ? '' : (row.peakMemoryBytes / 1e6).toFixed(0),
  ]
}
