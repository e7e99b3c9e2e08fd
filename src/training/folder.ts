/** Whether a run may write to a folder: nothing that it did not write itself, and no finished work, is ever replaced. */

import { join } from 'node:path'
import { fail } from '../errors.js'
import { isUnfinished } from '../files.js'
import { namesIn, sourceFolder } from '../folders.js'
import { hasCheckpoints } from './checkpoint.js'
import { readLog } from './log.js'

/**
 * Checks the folder of a run before anything is computed. It may be new, empty but for hidden files, or hold a run: one
 * to be resumed, or one that came to nothing.
 *
 * A folder holds a run when its log or a checkpoint says so. A new run takes the place of one that has neither a
 * checkpoint nor a model.
 *
 * @param inputs - what the run reads, such as the model's and the teacher's paths; names that are no paths do no harm
 * @throws InputError when the folder is that of an input, holds what no run wrote, or a run that would be lost
 */
export async function checkRunFolder(out: string, resume = false, inputs: readonly string[] = []): Promise<void> {
  const folder = await sourceFolder(out)
  for (const input of inputs)
    if (folder !== undefined && (await sourceFolder(input)) === folder)
      fail(`${out}: is where ${input} lies, which would be overwritten; choose another --out`)
  const names = (await namesIn(out)).filter((name) => !name.startsWith('.') && !isUnfinished(name))
  const log = names.includes('log.jsonl') ? await readLog(join(out, 'log.jsonl')) : []
  const saved = await hasCheckpoints(join(out, 'checkpoints'))
  const isRun = saved || log.some(({ kind }) => kind === 'start' || kind === 'resume')
  if (!isRun && names.length > 0)
    fail(`${out}: wanted a new or empty folder, or that of an earlier run, found ${names[0]} in it`)
  if (saved && !resume) fail(`${out}: holds a run already; --resume goes on with it, another --out starts a new one`)
  if (saved || !names.includes('model.safetensors')) return
  // The model of a first epoch is written shortly before the first checkpoint; a run may have died in between.
  const epochs = log.filter(({ kind }) => kind === 'epoch').length
  if (!resume || epochs > 1)
    fail(`${out}: holds the model of an earlier run whose checkpoints are gone; another --out starts a new one`)
}
