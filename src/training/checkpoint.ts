/**
 * Checkpoints: all that a run needs to go on as if it had never stopped.
 *
 * One safetensors file each (weights, optimizer moments, moving average) whose metadata holds the run's position as
 * JSON and a SHA-256 over that JSON and every tensor. A file appears under its name only when all of it is on the disk,
 * and is believed only when its checksum holds; the two newest are kept, so that one may be lost. There is no random
 * state to save: every random number of a run is a function of seed, epoch and position.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fail, InputError } from '../errors.js'
import { fileError, removeUnfinished } from '../files.js'
import { readSafetensorsFile, saveSafetensors } from '../weights/files.js'
import type { StateDict } from '../weights/state.js'

/** How far a run is; survives JSON. */
export interface Position {
  /** Update steps done in all. */
  readonly step: number
  /** The epoch under way, counted from 0; the number of epochs when all are done. */
  readonly epoch: number
  /** Pictures of this epoch's order that have been used. */
  readonly drawn: number
}

/** A run at one moment. */
export interface Checkpoint<Progress extends Position = Position> {
  readonly progress: Progress
  /** Everything that training changes, by name. */
  readonly tensors: StateDict
}

const KEPT = 2
const fileName = (step: number): string => `step-${String(step).padStart(9, '0')}.safetensors`
const fileNames = /^step-\d{9}\.safetensors$/

/** Hash over the progress and every tensor's name, shape and values. */
function checksum(progress: string, tensors: StateDict): string {
  const hash = createHash('sha256').update(progress)
  for (const name of [...tensors.keys()].sort()) {
    const { dtype, shape, data } = tensors.get(name) ?? fail(`no tensor ${name}`)
    hash.update(`\n${name} ${dtype} ${shape.join(',')}\n`)
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  return hash.digest('hex')
}

/** Checkpoints in a folder, oldest first. */
async function listCheckpoints(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw fileError(error, folder)
  })
  return names
    .filter((name) => fileNames.test(name))
    .sort()
    .map((name) => join(folder, name))
}

/** True when a folder holds checkpoints, whether they can be read or not. */
export const hasCheckpoints = async (folder: string): Promise<boolean> => (await listCheckpoints(folder)).length > 0

/**
 * Writes a checkpoint and removes all but the newest two, and what killed writers left.
 *
 * @returns the path of the file
 */
export async function saveCheckpoint(folder: string, { progress, tensors }: Checkpoint): Promise<string> {
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw fileError(error, folder)
  })
  const path = join(folder, fileName(progress.step))
  const json = JSON.stringify(progress)
  await saveSafetensors(path, tensors, { progress: json, sha256: checksum(json, tensors) })
  const others = (await listCheckpoints(folder)).filter((other) => other !== path)
  for (const old of others.slice(0, -(KEPT - 1))) await rm(old, { force: true })
  await removeUnfinished(folder)
  return path
}

/**
 * Reads one checkpoint.
 *
 * @throws InputError when it is cut short, damaged, or no checkpoint
 */
export async function readCheckpoint<Progress extends Position>(path: string): Promise<Checkpoint<Progress>> {
  const { state: tensors, metadata } = await readSafetensorsFile(path)
  const { progress, sha256 } = metadata
  if (progress === undefined || sha256 === undefined) return fail(`${path}: not a checkpoint of a training run`)
  if (checksum(progress, tensors) !== sha256) fail(`${path}: damaged: its checksum does not fit its content`)
  return { progress: parseProgress(progress, path) as Progress, tensors }
}

function parseProgress(json: string, path: string): Position {
  try {
    const progress = JSON.parse(json) as Position
    if ([progress.step, progress.epoch, progress.drawn].every(Number.isSafeInteger)) return progress
  } catch {}
  return fail(`${path}: not a checkpoint of a training run`)
}

/**
 * The newest checkpoint of a folder that can be trusted. One that cannot is told to `warn` and put aside (renamed to
 * `….damaged`), and the one before it is taken.
 *
 * @returns undefined when the folder holds none
 * @throws InputError when there are some and all are damaged
 */
export async function loadLatestCheckpoint<Progress extends Position>(
  folder: string,
  warn: (message: string) => void,
): Promise<(Checkpoint<Progress> & { readonly path: string }) | undefined> {
  const paths = await listCheckpoints(folder)
  const damaged: string[] = []
  for (const path of paths.toReversed()) {
    try {
      const checkpoint = { ...(await readCheckpoint<Progress>(path)), path }
      for (const other of damaged) await rename(other, `${other}.damaged`)
      return checkpoint
    } catch (error) {
      if (!(error instanceof InputError)) throw error
      warn(`${error.message}; using the checkpoint before it`)
      damaged.push(path)
    }
  }
  return paths.length > 0 ? fail(`${folder}: none of its ${paths.length} checkpoints can be read`) : undefined
}
