/**
 * Accuracy by epoch as an SVG picture: of one run, or of runs that went on from each other, in their order.
 *
 *   npx tsx bench/curve.ts cifar/log.jsonl cifar-longer/log.jsonl > docs/images/cifar10.svg
 */

import { lineChart } from '../src/page/curves.js'
import { chartsOf } from '../src/training/charts.js'
import { type EpochEntry, readLog } from '../src/training/log.js'

const epochs: EpochEntry[] = []
for (const path of process.argv.slice(2)) {
  const before = (epochs.at(-1)?.epoch ?? -1) + 1
  for (const entry of await readLog(path))
    if (entry.kind === 'epoch') epochs.push({ ...entry, epoch: before + entry.epoch })
}
const accuracy = chartsOf(epochs)[0]
if (!accuracy) throw new Error('wanted log.jsonl files of runs that were evaluated')
const { curves, title, ...axes } = accuracy
const { svg } = await lineChart(curves, { ...axes, y: title, counts: true })
process.stdout.write(`${svg}\n`)
