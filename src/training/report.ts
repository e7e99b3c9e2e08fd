/**
 * `report.html`: the curves of a run in one file that needs nothing else, drawn by Vega as SVG, in the reader's light or
 * dark colours, one column on a phone. Written anew after every epoch, so it can be open while training goes on.
 */
import type { Spec } from 'vega'
import { writeFileAtomic } from '../files.js'
import type { EpochEntry, LogEntry, StartEntry, StepEntry } from './log.js'

/** A point of a curve. */
export interface Point {
  readonly x: number
  readonly y: number
  readonly series: string
}

/** One chart: curves over updates or epochs. */
export interface Chart {
  readonly title: string
  readonly x: string
  readonly points: readonly Point[]
}

/** Points of one curve, at most; more would not be seen. */
const RESOLUTION = 300

/** Means over bins of neighbouring entries, so that a curve of any length has at most {@link RESOLUTION} points. */
function binned<T>(entries: readonly T[], value: (entry: T) => number): { readonly at: T; readonly mean: number }[] {
  const size = Math.max(1, Math.ceil(entries.length / RESOLUTION))
  return Array.from({ length: Math.ceil(entries.length / size) }, (_, bin) => {
    const part = entries.slice(bin * size, (bin + 1) * size)
    return { at: part.at(-1) as T, mean: part.reduce((sum, entry) => sum + value(entry), 0) / part.length }
  })
}

/** The charts of a log. */
export function chartsOf(log: readonly LogEntry[]): Chart[] {
  const steps = log.filter((entry): entry is StepEntry => entry.kind === 'step')
  const epochs = log.filter((entry): entry is EpochEntry => entry.kind === 'epoch')
  const overSteps = (series: string, value: (entry: StepEntry) => number): Point[] =>
    binned(steps, value).map(({ at, mean }) => ({ x: at.step, y: mean, series }))
  const accuracy = epochs.flatMap(({ epoch, evaluation, average }) =>
    (
      [
        ['weights', evaluation],
        ['average', average],
      ] as const
    ).flatMap(([series, found]) => (found ? [{ x: epoch + 1, y: found.top1Percent, series }] : [])),
  )
  const byRatio = epochs.flatMap(({ epoch, evaluation }) =>
    Object.entries(evaluation?.byKeepRatio ?? {}).map(([ratio, { top1Percent }]) => ({
      x: epoch + 1,
      y: top1Percent,
      series: `k = ${ratio}`,
    })),
  )
  const parts = [...new Set(steps.flatMap(({ parts }) => Object.keys(parts)))]
  const charts: Chart[] = [
    { title: 'Top-1 accuracy, %', x: 'epoch', points: accuracy },
    { title: 'Top-1 accuracy by keep ratio, %', x: 'epoch', points: byRatio },
    { title: 'Loss', x: 'update', points: overSteps('loss', ({ loss }) => loss) },
    // Parts differ by orders of magnitude: a chart each.
    ...parts.map((part) => ({
      title: `Loss: ${part}, before its coefficient`,
      x: 'update',
      points: overSteps(part, (entry) => entry.parts[part] ?? 0),
    })),
    { title: 'Learning rate', x: 'update', points: overSteps('lr', ({ lr }) => lr) },
    { title: 'Norm of the gradient', x: 'update', points: overSteps('norm', ({ gradientNorm }) => gradientNorm) },
    { title: 'Pictures per second', x: 'update', points: overSteps('rate', ({ imagesPerSecond }) => imagesPerSecond) },
  ]
  return charts.filter(({ points }) => points.length > 0)
}

/** Colours are the page's: `currentColor` and its custom properties, which follow light and dark. */
const ink = 'currentColor'
const curveColors = ['var(--curve-1)', 'var(--curve-2)', 'var(--curve-3)', 'var(--curve-4)']

