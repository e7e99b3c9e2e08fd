/** Replays reference files and compares every number. */

import { extname } from 'node:path'
import { fail } from '../errors.js'
import { replayAdavit } from './adavit.js'
import { verifyCheckpoint } from './checkpoint.js'
import { type Check, compare, compareGradient, type Replay } from './compare.js'
import { replayDeit, replayIdleDeit } from './deit.js'
import { replayDvt } from './dvt.js'
import { replayDynamicVit } from './dynamicvit.js'
import { replayIdleLvvit, replayLvvit } from './lvvit.js'
import { replayAts, replayEvit, replayEvoVit, replayTome } from './methods.js'
import { replayOptim } from './optim.js'
import { replayPreprocess } from './preprocess.js'
import { readReference, tensorOf } from './reference.js'
import { replaySpvit } from './spvit.js'
import { replayDynamicSwin, replaySwin } from './swin.js'
import { replayVit } from './vit.js'

export type { Check } from './compare.js'

export interface Verification {
  readonly file: string
  readonly checks: readonly Check[]
  /** Expected tensors that nothing here computes. */
  readonly unknown: readonly string[]
  readonly pass: boolean
}

const replays: Readonly<Record<string, Replay>> = {
  deit: replayDeit,
  'deit-distilled': replayDeit,
  'idlevit-deit': replayIdleDeit,
  lvvit: replayLvvit,
  'idlevit-lvvit': replayIdleLvvit,
  evit: replayEvit,
  'dynamicvit-deit': replayDynamicVit,
  'evo-vit': replayEvoVit,
  ats: replayAts,
  tome: replayTome,
  adavit: replayAdavit,
  spvit: replaySpvit,
  swin: replaySwin,
  'dynamic-swin': replayDynamicSwin,
  dvt: replayDvt,
  optim: replayOptim,
  preprocess: replayPreprocess,
}

/**
 * Replays one file: a reference file, or a torch checkpoint beside the reference that holds its tensors.
 *
 * @throws InputError for files that are neither, and for systems that are not implemented
 */
export async function verify(file: string): Promise<Verification> {
  if (['.pth', '.pt', '.bin'].includes(extname(file))) return conclude(file, await verifyCheckpoint(file), [])
  const reference = await readReference(file)
  const replay =
    replays[reference.system] ??
    (reference.system.startsWith('vit-') ? replayVit : undefined) ??
    fail(`${file}: system ${reference.system} is not known, wanted one of ${Object.keys(replays).join(', ')}, vit-*`)
  const actual = await replay(reference)
  const checks: Check[] = []
  const unknown: string[] = []
  for (const key of reference.tensors.keys()) {
    const gradient = /^grad(_?[a-z]+)?\./.test(key)
    if (!gradient && !key.startsWith('expect.')) continue
    const name = gradient ? key : key.slice('expect.'.length)
    const value = actual.get(name)
    if (value) checks.push((gradient ? compareGradient : compare)(name, tensorOf(reference, key), value))
    else unknown.push(name)
  }
  return conclude(file, checks, unknown)
}

function conclude(file: string, checks: readonly Check[], unknown: readonly string[]): Verification {
  if (checks.length === 0) fail(`${file}: holds nothing that could be compared`)
  return { file, checks, unknown, pass: checks.every((check) => check.pass) }
}
