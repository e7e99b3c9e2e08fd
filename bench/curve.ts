/**
 * Accuracy by epoch as an SVG picture: of one run, or of runs that went on from each other, in their order.
 *
 *   npx tsx bench/curve.ts cifar/log.jsonl cifar-longer/log.jsonl > docs/images/cifar10.svg
 */

import { lineChart } from '../src/page/curves.js'
import { type EpochEntry, readLog } from '../src/training/log.js'

const epochs: EpochEntry[] = []
for (const path of process.argv.slice(2)) {
  const before = (epochs.at(-1)?.epoch ?? -1) + 1
  for (const entry of await readLog(path))
    if (entry.kind === 'epoch') epochs.push({ ...entry, epoch: before + entry.epoch })
}
const evaluated = epochs.filter(({ evaluation, average }) => evaluation && average)
if (evaluated.length === 0) throw new Error('wanted log.jsonl files of runs that were evaluated and averaged')
const at = evaluated.map(({ epoch }) => epoch + 1)
const { svg } = await lineChart(
  [
    { name: 'weights', colour: 'blue', at, values: evaluated.map(({ evaluation }) => evaluation?.top1Percent ?? 0) },
    { name: 'their average', colour: 'orange', at, values: evaluated.map(({ average }) => average?.top1Percent ?? 0) },
  ],
  { x: 'epoch', y: 'top-1, %', counts: true },
)
process.stdout.write(`${svg}\n`)
