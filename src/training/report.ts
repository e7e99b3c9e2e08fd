/**
 * `report.html`: the curves of a run in one file that needs nothing else, drawn by Vega as SVG, in the reader's light or
 * dark colours, one column on a phone. It is written anew while training goes on, and a browser reads it again by itself
 * until the run has ended.
 */
import { join } from 'node:path'
import { countByReason } from '../data/left-out.js'
import { writeFileAtomic } from '../files.js'
import {
  dataTable,
  figure,
  gallery,
  type Html,
  html,
  keyNumbers,
  notice,
  page,
  record,
  records,
  type Section,
} from '../page/page.js'
import { chartsOf, drawRunChart } from './charts.js'
import type { Evaluation } from './log.js'
import { type EpochEntry, type LogEntry, type ReferenceEntry, readLog, type SkipEntry, type StartEntry } from './log.js'
import { recipeTable } from './recipe-table.js'

/** How a run stands. */
export type RunState = 'running' | 'finished' | 'interrupted' | 'failed'

/** Seconds from one writing of a running report to the next, and from one reading to the next. */
const EVERY = 20
/** Pictures that could not be read are named up to so many. */
const MOST_NAMED = 20

/** A log sorted by what it tells. */
function read(log: readonly LogEntry[]) {
  const of = <K extends 'step' | 'epoch' | 'skip' | 'reference'>(kind: K) =>
    log.filter((entry): entry is Extract<LogEntry, { kind: K }> => entry.kind === kind)
  const reference = (name: ReferenceEntry['name']) => of('reference').findLast((entry) => entry.name === name)
  return {
    start: log.findLast((entry): entry is StartEntry => entry.kind === 'start' || entry.kind === 'resume'),
    steps: of('step'),
    epochs: of('epoch'),
    skips: of('skip'),
    before: reference('before')?.evaluation,
    dense: reference('dense')?.evaluation,
  }
}

type Run = ReturnType<typeof read>

/** The page of a run as HTML. */
export async function reportHtml(log: readonly LogEntry[], state: RunState, now = new Date()): Promise<string> {
  const run = read(log)
  const { start, steps, epochs } = run
  const total = start?.recipe.epochs ?? 0
  const told = {
    running: `epoch ${Math.min(epochs.length + 1, total)} of ${total} is running`,
    finished: 'finished',
    interrupted: `interrupted after ${counted(steps.at(-1)?.step ?? 0, 'update')}`,
    failed: `ended by an error after ${counted(steps.at(-1)?.step ?? 0, 'update')}`,
  }[state]
  const resumable = state === 'interrupted' ? '; --resume goes on with it' : ''
  const at = now.toISOString().slice(0, 16).replace('T', ' ')
  const again = state === 'running' ? ` The page reads itself again every ${EVERY} seconds while the run goes on.` : ''
  return page({
    title: `Finetuning ${start?.model ?? ''}`.trim(),
    lead: start
      ? html`${counted(start.pictures, 'picture')} of ${start.data}, ${counted(total, 'epoch')}: <strong>${told}</strong>${resumable}.`
      : 'Nothing has been logged yet.',
    summary: [keyNumbers(headline(run)), ...leftOut(run)],
    sections: [await curves(run, log), epochsSection(run), ...pictureSection(run), recipeSection(start)],
    footer: html`Written ${at} UTC from <code>log.jsonl</code>.${again}`,
    ...(state === 'running' && { refresh: EVERY }),
  })
}

const percent = (evaluation: Evaluation | undefined, digits = 2): string =>
  evaluation === undefined ? '' : `${evaluation.top1Percent.toFixed(digits)} %`
