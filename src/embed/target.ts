/** Where features may be written: nowhere that something else is read from. */

import { existsSync, statSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fail } from '../errors.js'
import { readAt, withFile } from '../files.js'
import { liesIn } from '../folders.js'
import { isOwnPage } from '../page/page.js'
import { filesOf } from './formats.js'

/**
 * Refuses a file that cannot be written, or that would replace an input.
 *
 * @param inputs - what is read: files and folders, and names that are no paths
 * @param report - a page that is written too
 * @throws InputError naming the file
 */
export async function checkTarget(out: string, inputs: readonly string[], report?: string): Promise<void> {
  const files = [...filesOf(out, { prefix: true, labels: true }), ...(report === undefined ? [] : [report])]
  const folder = dirname(out)
  if (!existsSync(folder)) fail(`${out}: no such folder: ${folder}`)
  for (const file of files) {
    if (!existsSync(file)) continue
    if (statSync(file).isDirectory()) fail(`${file}: is a folder, not a file`)
    if (file === report && !isOwnPage(await beginningOf(file)))
      fail(`${file}: wanted a new file or an earlier report to replace, found something else`)
    for (const input of inputs) {
      if (!existsSync(input)) continue
      const same = (await realpath(input)) === (await realpath(file))
      if (same || (/\.safetensors$/i.test(file) && (await liesIn(file, input))))
        fail(`${file}: is read as ${input} and would be replaced; choose another --out`)
    }
  }
}

const beginningOf = (path: string): Promise<string> =>
  withFile(path, async (file) => new TextDecoder().decode(await readAt(file, 0, 1024)))
