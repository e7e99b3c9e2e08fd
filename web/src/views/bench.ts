/** The bench: dense and idled, in every number format, on WebAssembly and WebGPU, on this device; a table to copy. */

import type { Device, Precision } from 'idlevit'
import { make, say } from '../dom.js'
import { count, milliseconds, ratio, times } from '../format.js'
import type { BenchResult, BenchRow } from '../messages.js'
import { messageOf } from '../rpc.js'

const precisions: readonly Precision[] = ['fp32', 'fp16', 'int8']
const devices: readonly Device[] = ['cpu', 'webgpu']
const deviceNames: Readonly<Record<string, string>> = { cpu: 'WASM', webgpu: 'WebGPU' }
const columns = ['Where', 'Numbers', 'Keep ratio', 'Time', 'Against the first', 'Multiply-adds'] as const

export interface BenchOptions {
  /** The keep ratio of the slider, in hundredths. */
  keep(): number
  /** The model and the device, for the head of the copied table. */
  about(): string
  run(row: BenchRow, signal: AbortSignal): Promise<BenchResult>
}

export function createBench(panel: HTMLElement, { keep, about, run }: BenchOptions): { reset(): void } {
  const start = make('button', { type: 'button', class: 'primary' }, 'Measure on this device')
  const stop = make('button', { type: 'button', hidden: true }, 'Stop')
  const copy = make('button', { type: 'button', disabled: true }, 'Copy the table')
  const status = make('p', { class: 'status hint', role: 'status' }, '\u00a0')
  const body = make('tbody')
  const head = make('tr', {}, ...columns.map((name) => make('th', { scope: 'col' }, name)))
  const caption = make('caption', {}, 'Median time of one picture')
  const table = make('table', { id: 'bench-table' }, caption, make('thead', {}, head), body)
  const notes = make('ul', { class: 'hint' })
  let cells: string[][] = []
  let measuring = new AbortController()

  panel.replaceChildren(
    make(
      'p',
      { class: 'hint' },
      'Opens every form of the model and runs it for about a second each: best with nothing else going on. WebGPU fetches another build of the runtime first.',
    ),
    make('div', { class: 'actions' }, start, stop, copy),
    status,
    make('div', { class: 'scroll', role: 'region', 'aria-label': 'Bench', tabindex: 0 }, table),
    notes,
  )

  function show(): void {
    body.replaceChildren(
      ...cells.map(([first = '', ...others]) =>
        make('tr', {}, make('th', { scope: 'row' }, first), ...others.map((text) => make('td', {}, text))),
      ),
    )
  }

  function reset(): void {
    measuring.abort(new Error('Stopped.'))
    notes.replaceChildren()
    cells = planned(keep()).map((row) => [...named(row), '–', '–', '–'])
    copy.disabled = true
    show()
  }

  async function measure(): Promise<void> {
    reset()
    measuring = new AbortController()
    const { signal } = measuring
    start.hidden = true
    stop.hidden = false
    const objection = await gpuObjections()
    let first: number | undefined
    for (const [i, row] of planned(keep()).entries()) {
      if (signal.aborted) break
      say(status, `${named(row).join(', ')} …`)
      const reason = row.device === 'webgpu' ? objection(row.precision) : undefined
      if (reason !== undefined) cells[i] = [...named(row), reason, '', '']
      else
        try {
          const { milliseconds: time, macs, warnings } = await run(row, signal)
          if (signal.aborted) break
          for (const warning of warnings) notes.append(make('li', {}, `${named(row).join(', ')}: ${warning}`))
          first ??= time
          cells[i] = [...named(row), milliseconds(time), times(first / time), count(macs)]
        } catch (error) {
          if (signal.aborted) break
          cells[i] = [...named(row), 'does not run', '', '']
          notes.append(make('li', {}, `${named(row).join(', ')}: ${messageOf(error)}`))
        }
      show()
    }
    say(status, signal.aborted ? 'Stopped.' : 'Done.')
    start.hidden = false
    stop.hidden = true
    copy.disabled = false
  }

  start.addEventListener('click', () => void measure())
  stop.addEventListener('click', () => measuring.abort(new Error('Stopped.')))
  copy.addEventListener('click', () => void copyText(markdown(about(), cells), status))
  reset()
  return { reset }
}

const planned = (keep: number): BenchRow[] =>
  devices.flatMap((device) =>
    precisions.flatMap((precision) => [1, keep / 100].map((keepRatio) => ({ device, precision, keepRatio }))),
  )

const named = ({ device, precision, keepRatio }: BenchRow): string[] => [
  deviceNames[device] ?? device,
  precision,
  keepRatio === 1 ? 'dense' : ratio(keepRatio * 100),
]

/** What speaks against a number format on WebGPU here: nothing, or why it cannot be. */
async function gpuObjections(): Promise<(precision: Precision) => string | undefined> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<{ features: ReadonlySet<string> } | null> } }
  const adapter = await gpu?.requestAdapter().catch(() => null)
  if (!adapter) return () => 'no WebGPU here'
  const half = adapter.features.has('shader-f16')
  return (precision) => (precision === 'fp16' && !half ? 'no float16 on this GPU' : undefined)
}

/** The table as Markdown. */
export function markdown(about: string, rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [about, '', line(columns), line(columns.map(() => '---')), ...rows.map(line), ''].join('\n')
}

async function copyText(text: string, status: HTMLElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    say(status, 'The table is on the clipboard.')
  } catch {
    say(status, 'The browser did not let the page copy: select the table and copy it.')
  }
}
