/**
 * `report.html`: the curves of a run in one file that needs nothing else, drawn by Vega as SVG, in the reader's light or
 * dark colours, one column on a phone. Written anew after every epoch, so it can be open while training goes on.
 */
import { writeFileAtomic } from '../files.js'
import type { Colour } from '../page/chart.js'
import { lineChart } from '../page/curves.js'
import { dataTable, figure, gallery, type Html, html, page } from '../page/page.js'
import type { Series } from '../page/series.js'
import type { EpochEntry, LogEntry, StartEntry, StepEntry } from './log.js'

/** One chart of a run: curves over updates or epochs. */
export interface RunChart {
  readonly title: string
  readonly x: string
  readonly curves: readonly Series[]
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

/** Colours of curves, in order. */
const colours = ['blue', 'orange', 'green', 'violet'] as const

/** A curve of the places where there is a value. */
function curve(name: string, points: readonly (readonly [x: number, y: number | undefined])[], index = 0): Series[] {
  const known = points.filter((point): point is readonly [number, number] => point[1] !== undefined)
  if (known.length === 0) return []
  const colour = colours[index % colours.length] as Colour
  return [{ name, colour, at: known.map(([x]) => x), values: known.map(([, y]) => y) }]
}

/** The charts of a log. */
export function chartsOf(log: readonly LogEntry[]): RunChart[] {
  const steps = log.filter((entry): entry is StepEntry => entry.kind === 'step')
  const epochs = log.filter((entry): entry is EpochEntry => entry.kind === 'epoch')
  const overSteps = (title: string, value: (entry: StepEntry) => number): RunChart => {
    const points = binned(steps, value).map(({ at, mean }) => [at.step, mean] as const)
    return { title, x: 'update', curves: curve(title, points) }
  }
  const overEpochs = (name: string, value: (entry: EpochEntry) => number | undefined, index: number): Series[] =>
    curve(
      name,
      epochs.map((entry) => [entry.epoch + 1, value(entry)]),
      index,
    )
  const ratios = [...new Set(epochs.flatMap(({ evaluation }) => Object.keys(evaluation?.byKeepRatio ?? {})))]
  const parts = [...new Set(steps.flatMap(({ parts }) => Object.keys(parts)))]
  const charts: RunChart[] = [
    {
      title: 'Top-1 accuracy, %',
      x: 'epoch',
      curves: [
        ...overEpochs('weights', ({ evaluation }) => evaluation?.top1Percent, 0),
        ...overEpochs('average', ({ average }) => average?.top1Percent, 1),
      ],
    },
    {
      title: 'Top-1 accuracy by keep ratio, %',
      x: 'epoch',
      curves: ratios.flatMap((ratio, i) =>
        overEpochs(`k = ${ratio}`, ({ evaluation }) => evaluation?.byKeepRatio?.[ratio]?.top1Percent, i),
      ),
    },
    overSteps('Loss', ({ loss }) => loss),
    // Parts differ by orders of magnitude: a chart each.
    ...parts.map((part) => overSteps(`Loss: ${part}, before its coefficient`, ({ parts }) => parts[part] ?? 0)),
    overSteps('Learning rate', ({ lr }) => lr),
    overSteps('Norm of the gradient', ({ gradientNorm }) => gradientNorm),
    overSteps('Pictures per second', ({ imagesPerSecond }) => imagesPerSecond),
  ]
  return charts.filter(({ curves }) => curves.length > 0)
}

async function drawChart({ title, x, curves }: RunChart): Promise<Html> {
  const { svg, width, height } = await lineChart(curves, { x, y: '', counts: true })
  return figure({ type: 'image/svg+xml', content: svg, alt: title, width, height }, title)
}

/** The page of a run as HTML. */
export async function reportHtml(log: readonly LogEntry[]): Promise<string> {
  const start = log.find((entry): entry is StartEntry => entry.kind === 'start')
  const epochs = log.filter((entry): entry is EpochEntry => entry.kind === 'epoch')
  const skipped = log.filter(({ kind }) => kind === 'skip').length
  const figures: Html[] = []
  for (const chart of chartsOf(log)) figures.push(await drawChart(chart))
  const percent = (value: number | undefined) => (value === undefined ? '' : `${value.toFixed(2)} %`)
  const rows = epochs.map(({ epoch, loss, evaluation, average, imagesPerSecond }) => [
    epoch + 1,
    loss.toFixed(4),
    percent(evaluation?.top1Percent),
    percent(evaluation?.top5Percent),
    percent(average?.top1Percent),
    imagesPerSecond.toFixed(1),
  ])
  const head = ['epoch', 'loss', 'top-1', 'top-5', 'top-1 of the average', 'pictures/s']
  const last = epochs.at(-1)
  const total = start?.recipe.epochs ?? 0
  const state = last && last.epoch + 1 >= total ? 'finished' : `${last ? last.epoch + 1 : 0} of ${total} epochs`
  const recipe = JSON.stringify(start?.recipe ?? {}, null, 2)
  return page({
    title: `${start?.model ?? 'training'}: ${state}`,
    lead: `${start ? `${start.pictures} pictures of ${start.data}, ` : ''}${state}${skipped ? `; ${skipped} unreadable pictures skipped` : ''}.`,
    sections: [
      { id: 'curves', title: 'Curves', body: gallery('medium', figures) },
      { id: 'epochs', title: 'Epochs', body: dataTable('After every epoch', head, rows) },
      { id: 'recipe', title: 'Recipe', body: html`<pre>${recipe}</pre>` },
    ],
  })
}

/** Writes the page of a run, whole or not at all. */
export async function writeReport(path: string, log: readonly LogEntry[]): Promise<void> {
  await writeFileAtomic(path, await reportHtml(log))
}
