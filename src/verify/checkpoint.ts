/** Torch checkpoints against the safetensors file that holds the same tensors. */

import { existsSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { fail } from '../errors.js'
import { readCheckpoint } from '../weights/checkpoint.js'
import { type Check, compare } from './compare.js'
import { readReference } from './reference.js'

/**
 * Reads `name.pth` (or `name-legacy.pth`) and compares every tensor with `name-expected.safetensors`, or with the
 * `state.*` tensors of `name.safetensors` beside it.
 */
export async function verifyCheckpoint(file: string): Promise<Check[]> {
  const { state } = await readCheckpoint(file)
  const stem = basename(file, extname(file)).replace(/-legacy$/, '')
  const candidates = [`${stem}-expected.safetensors`, `${stem}.safetensors`].map((name) => join(dirname(file), name))
  const found = candidates.find((path) => existsSync(path))
  if (!found) return fail(`${file}: no reference beside it, wanted ${candidates.join(' or ')}`)
  const reference = await readReference(found)
  const expected = [...reference.tensors].flatMap(([name, tensor]) => {
    if (found.endsWith('-expected.safetensors')) return [[name.replace(/^module\./, ''), tensor] as const]
    return name.startsWith('state.') ? [[name.slice('state.'.length), tensor] as const] : []
  })
  return expected.map(([name, tensor]) => {
    const actual = state.get(name)
    if (!actual) return { name, maxAbsDiff: Number.POSITIVE_INFINITY, tolerance: 0, pass: false }
    return compare(name, tensor, { data: actual.data, shape: actual.shape, tolerance: { absolute: 0 } })
  })
}
