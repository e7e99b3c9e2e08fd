/** A cascade as a folder: weights under their official names, and beside them what the shapes do not tell. */

import { join } from 'node:path'
import { fail } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import { fillFolder, namesIn } from '../folders.js'
import { saveSafetensors } from '../weights/files.js'
import type { LoadedModel } from '../weights/load.js'

/**
 * Refuses a folder that a cascade cannot be written to: told before the work that it should keep.
 *
 * @throws InputError where it holds anything
 */
export async function checkEmpty(out: string): Promise<void> {
  const [found] = await namesIn(out)
  if (found !== undefined) fail(`${join(out, found)}: wanted a new or an empty folder`)
}

/**
 * Writes a cascade with its thresholds, so that it can be loaded again.
 *
 * @throws InputError where the folder holds anything, or cannot be written
 */
export async function saveCascade(model: LoadedModel, out: string): Promise<void> {
  await checkEmpty(out)
  const { config, labels, preprocess, thresholds } = model
  const json = {
    num_attention_heads: config.heads,
    ...(labels && { id2label: Object.fromEntries(labels.map((label, index) => [index, label])) }),
    idlevit: {
      layerNormEps: config.layerNormEps,
      ...(preprocess && { preprocess }),
      ...(thresholds && { thresholds }),
    },
  }
  await fillFolder(out, async (folder) => {
    await saveSafetensors(join(folder, 'model.safetensors'), model.state, { format: 'pt' })
    await writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(json, null, 2)}\n`)
  })
}
