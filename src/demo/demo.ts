/** The demo from end to end: the embedded model on generated pictures, dense and idled, and a report of it. */

import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { drawSections } from '../analysis/visualization.js'
import { inspectPictures } from '../analysis/visualize.js'
import { fail, InputError } from '../errors.js'
import { fileError, readAt, withFile, writeFileAtomic } from '../files.js'
import { isOwnPage } from '../page/page.js'
import { loadModel } from '../weights/load.js'
import { measure, type Setting } from './measure.js'
import { drawPictures } from './pictures.js'
import { drawReport, type Findings } from './report.js'
import { watchTokens } from './watch.js'

/** What the embedded model is measured at. */
const KEEP_RATIOS = [1, 0.9, 0.8, 0.7, 0.6, 0.5]
const PRECISIONS = ['fp32', 'int8'] as const
/** What its tokens are looked at with. */
const LOOKED_AT = 0.7

/** How large a demo to run. */
export interface DemoOptions {
  /** Pictures to classify. */
  readonly images: number
  /** Of these, pictures whose tokens are followed. */
  readonly watched: number
  /** Of these, pictures that the report shows. */
  readonly shown: number
  /** Told of how far each stage is. */
  readonly onProgress?: (stage: string, done: number, total: number) => void
}

/**
 * Runs the demo and writes its report.
 *
 * @param out - the HTML file
 * @throws InputError when the file cannot be written
 */
export async function runDemo(out: string, options: DemoOptions): Promise<Findings> {
  const { images, onProgress } = options
  await checkFile(out)
  const watched = Math.min(options.watched, images)
  const shown = Math.min(options.shown, images)
  const stage = (name: string, total: number) => (done: number) => onProgress?.(name, done, total)
  const idle = await loadModel('demo')
  const dense = await loadModel('demo-dense')
  const drawing = stage('drawing pictures', images)
  const pictures = await drawPictures(idle, { count: images, masks: watched, shown, onPicture: drawing })
  const settings = PRECISIONS.flatMap((precision) =>
    KEEP_RATIOS.map((keepRatio): Setting => ({ model: idle, keepRatio, precision })),
  )
  onProgress?.('evaluating', 0, settings.length)
  const { rows, rounds } = await measure([...settings, { model: dense, keepRatio: 1, precision: 'fp32' }], pictures, {
    headline: KEEP_RATIOS.length - 1,
    onRound: (done, total) => onProgress?.('evaluating', done, total),
  })
  const findings = {
    images,
    rounds,
    rows: rows.slice(0, -1),
    reference: rows.at(-1) as (typeof rows)[number],
    watched: await watchTokens(idle, dense, LOOKED_AT, pictures, stage('following tokens', watched)),
  }
  const looking = stage('drawing the report', 2 * shown)
  const { setting, inspected } = await inspectPictures(idle, pictures.shown, {
    keepRatio: LOOKED_AT,
    onPicture: looking,
  })
  const visualization = await drawSections(setting, inspected, (done) => looking(shown + done))
  await writeFileAtomic(out, await drawReport(findings, visualization))
  return findings
}

/** What cannot be written is told before the work, not behind it. An earlier report may be replaced, nothing else. */
async function checkFile(path: string): Promise<void> {
  const folder = dirname(path)
  const kind = async (of: string) => {
    const found = await stat(of)
    return found.isDirectory() ? 'folder' : found.isFile() ? 'file' : 'device'
  }
  const found = await kind(folder).catch((error) => {
    throw error.code === 'ENOENT' ? new InputError(`${folder}: no such folder`) : fileError(error, folder)
  })
  if (found !== 'folder') fail(`${folder}: wanted a folder, found a ${found}`)
  const there = await kind(path).catch(() => undefined)
  if (there === undefined) return
  if (there !== 'file') fail(`${path}: wanted a file for the report, found a ${there}`)
  const beginning = await withFile(path, (file) => readAt(file, 0, 1000))
  if (beginning.length > 0 && !isOwnPage(new TextDecoder().decode(beginning)))
    fail(`${path}: wanted a new file or an earlier report, found a file that is none`)
}
