/** Reference files and real data, where they are: in `test/golden`, or in `../shared` which is not always there. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const shared = process.env.IDLEVIT_SHARED ?? join(root, '..', 'shared')

/** A file of `test/golden`. */
export const golden = (name: string): string => join(root, 'test/golden', name)

/** A file or folder of the shared data; `undefined` when it is not there. */
export function sharedPath(...parts: string[]): string | undefined {
  const path = join(shared, ...parts)
  return existsSync(path) ? path : undefined
}

/** `skip` option of a test that needs a shared path: says what is missing. */
export const needs = (path: string | undefined, what: string): { skip: string | false } => ({
  skip: path === undefined ? `${what} is not in ../shared` : false,
})
