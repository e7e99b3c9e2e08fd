/**
 * What commands print: results on stdout, as a table or one JSON document; progress and warnings on stderr.
 */
import { createRequire } from 'node:module'
import type { SingleBar } from 'cli-progress'
import { hasColor, paint, type Screen, styled } from './color.js'

/** A stream to print on; `isTTY` says that it is a terminal. */
export type Out = NodeJS.WritableStream & Screen

/** A table cell; nothing is printed for `undefined`. */
export type Cell = string | number | undefined

/** Lines of a text table: the first row is the header, columns of numbers are aligned to the right. */
export function formatTable(rows: readonly (readonly Cell[])[]): string {
  const cells = rows.map((row) => row.map((cell) => String(cell ?? '')))
  const columns = Math.max(0, ...cells.map((row) => row.length))
  const layout = Array.from({ length: columns }, (_, column) => ({
    width: Math.max(...cells.map((row) => [...(row[column] ?? '')].length)),
    numeric: cells.slice(1).every((row) => /^([-+]?[\d.]+(e[-+]?\d+)?\s?[%×x]?|)$/i.test(row[column] ?? '')),
  }))
  const line = (row: readonly string[]) =>
    layout
      .map(({ width, numeric }, column) => {
        const cell = row[column] ?? ''
        const gap = ' '.repeat(width - [...cell].length)
        return numeric ? gap + cell : cell + gap
      })
      .join('  ')
      .trimEnd()
  return cells.map((row) => `${line(row)}\n`).join('')
}

/** Prints a text table whose first row is the header. */
export function table(rows: readonly (readonly Cell[])[], out: Out = process.stdout): void {
  const text = formatTable(rows)
  out.write(hasColor(out) ? text.replace(/^.+/, (header) => styled('bold', header)) : text)
}

/**
 * Prints a command's result: with `--json` as one JSON document, else through `show`, which prints for people.
 * Typed arrays become JSON arrays; NaN and infinities become null.
 */
export function emit<T>(
  json: boolean | undefined,
  value: T,
  show: (value: T) => void,
  out: Out = process.stdout,
): void {
  if (json) out.write(`${JSON.stringify(value, plain, 2)}\n`)
  else show(value)
}

const plain = (_key: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return Number(value)
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return plainArray(value as unknown as ArrayLike<number>)
  return value
}

const plainArray = (values: ArrayLike<number | bigint>): number[] => Array.from(values, Number)

/** Prints a line about something that does not end the command. */
export function warn(message: string, out: Out = process.stderr): void {
  say(`${paint('yellow', 'warning:', out)} ${message}`, out)
}

/** A running display of how far long work has come. */
export interface Progress {
  /** Tells how much is done in all, and what else is worth a look, such as an accuracy so far. */
  update(done: number, note?: string): void
  /** Takes the display away; more calls do nothing. */
  stop(): void
}

/** Where and how progress is shown; the defaults suit commands. */
export interface ProgressOptions {
  readonly out?: Out
  /** Work that ends sooner shows nothing, in milliseconds. */
  readonly quiet?: number
  /** Longest silence where there is no terminal, in milliseconds. */
  readonly every?: number
  /** The clock, in milliseconds. */
  readonly now?: () => number
}

/** The bar on the terminal: one at a time, so that lines printed meanwhile can go around it. */
let activeBar: { readonly bar: SingleBar; readonly out: Out } | undefined

/**
 * Starts showing progress on stderr: a bar on a terminal, elsewhere a line per tenth or per five seconds.
 *
 * @param label - what is being done, e.g. `evaluating`
 * @param total - amount of work; undefined where it is not known beforehand
 */
export function startProgress(label: string, total: number | undefined, options: ProgressOptions = {}): Progress {
  const { out = process.stderr, quiet = 1000, every = 5000, now = Date.now } = options
  const started = now()
  const show = out.isTTY ? barOn(out, label, total) : linesOn(out, label, total, every, now)
  let running = true
  return {
    update(done, note = '') {
      if (running && now() - started >= quiet) show(done, note)
    },
    stop() {
      if (running && activeBar?.out === out) stopProgress()
      running = false
    },
  }
}

/** Takes a bar off the terminal, if there is one: for whoever ends the command early. */
export function stopProgress(): void {
  activeBar?.bar.stop()
  activeBar = undefined
}

/** Progress of work in stages: a display for one after the other. */
export function createStages() {
  let shown: { readonly stage: string; readonly total: number; readonly progress: Progress } | undefined
  const stop = () => {
    shown?.progress.stop()
    shown = undefined
  }
  return {
    show(stage: string, done: number, total: number, note?: string) {
      if (shown?.stage !== stage || shown.total !== total) stop()
      shown ??= { stage, total, progress: startProgress(stage, total) }
      shown.progress.update(done, note)
    },
    stop,
  }
}

type Show = (done: number, note: string) => void

function barOn(out: Out, label: string, total: number | undefined): Show {
  const format = total === undefined ? '{value} {note}' : '[{bar}] {value}/{total}{eta_formatted} {note}'
  return (done, note) => {
    if (activeBar === undefined) {
      // Loaded by who shows a bar: most commands are done before one would appear.
      const { SingleBar } = createRequire(import.meta.url)('cli-progress') as typeof import('cli-progress')
      // gracefulExit would listen for SIGINT itself; run.ts stops the bar instead.
      const bar = new SingleBar({
        format: `${label} ${format}`,
        stream: out,
        barsize: 24,
        clearOnComplete: true,
        formatTime: timeLeft,
        gracefulExit: false,
      })
      activeBar = { bar, out }
      bar.start(total ?? 0, done, { note })
    }
    activeBar.bar.update(done, { note })
  }
}

/** Seconds that are left, as a person says it; nothing until they are known, which the bar calls a text. */
const timeLeft = (seconds: number | string): string => {
  if (typeof seconds !== 'number') return ''
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)]
  if (hours > 0) return ` ${hours} h ${minutes} min left`
  return minutes > 0 ? ` ${minutes} min ${seconds % 60} s left` : ` ${seconds} s left`
}

function linesOn(out: Out, label: string, total: number | undefined, every: number, now: () => number): Show {
  let lastTime = Number.NEGATIVE_INFINITY
  let lastDone = 0
  return (done, note) => {
    const waited = now() - lastTime
    const tenth = total !== undefined && done - lastDone >= total / 10
    // Fast work passes tenths in no time: never more than a line a second.
    if (waited < every && !(tenth && waited >= 1000)) return
    lastTime = now()
    lastDone = done
    const amount = total === undefined ? `${done}` : `${done}/${total} (${Math.floor((100 * done) / total)} %)`
    say([label, amount, note].filter((part) => part !== '').join(' '), out)
  }
}

/** Prints a line; a bar on the same terminal gives way and redraws itself below. */
function say(line: string, out: Out): void {
  out.write(activeBar?.out === out ? `\r\u001b[K${line}\n` : `${line}\n`)
}