function chartSpec({ x, points }: Chart): Spec {
  const several = new Set(points.map(({ series }) => series)).size > 1
  const scale = (axis: 'x' | 'y') => ({ data: 'points', field: axis })
  return {
    width: 340,
    height: 200,
    autosize: { type: 'fit', contains: 'padding' },
    data: [{ name: 'points', values: [...points] }],
    scales: [
      { name: 'x', type: 'linear', range: 'width', zero: false, domain: scale('x') },
      { name: 'y', type: 'linear', range: 'height', zero: false, nice: true, domain: scale('y') },
      { name: 'color', type: 'ordinal', range: curveColors, domain: { data: 'points', field: 'series' } },
    ],
    axes: [
      { orient: 'bottom', scale: 'x', title: x, tickCount: 5, tickMinStep: 1, format: '~s' },
      { orient: 'left', scale: 'y', grid: true, tickCount: 5 },
    ],
    ...(several && { legends: [{ stroke: 'color', orient: 'top', direction: 'horizontal', symbolType: 'stroke' }] }),
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'curve', data: 'points', groupby: 'series' } },
        marks: [
          {
            type: 'line',
            from: { data: 'curve' },
            encode: {
              update: {
                x: { scale: 'x', field: 'x' },
                y: { scale: 'y', field: 'y' },
                stroke: { scale: 'color', field: 'series' },
                strokeWidth: { value: 1.5 },
              },
            },
          },
          // A curve of one point would not be seen.
          {
            type: 'symbol',
            from: { data: 'curve' },
            encode: {
              update: {
                x: { scale: 'x', field: 'x' },
                y: { scale: 'y', field: 'y' },
                fill: { scale: 'color', field: 'series' },
                size: { value: points.length > 40 ? 0 : 16 },
              },
            },
          },
        ],
      },
    ],
    config: {
      axis: { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink, gridColor: 'var(--grid)' },
      legend: { labelColor: ink, titleColor: ink },
    },
  }
}

/** Draws a chart as SVG text; needs no DOM. */
async function drawChart(chart: Chart): Promise<string> {
  const { parse, View } = await import('vega')
  const svg = await new View(parse(chartSpec(chart)), { renderer: 'none' }).toSVG()
  return svg.replace('<svg ', `<svg role="img" aria-label="${escaped(chart.title)}" `)
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (letter) => `&#${letter.codePointAt(0)};`)

const style = `
:root { color-scheme: light dark; --grid: #ddd; --curve-1: #1666b0; --curve-2: #c2470c; --curve-3: #2b7a2b; --curve-4: #8a3ab9 }
@media (prefers-color-scheme: dark) {
  :root { --grid: #444; --curve-1: #6db3f2; --curve-2: #f6975b; --curve-3: #7fce7f; --curve-4: #cf9bef }
}
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem auto; padding: 0 1rem; max-width: 72rem }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1.5rem }
figure { margin: 0 } figcaption { font-weight: 600 } svg { width: 100%; height: auto; overflow: visible }
.scroll { overflow-x: auto } table { border-collapse: collapse } th, td { padding: .2rem .8rem .2rem 0; text-align: right }
th:first-child, td:first-child { text-align: left } thead { border-bottom: 1px solid var(--grid) }
pre { overflow-x: auto; border: 1px solid var(--grid); padding: .6rem }
`

/** The page of a run as HTML. */
export async function reportHtml(log: readonly LogEntry[]): Promise<string> {
  const start = log.find((entry): entry is StartEntry => entry.kind === 'start')
  const epochs = log.filter((entry): entry is EpochEntry => entry.kind === 'epoch')
  const skipped = log.filter(({ kind }) => kind === 'skip').length
  const figures: string[] = []
  for (const chart of chartsOf(log))
    figures.push(`<figure><figcaption>${escaped(chart.title)}</figcaption>${await drawChart(chart)}</figure>`)
  const percent = (value: number | undefined) => (value === undefined ? '' : `${value.toFixed(2)} %`)
  const rows = epochs.map(({ epoch, loss, evaluation, average, imagesPerSecond }) =>
    [epoch + 1, loss.toFixed(4), percent(evaluation?.top1Percent), percent(evaluation?.top5Percent)]
      .concat([percent(average?.top1Percent), imagesPerSecond.toFixed(1)])
      .map((cell) => `<td>${cell}</td>`)
      .join(''),
  )
  const head = ['epoch', 'loss', 'top-1', 'top-5', 'top-1 of the average', 'pictures/s']
  const last = epochs.at(-1)
  const total = start?.recipe.epochs ?? 0
  const state = last && last.epoch + 1 >= total ? 'finished' : `${last ? last.epoch + 1 : 0} of ${total} epochs`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(start?.model ?? 'training')}: ${state}</title>
<style>${style}</style>
<h1>${escaped(start?.model ?? 'training')}</h1>
<p>${start ? `${start.pictures} pictures of ${escaped(start.data)}, ` : ''}${state}${skipped ? `; ${skipped} unreadable pictures skipped` : ''}.</p>
<div class="charts">${figures.join('\n')}</div>
<h2>Epochs</h2>
<div class="scroll"><table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr></thead>
<tbody>${rows.map((row) => `<tr>${row}</tr>`).join('\n')}</tbody></table></div>
<h2>Recipe</h2>
<pre>${escaped(JSON.stringify(start?.recipe ?? {}, null, 2))}</pre>
</html>
`
}

/** Writes the page of a run, whole or not at all. */
export async function writeReport(path: string, log: readonly LogEntry[]): Promise<void> {
  await writeFileAtomic(path, await reportHtml(log))
}
