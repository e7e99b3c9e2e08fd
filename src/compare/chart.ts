/** Rows of a comparison as points of a chart. */

import type { Meaning } from '../page/palette.js'
import type { MeasuredPoint, PointSeries } from '../page/points.js'
import type { CompareRow } from './results.js'

/** What accuracy is drawn against. */
export type Cost = 'gmacs' | 'speed'

/** What each method is drawn in; models of one's own in ink. */
export const tones: Readonly<Record<CompareRow['method'], Meaning>> = {
  none: 'dense',
  idle: 'idled',
  group: 'group',
  evit: 'evit',
  dynamicvit: 'dynamicvit',
  evovit: 'evovit',
  ats: 'ats',
  tome: 'tome',
  adavit: 'adavit',
  spvit: 'spvit',
  dynamicswin: 'dynamicvit', // its form for Swin: no model has both
  dvt: 'dvt',
}

/** Letters of a name on a picture. */
const LONGEST = 20

/** The rows of one precision as points: accuracy with the interval of its difference to dense, over work or speed. */
export function seriesOf(rows: readonly CompareRow[], dense: CompareRow, cost: Cost): PointSeries[] {
  const points = (kind: CompareRow['kind'], label: (row: CompareRow) => string, method?: string) =>
    rows
      .filter((row) => row.kind === kind && (method === undefined || row.method === method))
      .map((row) => pointOf(row, dense, cost, label(row)))
  const methods = [...new Set(rows.filter(({ kind }) => kind === 'method').map(({ method }) => method))]
  const own = points('own', ({ name }) => short(name))
  return [
    { name: 'dense', meaning: 'dense', points: points('dense', () => 'dense') },
    ...methods.map(
      (method): PointSeries => ({
        name: method,
        meaning: tones[method],
        points: points('method', ({ keepRatio }) => String(keepRatio), method),
      }),
    ),
    ...(own.length > 0 ? [{ name: 'own plan', meaning: 'quantity', points: own, joined: false } as const] : []),
  ]
}

function pointOf(row: CompareRow, dense: CompareRow, cost: Cost, label: string): MeasuredPoint {
  const { gmacs, imagesPerSecond: value, speedup, speedupQuartiles, top1Percent, toDense } = row
  const [low, high] = speedupQuartiles.map((ratio) => (value / speedup) * ratio) as [number, number]
  const [least, most] = toDense?.interval ?? [0, 0]
  return {
    label,
    best: row.best[cost],
    x: cost === 'gmacs' ? { value: gmacs, low: gmacs, high: gmacs } : { value, low, high },
    y: { value: top1Percent, low: dense.top1Percent + least, high: dense.top1Percent + most },
  }
}

const short = (name: string): string => (name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name)

/** The front in words, for who cannot see it. */
export function told(rows: readonly CompareRow[], cost: Cost): string {
  const at = (row: CompareRow) =>
    cost === 'gmacs' ? `${row.gmacs.toFixed(3)} GMACs` : `${row.imagesPerSecond.toFixed(0)} images a second`
  const best = rows.filter((row) => row.best[cost]).sort((a, b) => a.gmacs - b.gmacs)
  const list = best.map((row) => `${row.name} ${row.top1Percent.toFixed(1)} % at ${at(row)}`).join('; ')
  return `Top-1 accuracy against ${cost === 'gmacs' ? 'work' : 'speed'} of ${rows.length} rows. The best: ${list}.`
}
