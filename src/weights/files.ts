/** Safetensors files on disk: one file, or several shards behind a `model.safetensors.index.json`. */
import { dirname, join } from 'node:path'
import { fail } from '../errors.js'
import { readShared, readWholeFile, writeFileAtomic } from '../files.js'
import { parseSafetensors, type Safetensors, writeSafetensors } from './safetensors.js'
import { nameText, type StateDict } from './state.js'

/** Reads one safetensors file; throws InputError, naming it, when it is missing or breaks the format. */
export async function readSafetensorsFile(path: string): Promise<Safetensors> {
  return parseSafetensors(await readShared(path), path)
}

/** Writes a state dict as a safetensors file, whole or not at all. */
export function saveSafetensors(
  path: string,
  state: StateDict,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  return writeFileAtomic(path, writeSafetensors(state, metadata))
}

/** An index is a list of names: far smaller than this. */
const maxIndex = 100_000_000

/** The shards that an index names, each with the tensors it should hold; file names only, never paths elsewhere. */
export async function readShardIndex(path: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const bytes = await readWholeFile(path, maxIndex)
  let index: unknown
  try {
    index = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    fail(`${path}: not valid JSON`)
  }
  const map = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : undefined
  if (typeof map !== 'object' || map === null) return fail(`${path}: not a shard index: it has no weight_map`)
  const shards = new Map<string, string[]>()
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !/^[\w][\w.-]*$/.test(file))
      return fail(
        `${path}: tensor ${nameText(name)} is said to be in ${nameText(String(JSON.stringify(file)))}, which is no file name`,
      )
    const names = shards.get(file)
    if (names) names.push(name)
    else shards.set(file, [name])
  }
  return shards
}

/**
 * Reads all shards that a `*.safetensors.index.json` names.
 *
 * @throws InputError when a shard is missing or does not hold exactly the tensors the index promises.
 */
export async function readShardedSafetensors(path: string): Promise<Safetensors> {
  const state: StateDict = new Map()
  let metadata: Readonly<Record<string, string>> = {}
  for (const [file, names] of await readShardIndex(path)) {
    const shard = await readSafetensorsFile(join(dirname(path), file))
    const missing = names.filter((name) => !shard.state.has(name))
    if (missing.length > 0) fail(`${path}: ${file} lacks ${missing.slice(0, 5).map(nameText).join(', ')}`)
    for (const name of names) state.set(name, shard.state.get(name) ?? fail(`${file} lacks ${name}`))
    metadata = { ...metadata, ...shard.metadata }
  }
  return { state, metadata }
}