const counted = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`

/** The best evaluation of the weights or their average. */
function bestOf(epochs: readonly EpochEntry[]) {
  const found = epochs.flatMap(({ epoch, evaluation, average }) => [
    ...(evaluation ? [{ epoch, evaluation, of: 'weights' }] : []),
    ...(average ? [{ epoch, evaluation: average, of: 'moving average' }] : []),
  ])
  const better = (a: Evaluation, b: Evaluation) => a.top1 > b.top1 || (a.top1 === b.top1 && a.loss < b.loss)
  return found.reduce<(typeof found)[number] | undefined>(
    (best, each) => (best && !better(each.evaluation, best.evaluation) ? best : each),
    undefined,
  )
}

function headline({ before, dense, epochs, steps }: Run) {
  const best = bestOf(epochs)
  const pace = epochs.at(-1)?.imagesPerSecond ?? steps.at(-1)?.imagesPerSecond
  return [
    ...(best
      ? [{ value: percent(best.evaluation), label: `best top-1: the ${best.of} after epoch ${best.epoch + 1}` }]
      : []),
    ...(before ? [{ value: percent(before), label: 'before training, with as few tokens' }] : []),
    ...(dense ? [{ value: percent(dense), label: 'of the dense model' }] : []),
    ...(pace !== undefined ? [{ value: pace.toFixed(1), label: 'pictures per second while training' }] : []),
  ]
}

/** Pictures that training does not see, in a line each. */
function leftOut({ start, skips }: Run): Html[] {
  const unused = countByReason(start?.leftOut ?? [])
  const dropped = start?.dropped ?? 0
  const { batch = 1, accumulate = 1 } = start?.recipe ?? {}
  return [
    ...(dropped > 0
      ? [
          notice(
            html`<strong>${counted(dropped, 'picture')} of ${(start?.pictures ?? 0).toLocaleString('en')}</strong> ${dropped === 1 ? 'is' : 'are'} left out of every epoch, different ones each time: an update takes ${batch * accumulate} pictures, and the rest at the end of an epoch fills none.`,
          ),
        ]
      : []),
    ...unused.map((line) => notice(html`<strong>Left out of the data:</strong> ${line}.`)),
    ...(skips.length > 0
      ? [
          notice(
            html`<strong>${counted(named(skips).length, 'picture')}</strong> could not be read: <a href="#pictures">which and why</a>.`,
          ),
        ]
      : []),
  ]
}

/** Pictures that could not be read, each once. */
const named = (skips: readonly SkipEntry[]) => [...new Map(skips.map((skip) => [skip.name, skip])).values()]

async function curves({ before, dense, start }: Run, log: readonly LogEntry[]): Promise<Section> {
  const figures: Html[] = []
  for (const chart of chartsOf(log)) figures.push(figure(await drawRunChart(chart), chart.caption))
  const lines = [
    ...(before ? ['“Before” is the model before its first update, with the tokens that it is trained to keep.'] : []),
    ...(dense ? ['“Dense” is the model that it learns from, with every token.'] : []),
    ...((start?.recipe.emaDecay ?? 0) > 0
      ? [
          `“Moving average” (EMA) are the weights averaged over the updates so far, the latest counting most (decay ${start?.recipe.emaDecay}): less noisy than the weights of a single update. The better of the two is what model.safetensors holds.`,
        ]
      : []),
  ]
  const body =
    figures.length > 0
      ? [lines.length > 0 ? html`<p>${lines.join(' ')}</p>` : undefined, gallery('charts', figures)]
      : html`<p>No update is done yet: curves appear here with the first ones.</p>`
  return { id: 'curves', title: 'Curves', body }
}

function epochsSection({ epochs, before, dense }: Run): Section {
  const hasAverage = epochs.some(({ average }) => average)
  const five = (evaluation: Evaluation | undefined) => (evaluation ? `${evaluation.top5Percent.toFixed(2)} %` : '')
  const reference = (name: string, evaluation: Evaluation | undefined) =>
    evaluation ? [[name, '', percent(evaluation), five(evaluation), ...(hasAverage ? [''] : []), '']] : []
  const rows = epochs.map(({ epoch, loss, evaluation, average, imagesPerSecond }) => [
    epoch + 1,
    loss.toFixed(4),
    percent(evaluation),
    five(evaluation),
    ...(hasAverage ? [percent(average)] : []),
    imagesPerSecond.toFixed(1),
  ])
  const head = ['epoch', 'loss', 'top-1', 'top-5', ...(hasAverage ? ['top-1, moving average'] : []), 'pictures/s']
  const images = (before ?? epochs.find(({ evaluation }) => evaluation)?.evaluation)?.images
  const on = images === undefined ? '' : `, on ${counted(images, 'validation picture')}`
  const all = [...reference('dense', dense), ...reference('before', before), ...rows]
  return {
    id: 'epochs',
    title: 'Epochs',
    body: all.length > 0 ? dataTable(`After every epoch${on}.`, head, all) : html`<p>No epoch is done yet.</p>`,
  }
}

function pictureSection({ skips }: Run): Section[] {
  if (skips.length === 0) return []
  const pictures = named(skips)
  const more = pictures.length - MOST_NAMED
  return [
    {
      id: 'pictures',
      title: 'Pictures that could not be read',
      body: [
        records([
          record(
            counted(pictures.length, 'picture'),
            pictures.slice(0, MOST_NAMED).map(({ name, reason }) => [name, reason] as const),
          ),
        ]),
        more > 0 ? html`<p>${more} more are in <code>log.jsonl</code>.</p>` : undefined,
      ],
    },
  ]
}

const recipeSection = (start: StartEntry | undefined): Section => ({
  id: 'recipe',
  title: 'Recipe',
  body: start
    ? records(recipeTable(start.recipe).flatMap(({ title, rows }) => (rows.length > 0 ? [record(title, rows)] : [])))
    : html`<p>None yet.</p>`,
})

export interface Report {
  /** Writes the page anew where something new is worth it: whatever is rare, and steps now and then. */
  onEntry(entry: LogEntry): Promise<void>
  /** Whether this run has written its page. */
  isBegun(): boolean
  /** Writes the page for the last time. */
  end(state: Exclude<RunState, 'running'>): Promise<void>
}

/** The report of the run in a folder, from its `log.jsonl`. */
export function openReport(folder: string, now: () => number = () => performance.now()): Report {
  let written: number | undefined
  const write = async (state: RunState) => {
    await writeFileAtomic(
      join(folder, 'report.html'),
      await reportHtml(await readLog(join(folder, 'log.jsonl')), state),
    )
    written = now()
  }
  return {
    async onEntry({ kind }) {
      if (kind !== 'step' || written === undefined || now() - written >= 1000 * EVERY) await write('running')
    },
    isBegun: () => written !== undefined,
    end: write,
  }
}
